"""`BatchNorm`: batch normalisation whose running variance is unbiased, as PyTorch keeps it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="benchmark")
class BatchNorm(keras.layers.Layer):
    """Normalise each channel over batch and positions (Ioffe & Szegedy 2015), as `torch.nn.BatchNorm2d` does.

    Keras' own layer keeps the biased variance of a batch, PyTorch n/(n − 1) of it, n being the batch's positions; its
    running statistics move by a tenth (`momentum` 0.9 in Keras' sense), with an epsilon of 1e-5.

    Input and output (batch, …, channels). The statistics are float32 at every precision.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = {"shape": (input_shape[-1],), "autocast": False}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **shape)
        self.beta = self.add_weight(initializer="zeros", name="beta", **shape)
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", trainable=False, **shape)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", trainable=False, **shape)

    def call(self, inputs, training=None):
        if training and self.trainable:
            axes = list(range(len(inputs.shape) - 1))
            mean, variance = ops.moments(ops.cast(inputs, "float32"), axes=axes)
            count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
            unbiased = variance * count / ops.maximum(count - 1, 1)
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
        else:
            mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        return ops.cast(ops.cast(inputs, scale.dtype) * scale + shift, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}
