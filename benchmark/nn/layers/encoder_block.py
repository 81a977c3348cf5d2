"""`EncoderBlock`: one layer of a BERT encoder."""

import keras
from keras import initializers, layers, ops

from benchmark.nn.layers.head_attention import HeadAttention

ACTIVATIONS = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_tanh": lambda x: ops.gelu(x, approximate=True),
    "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
    "relu": ops.relu,
    "silu": ops.silu,
}
"""Name, as in `weights.ACTIVATIONS`, → the function. `gelu` is exact, `gelu_tanh` its usual approximation."""


@keras.saving.register_keras_serializable(package="benchmark")
class EncoderBlock(layers.Layer):
    """Attention, then two dense layers with an activation between them; dropout, the block's own input added, and
    normalisation after each of the two (Devlin et al. 2019).

    Parameters
    ----------
    heads : int
        Heads of the attention.
    inner : int
        Width between the two dense layers.
    dropout, epsilon : float
        Of the dropout; of the normalisation.
    seed : int, optional
        Seed of the initial weights and of the dropout.
    attention_dropout : float, optional
        Of the attention; None: `dropout`.
    activation : str
        One of ACTIVATIONS.

    Called like `HeadAttention`, and returns what that does.
    """

    def __init__(
        self, heads, inner, dropout=0.1, epsilon=1e-12, seed=None, attention_dropout=None, activation="gelu", **kwargs
    ):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {list(ACTIVATIONS)}. Received: activation={activation}")
        self.inner = inner
        self.activation = activation
        self.seed = seed
        same = {"dtype": self.dtype_policy}
        of_attention = dropout if attention_dropout is None else attention_dropout
        self.attention = HeadAttention(heads, of_attention, seed, name="attention", **same)
        seeds = iter([None] * 4 if seed is None else range(seed + 5, seed + 9))
        self.dropouts = [layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{i}", **same) for i in (1, 2)]
        self.normalizations = [
            layers.LayerNormalization(epsilon=epsilon, name=f"normalization_{i}", **same) for i in (1, 2)
        ]
        first, second = (initializers.GlorotNormal(seed=next(seeds)) for _ in range(2))
        self.widen = layers.Dense(inner, kernel_initializer=first, name="widen", **same)
        self._second = second

    def build(self, input_shape):
        width = input_shape[-1]
        self.narrow = layers.Dense(width, kernel_initializer=self._second, name="narrow", dtype=self.dtype_policy)
        self.attention.build(input_shape)
        self.widen.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.inner))
        for normalization in self.normalizations:
            normalization.build(input_shape)
        self.built = True

    def call(self, x, token_mask, heads=None, training=None):
        y, attention, outputs = self.attention(x, token_mask, heads=heads, training=training)
        x = self.normalizations[0](x + self.dropouts[0](y, training=training))
        y = self.narrow(ACTIVATIONS[self.activation](self.widen(x)))
        x = self.normalizations[1](x + self.dropouts[1](y, training=training))
        return x, attention, outputs

    def get_config(self):
        return super().get_config() | {
            "heads": self.attention.heads,
            "inner": self.inner,
            "dropout": self.dropouts[0].rate,
            "attention_dropout": self.attention.dropout.rate,
            "activation": self.activation,
            "epsilon": self.normalizations[0].epsilon,
            "seed": self.seed,
        }
