"""`HeadAttention`: self-attention whose heads can be inspected, and switched off one by one."""

import keras
from keras import initializers, layers, ops

FAR = -1e9  # added to the scores of padding: their attention is 0 in float32


@keras.saving.register_keras_serializable(package="benchmark")
class HeadAttention(layers.Layer):
    """Multi-head self-attention (Vaswani et al. 2017), which gives its maps and takes a mask over heads.

    Head h is one slice of each weight: `query`, `key` and `value` are (width, heads, size) with biases (heads, size),
    `output_kernel` is (heads, size, width) with the bias (width,), where size = width / heads.

    Parameters
    ----------
    heads : int
        Number of heads.
    dropout : float
        Of the attention, while training.
    seed : int, optional
        Seed of the initial weights and of the dropout.

    Called with `x` (batch, tokens, width), `token_mask` (batch, tokens) bool: False where a token is padding; and
    `heads` (heads,) or (batch, heads): what each head's output is multiplied by, None for ones.

    Returns the output (batch, tokens, width); the attention (batch, heads, tokens, tokens): a row is a token's
    attention to all, and sums to 1; and each head's own output before the projection (batch, heads, tokens, size), not
    multiplied by `heads`.
    """

    def __init__(self, heads, dropout=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(heads, int) or heads < 1:
            raise ValueError(f"`heads` must be a positive integer. Received: heads={heads}")
        self.heads = heads
        self.seed = seed
        self.dropout = layers.Dropout(
            dropout, seed=None if seed is None else seed + 4, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.heads:
            raise ValueError(f"`heads` must divide the width {width}. Received: heads={self.heads}")
        self.size = width // self.heads
        seeds = iter([None] * 4 if self.seed is None else range(self.seed, self.seed + 4))
        for name in ("query", "key", "value"):
            normal = initializers.RandomNormal(stddev=width**-0.5, seed=next(seeds))  # Glorot's, of the whole kernel
            kernel = self.add_weight(shape=(width, self.heads, self.size), initializer=normal, name=name)
            bias = self.add_weight(shape=(self.heads, self.size), initializer="zeros", name=f"{name}_bias")
            setattr(self, name, kernel)
            setattr(self, f"{name}_bias", bias)
        normal = initializers.RandomNormal(stddev=width**-0.5, seed=next(seeds))
        shape = (self.heads, self.size, width)
        self.output_kernel = self.add_weight(shape=shape, initializer=normal, name="output")
        self.output_bias = self.add_weight(shape=(width,), initializer="zeros", name="output_bias")
        self.built = True

    def call(self, x, token_mask, heads=None, training=None):
        width, tokens = x.shape[-1], ops.shape(x)[1]
        query, key, value = (self._projected(x, name) for name in ("query", "key", "value"))
        scores = ops.matmul(query * self.size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        far = FAR * (1.0 - ops.cast(token_mask, "float32"))
        attention = ops.softmax(ops.cast(scores, "float32") + far[:, None, None, :], axis=-1)
        weights = self.dropout(ops.cast(attention, value.dtype), training=training)
        outputs = kept = ops.matmul(weights, value)
        if heads is not None:
            kept = outputs * ops.reshape(ops.cast(heads, outputs.dtype), (-1, self.heads, 1, 1))
        together = ops.reshape(ops.transpose(kept, (0, 2, 1, 3)), (-1, tokens, width))
        x = ops.matmul(together, ops.reshape(self.output_kernel, (width, width))) + self.output_bias
        return x, attention, outputs

    def _projected(self, x, name: str):
        """(batch, heads, tokens, size)"""
        width, tokens = x.shape[-1], ops.shape(x)[1]
        kernel, bias = getattr(self, name), getattr(self, f"{name}_bias")
        x = ops.matmul(x, ops.reshape(kernel, (width, width))) + ops.reshape(bias, (width,))
        return ops.transpose(ops.reshape(x, (-1, tokens, self.heads, self.size)), (0, 2, 1, 3))

    def get_config(self):
        return super().get_config() | {"heads": self.heads, "dropout": self.dropout.rate, "seed": self.seed}
