"""`TokenEmbedding`: what an encoder makes of tokens before its first block."""

import keras
from keras import initializers, layers, ops

INITIAL = 0.02  # standard deviation of a new encoder's weights (Devlin et al. 2019)


@keras.saving.register_keras_serializable(package="benchmark")
class TokenEmbedding(layers.Layer):
    """Word piece, place in the text and segment (the first: a text is one), added, normalised, with dropout.

    Parameters
    ----------
    vocabulary : int
        Number of word pieces.
    positions : int
        Most tokens that a text can have.
    width : int
        Length of a vector.
    dropout, epsilon : float
        Of the dropout; of the normalisation.
    seed : int, optional
        Seed of the initial weights and, plus 1, of the dropout.

    Input (batch, tokens) int32, a number below 0 meaning token 0; output (batch, tokens, width).
    """

    def __init__(self, vocabulary, positions, width, dropout=0.1, epsilon=1e-12, seed=None, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("vocabulary", vocabulary), ("positions", positions), ("width", width)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
        self.vocabulary = vocabulary
        self.positions = positions
        self.width = width
        self.seed = seed
        self.normalization = layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name="normalization")
        self.dropout = layers.Dropout(
            dropout, seed=None if seed is None else seed + 1, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, input_shape):
        seeds = [None] * 3 if self.seed is None else [self.seed + i for i in (0, 2, 3)]
        for name, shape, seed in (
            ("words", (self.vocabulary, self.width), seeds[0]),
            ("places", (self.positions, self.width), seeds[1]),
            ("segment", (self.width,), seeds[2]),
        ):
            normal = initializers.RandomNormal(stddev=INITIAL, seed=seed)
            setattr(self, name, self.add_weight(shape=shape, initializer=normal, name=name))
        self.normalization.build((*input_shape, self.width))
        self.built = True

    def call(self, tokens, training=None):
        x = ops.take(self.words, ops.maximum(tokens, 0), axis=0) + self.places[: ops.shape(tokens)[1]] + self.segment
        return self.dropout(self.normalization(x), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.width)

    def get_config(self):
        return super().get_config() | {
            "vocabulary": self.vocabulary,
            "positions": self.positions,
            "width": self.width,
            "dropout": self.dropout.rate,
            "epsilon": self.normalization.epsilon,
            "seed": self.seed,
        }
