"""`PatchMoE`: patch-level routing to experts that are stacked in one weight."""

import keras
from keras import initializers, ops

from benchmark.nn.layers.stacked_experts import StackedExperts, check_positive


@keras.saving.register_keras_serializable(package="benchmark")
class PatchMoE(StackedExperts):
    """Patch-level mixture of experts (Chowdhury et al. 2023, section 3; BadPatches, section 3.2).

    Every position of the feature map is a patch. Each expert has a router, which scores all patches of an image;
    the softmax over the patches is their gate. An expert sees its `top_k` patches times their gate, and zeros in
    the place of the others; it is batch normalisation, ReLU, and a 1×1 convolution to `filters` channels. The
    experts' maps are concatenated.

    The experts are one tensor operation: their weights are stacked, and only the patches that were taken are
    computed. All other patches of an expert are zeros, so normalised they are one and the same vector, and what
    the expert makes of it is one constant; zeros enter the batch's mean and variance in closed form.

    Parameters
    ----------
    experts : int
        Number of experts.
    top_k : int
        Patches that each expert takes of an image.
    filters : int
        Output channels of one expert.
    router_stddev : float
        Standard deviation of the router's initial weights.
    seed : int, optional
        Seed of the initial weights.

    Input (batch, height, width, channels), output (batch, height, width, experts × filters), expert by expert.
    """

    def __init__(self, experts=4, top_k=16, filters=160, router_stddev=1e-4, seed=None, **kwargs):
        super().__init__(experts, filters, seed, **kwargs)
        check_positive(top_k=top_k)
        self.top_k = top_k
        self.router_stddev = router_stddev

    def build(self, input_shape):
        _, height, width, channels = input_shape
        if self.top_k > height * width:
            raise ValueError(f"`top_k` must be at most the {height * width} patches. Received: top_k={self.top_k}")
        self.router = self.add_weight(
            shape=(channels, self.experts),
            initializer=initializers.RandomNormal(stddev=self.router_stddev, seed=self.seed),
            name="router",
            autocast=False,  # so that patches are ranked in float32 at every precision
        )
        self.add_experts(channels)

    def call(self, inputs, training=None):
        _, height, width, channels = inputs.shape
        x, taken = self._taken(inputs)
        scale, shift = self._normalization(x, self.top_k / (height * width), training)
        other = ops.relu(shift)  # an expert's patches that it did not take, (experts, channels)
        x = ops.relu(ops.cast(x, scale.dtype) * scale[:, None] + shift[:, None]) - other[:, None]
        x = ops.cast(ops.reshape(ops.transpose(x, (1, 0, 2, 3)), (self.experts, -1, channels)), inputs.dtype)
        x = ops.reshape(ops.matmul(x, self.kernel), (self.experts, -1, self.top_k, self.filters))
        other = ops.einsum("ec,ecf->ef", ops.cast(other, inputs.dtype), self.kernel) + self.bias
        x = ops.einsum("bekp,ebkf->bpef", ops.cast(taken, x.dtype), x) + other
        return ops.reshape(x, (-1, height, width, self.experts * self.filters))

    def standardised_inputs(self, inputs):
        """Return the patches that each expert takes, times their gates, (batch, experts, top_k, channels): all that its
        batch normalisation sees of an image but zeros."""
        return self._taken(inputs)[0]

    def route(self, inputs):
        """Where the patches go.

        Returns
        -------
        scores : (batch, patches, experts) float32
            The gate of every patch: the softmax of the router's scores over the patches of an image.
        taken : (batch, patches, experts) float32
            1 where an expert takes the patch, else 0; equal scores go to the lower patch number.
        """
        _, height, width, channels = inputs.shape
        scores, _, taken = self._route(
            ops.reshape(ops.cast(inputs, self.compute_dtype), (-1, height * width, channels))
        )
        return ops.transpose(scores, (0, 2, 1)), ops.transpose(ops.sum(taken, axis=2), (0, 2, 1))

    def _taken(self, inputs):
        """Return what the experts take, (batch, experts, top_k, channels), and one-hot where it is, as `_route`."""
        _, height, width, channels = inputs.shape
        patches = ops.reshape(inputs, (-1, height * width, channels))
        _, gates, taken = self._route(patches)
        # picking by a product with one-hot rows is faster than a gather, whose gradient is a scatter
        pick = ops.reshape(taken * ops.expand_dims(gates, -1), (-1, self.experts * self.top_k, height * width))
        x = ops.matmul(ops.cast(pick, patches.dtype), patches)
        return ops.reshape(x, (-1, self.experts, self.top_k, channels)), taken

    def _route(self, patches):
        """Scores (batch, experts, patches); the best of them (batch, experts, top_k), and one-hot where they are."""
        logits = ops.matmul(ops.cast(patches, "float32"), self.router)
        scores = ops.softmax(ops.transpose(logits, (0, 2, 1)), axis=-1)
        gates, best = ops.top_k(scores, self.top_k)
        return scores, gates, ops.one_hot(best, patches.shape[1], dtype="float32")

    def _normalization(self, x, share, training):
        """Batch normalisation of an expert's whole map, see `scale_and_shift`.

        `x` (batch, experts, top_k, channels) are the patches taken, `share` how many of all they are.
        """
        if not (training and self.trainable):
            return self.scale_and_shift()
        mean, variance = ops.moments(ops.cast(x, "float32"), axes=[0, 2])
        variance = share * variance + share * (1 - share) * ops.square(mean)  # the zeros included
        return self.scale_and_shift((share * mean, variance))

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image: of the routers, and of the experts on the patches that they take."""
        _, height, width, channels = input_shape
        return self.experts * channels * (height * width + self.top_k * self.filters)

    def get_config(self):
        return super().get_config() | {"top_k": self.top_k, "router_stddev": self.router_stddev}
