"""The wide residual network around the patch-level experts of BadPatches, whichever layer these are."""

from collections.abc import Callable

import keras
from keras import initializers, layers

from benchmark.core import random_streams


def wide_resnet(image_shape, classes, width, seed, experts: Callable, name: str) -> keras.Model:
    """Build the network with `experts(seed)` as the layer between its feature map of 64·width and its head.

    Every layer has its own seed, drawn from `seed`. See `pmoe` for the rest.
    """
    seeds = iter(random_streams.initial_seeds(seed, 16))

    def convolution(x, filters, size, strides=1, name=None):
        glorot = initializers.GlorotUniform(seed=next(seeds))
        layer = layers.Conv2D(
            filters, size, strides=strides, padding="same", kernel_initializer=glorot, name=f"{name}_conv"
        )
        return layer(x)

    def activated(x, name):
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    def block(x, filters, strides, name):
        """Pre-activation wide-residual block; the shortcut is a 1×1 convolution of the block's own input."""
        y = convolution(activated(x, f"{name}_1"), filters, 3, strides, f"{name}_1")
        y = convolution(activated(y, f"{name}_2"), filters, 3, 1, f"{name}_2")
        return layers.Add(name=f"{name}_add")([y, convolution(x, filters, 1, strides, f"{name}_shortcut")])

    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = convolution(x, 16, 3, name="stem")
    x = block(x, 16 * width, 1, "block1")
    x = block(x, 32 * width, 2, "block2")
    x = convolution(activated(x, "patches"), 64 * width, 3, 2, "patches")
    x = experts(next(seeds))(x)
    x = layers.GlobalAveragePooling2D(name="pool")(activated(x, "head"))
    glorot = initializers.GlorotUniform(seed=next(seeds))
    # logits and probabilities in float32 at every precision: bfloat16 has too few digits for a softmax
    x = layers.Dense(classes, kernel_initializer=glorot, dtype="float32", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(x), name=name)
