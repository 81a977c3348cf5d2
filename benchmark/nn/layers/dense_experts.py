"""`DenseExperts`: the experts of `PatchMoE` with the routing taken out."""

import math

import keras
from keras import initializers, ops


@keras.saving.register_keras_serializable(package="benchmark")
class DenseExperts(keras.layers.Layer):
    """The control of a patch-level mixture of experts: every expert sees every patch, unweighted.

    Each expert is batch normalisation, ReLU, and a 1×1 convolution to `filters` channels of the whole feature map; the
    experts' maps are concatenated. Weights, initialisers and seeds are those of `PatchMoE`, less the router.

    Parameters
    ----------
    experts, filters : int
        Number of experts; output channels of one.
    seed : int, optional
        Seed of the initial weights, as `PatchMoE` takes it.

    Input (batch, height, width, channels), output (batch, height, width, experts × filters), expert by expert.
    """

    momentum = 0.99  # Keras' defaults of batch normalisation, as in `PatchMoE`
    epsilon = 1e-3

    def __init__(self, experts=4, filters=160, seed=None, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("experts", experts), ("filters", filters)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
        self.experts = experts
        self.filters = filters
        self.seed = seed

    def build(self, input_shape):
        channels = input_shape[-1]
        limit = math.sqrt(6 / (channels + self.filters))  # Glorot's, for one expert's kernel
        each = (self.experts, channels)
        self.kernel = self.add_weight(
            shape=(*each, self.filters),
            initializer=initializers.RandomUniform(-limit, limit, seed=None if self.seed is None else self.seed + 1),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.experts, self.filters), initializer="zeros", name="bias")
        self.gamma = self.add_weight(shape=each, initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=each, initializer="zeros", name="beta", autocast=False)
        statistics = {"shape": each, "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **statistics)

    def call(self, inputs, training=None):
        _, height, width, channels = inputs.shape
        scale, shift = self._normalization(inputs, training)
        x = ops.reshape(inputs, (1, -1, channels))
        x = ops.relu(ops.cast(x, scale.dtype) * scale[:, None] + shift[:, None])  # (experts, batch · patches, channels)
        x = ops.matmul(ops.cast(x, inputs.dtype), self.kernel) + self.bias[:, None]
        x = ops.transpose(x, (1, 0, 2))
        return ops.reshape(x, (-1, height, width, self.experts * self.filters))

    def _normalization(self, x, training):
        """Batch normalisation of the map as `x · scale + shift`, each (experts, channels) float32."""
        if training and self.trainable:
            mean, variance = ops.moments(ops.cast(x, "float32"), axes=[0, 1, 2])
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
        else:
            mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        return scale, self.beta - mean * scale

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image."""
        _, height, width, channels = input_shape
        return height * width * self.experts * channels * self.filters

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.experts * self.filters)

    def get_config(self):
        return super().get_config() | {"experts": self.experts, "filters": self.filters, "seed": self.seed}
