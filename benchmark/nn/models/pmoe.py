"""The patch-level mixture of experts on a wide residual network (Chowdhury et al. 2023, as BadPatches uses it)."""

import keras
from keras import initializers, layers

from benchmark.core import random_streams
from benchmark.nn.layers import PatchMoE


def pmoe(image_shape, classes, width=10, experts=4, top_k=16, seed=0) -> keras.Model:
    """Build the network.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width, channels of the images. The feature map is a quarter of each side: 8×8 patches for 32×32.
    classes : int
        Number of classes.
    width : int
        The paper's is 10: blocks of 16·width and 32·width channels, a map of 64·width, experts of 16·width.
    experts, top_k : int
        Number of experts; patches that each takes of an image.
    seed : int
        Of the initial weights. Every layer has its own seed drawn from it, so that no global state matters.

    Returns
    -------
    keras.Model
        uint8 images (n, H, W, C) in, probabilities (n, classes) float32 out; the layer before the softmax is
        called `logits`. 3,971,242 parameters at width 10 with 10 classes, BN statistics included.
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
    x = PatchMoE(experts, top_k, 16 * width, seed=next(seeds), name="experts")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(activated(x, "head"))
    glorot = initializers.GlorotUniform(seed=next(seeds))
    # logits and probabilities in float32 at every precision: bfloat16 has too few digits for a softmax
    x = layers.Dense(classes, kernel_initializer=glorot, dtype="float32", name="logits")(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(x), name="pmoe")
