"""`DenseExperts`: the experts of `PatchMoE` with the routing taken out."""

import keras
from keras import ops

from benchmark.nn.layers.stacked_experts import StackedExperts


@keras.saving.register_keras_serializable(package="benchmark")
class DenseExperts(StackedExperts):
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

    def __init__(self, experts=4, filters=160, seed=None, **kwargs):
        super().__init__(experts, filters, seed, **kwargs)

    def build(self, input_shape):
        self.add_experts(input_shape[-1])

    def call(self, inputs, training=None):
        _, height, width, channels = inputs.shape
        scale, shift = self._normalization(inputs, training)
        x = ops.reshape(inputs, (1, -1, channels))
        x = ops.relu(ops.cast(x, scale.dtype) * scale[:, None] + shift[:, None])  # (experts, batch · patches, channels)
        x = ops.matmul(ops.cast(x, inputs.dtype), self.kernel) + self.bias[:, None]
        x = ops.transpose(x, (1, 0, 2))
        return ops.reshape(x, (-1, height, width, self.experts * self.filters))

    def standardised_inputs(self, inputs):
        """Return the patches, which every expert's batch normalisation sees all of, (batch, 1, patches, channels)."""
        return ops.reshape(inputs, (-1, 1, inputs.shape[1] * inputs.shape[2], inputs.shape[3]))

    def _normalization(self, x, training):
        """Batch normalisation of the map, see `scale_and_shift`."""
        if training and self.trainable:
            return self.scale_and_shift(ops.moments(ops.cast(x, "float32"), axes=[0, 1, 2]))
        return self.scale_and_shift()

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image."""
        _, height, width, channels = input_shape
        return height * width * self.experts * channels * self.filters
