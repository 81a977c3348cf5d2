"""`ViTBlock`: one pre-norm block of a vision transformer."""

import keras
from keras import layers, ops

from benchmark.nn.initial_weights import Normal
from benchmark.nn.layers.token_moe import TokenMoE


@keras.saving.register_keras_serializable(package="benchmark")
class ViTBlock(layers.Layer):
    """Attention and a dense part, each after a normalisation and with its own input added (Dosovitskiy et al. 2021).

    Parameters
    ----------
    heads : int
        Heads of the attention; they divide the width.
    inner : int
        Width between the two dense layers.
    seed : int
        Of the initial weights.
    experts : int
        0: two dense layers; else the number of experts of a `TokenMoE` in their place.
    routing : str
        Of the `TokenMoE`.

    Input and output (batch, tokens, width).
    """

    epsilon = 1e-6  # of the normalisations

    def __init__(self, heads, inner, seed=0, experts=0, routing="token", **kwargs):
        super().__init__(**kwargs)
        self.heads, self.inner, self.seed, self.experts, self.routing = heads, inner, seed, experts, routing

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.heads:
            raise ValueError(f"`heads` must divide the width of {width}. Received: heads={self.heads}")
        self.norm1 = self._norm("norm1", input_shape)
        self.qkv = self._dense("qkv", 3 * width, input_shape)
        self.proj = self._dense("proj", width, input_shape)
        self.norm2 = self._norm("norm2", input_shape)
        if self.experts:
            named = {"name": f"{self.name}_experts", "dtype": self.dtype_policy}
            self.moe = self._part(TokenMoE(self.experts, self.inner, self.routing, self.seed, **named), input_shape)
        else:
            self.fc1 = self._dense("fc1", self.inner, input_shape)
            self.fc2 = self._dense("fc2", width, (*input_shape[:-1], self.inner))

    def _norm(self, name, shape):
        return self._part(layers.LayerNormalization(epsilon=self.epsilon, name=name, dtype=self.dtype_policy), shape)

    def _dense(self, name, units, shape):
        kernel = Normal(self.seed, f"{self.name} {name}")
        return self._part(layers.Dense(units, kernel_initializer=kernel, name=name, dtype=self.dtype_policy), shape)

    def _part(self, layer, shape):
        layer.build(shape)
        return layer

    def call(self, x, training=None):
        x = x + self.attend(self.norm1(x))[0]
        y = self.norm2(x)
        if self.experts:
            return x + self.moe(y, training=training)
        return x + self.fc2(ops.gelu(self.fc1(y), approximate=False))

    def attend(self, x):
        """Return the attention's output (batch, tokens, width) for a normalised input, and its weights (batch, heads,
        tokens, tokens)."""
        _, tokens, width = x.shape
        size = width // self.heads
        qkv = ops.reshape(self.qkv(x), (-1, tokens, 3, self.heads, size))
        q, k, v = (ops.transpose(qkv[:, :, i], (0, 2, 1, 3)) for i in range(3))
        weights = ops.softmax(ops.matmul(q * size**-0.5, ops.transpose(k, (0, 1, 3, 2))), axis=-1)
        mixed = ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))
        return self.proj(ops.reshape(mixed, (-1, tokens, width))), weights

    def route(self, x):
        """Return where the tokens of an input go; of a block with experts alone: see `TokenMoE.route`."""
        x = x + self.attend(self.norm1(x))[0]
        return self.moe.route(self.norm2(x))

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image: of the attention, its products included, and of the dense part."""
        _, tokens, width = input_shape
        attention = tokens * (4 * width * width + 2 * tokens * width)
        return attention + (self.moe.multiply_adds(input_shape) if self.experts else 2 * tokens * width * self.inner)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "inner": self.inner,
            "seed": self.seed,
            "experts": self.experts,
            "routing": self.routing,
        }
