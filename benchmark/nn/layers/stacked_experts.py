"""`StackedExperts`: what layers of experts on patches share: their weights in one stack, and their normalisation."""

import math

import keras
from keras import initializers, ops


class StackedExperts(keras.layers.Layer):
    """The base of layers whose experts are batch normalisation, ReLU, and a 1×1 convolution to `filters` channels.

    Input (batch, height, width, channels), output (batch, height, width, experts × filters), expert by expert.
    """

    momentum = 0.99  # Keras' defaults of batch normalisation
    epsilon = 1e-3

    def __init__(self, experts, filters, seed, **kwargs):
        super().__init__(**kwargs)
        check_positive(experts=experts, filters=filters)
        self.experts = experts
        self.filters = filters
        self.seed = seed

    def add_experts(self, channels):
        """Add the weights of all experts; the kernel is drawn from `seed` + 1."""
        # Glorot's limit for one expert's kernel: Keras would take the first axis of a stack for a receptive field
        limit = math.sqrt(6 / (channels + self.filters))
        each = (self.experts, channels)
        self.kernel = self.add_weight(
            shape=(*each, self.filters),
            initializer=initializers.RandomUniform(-limit, limit, seed=None if self.seed is None else self.seed + 1),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.experts, self.filters), initializer="zeros", name="bias")
        # the normalisation's weights stay float32 at every precision, as in Keras' own layer
        self.gamma = self.add_weight(shape=each, initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=each, initializer="zeros", name="beta", autocast=False)
        statistics = {"shape": each, "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **statistics)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **statistics)

    def scale_and_shift(self, batch=None):
        """Return batch normalisation as `x · scale + shift`, each (experts, channels) float32.

        `batch` are the mean and the variance of a batch in training, which the moving ones then follow; without them
        the moving ones are taken.
        """
        if batch is None:
            mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        else:
            mean, variance = batch
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        return scale, self.beta - mean * scale

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.experts * self.filters)

    def get_config(self):
        return super().get_config() | {"experts": self.experts, "filters": self.filters, "seed": self.seed}


def check_positive(**numbers):
    """Raise ValueError where one of a layer's arguments is no positive whole number."""
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
