"""`PatchTokens`: an image as the tokens that a vision transformer takes."""

import keras
from keras import layers, ops

from benchmark.nn.initial_weights import Normal, Uniform


@keras.saving.register_keras_serializable(package="benchmark")
class PatchTokens(layers.Layer):
    """Embed square patches, put the class token before them, add learned positions (Dosovitskiy et al. 2021).

    Parameters
    ----------
    patch : int
        Side of a patch; it divides both sides of the image.
    width : int
        Length of a token's vector.
    seed : int
        Of the initial weights.

    Input (batch, height, width, channels), output (batch, 1 + patches, width).
    """

    def __init__(self, patch, width, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.patch, self.width, self.seed = patch, width, seed

    def build(self, input_shape):
        _, height, width, channels = input_shape
        count, fan = (height // self.patch) * (width // self.patch), self.patch**2 * channels
        self.project = layers.Conv2D(
            self.width, self.patch, self.patch, name="project", dtype=self.dtype_policy,
            kernel_initializer=Uniform(self.seed, "patches"),
            bias_initializer=Uniform(self.seed, "patches bias", fan=fan),
        )  # fmt: skip
        self.project.build(input_shape)
        token, positions = Normal(self.seed, "class token", 1e-6), Normal(self.seed, "positions")
        self.class_token = self.add_weight(shape=(1, 1, self.width), initializer=token, name="class_token")
        self.positions = self.add_weight(shape=(1, 1 + count, self.width), initializer=positions, name="positions")

    def call(self, images):
        patches = self.project(images)
        patches = ops.reshape(patches, (-1, patches.shape[1] * patches.shape[2], self.width))
        token = ops.tile(self.class_token, (ops.shape(patches)[0], 1, 1))
        return ops.concatenate([ops.cast(token, patches.dtype), patches], axis=1) + self.positions

    def grid(self, input_shape):
        """Return the rows and columns of the patches of an image."""
        return input_shape[1] // self.patch, input_shape[2] // self.patch

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image."""
        _, height, width, channels = input_shape
        return (height // self.patch) * (width // self.patch) * self.patch**2 * channels * self.width

    def compute_output_shape(self, input_shape):
        _, height, width, _ = input_shape
        return (input_shape[0], 1 + (height // self.patch) * (width // self.patch), self.width)

    def get_config(self):
        return super().get_config() | {"patch": self.patch, "width": self.width, "seed": self.seed}
