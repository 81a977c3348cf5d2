"""The same network as `benchmark.nn.networks.pmoe`, written plainly: Keras' functional API, one expert after the other.

Each expert has layers of its own, and picks its patches with `tf.nn.top_k` and a scatter, as the paper's published
code does. It runs on TensorFlow alone. The tests compare numbers with it, `perf_training.py` time.
"""

import keras
import tensorflow as tf
from keras import layers


class TopPatches(layers.Layer):
    """Router scores (batch, h, w, 1) → gates (batch, h, w, 1): softmax over the patches, the best k kept."""

    def __init__(self, top_k, **kwargs):
        super().__init__(**kwargs)
        self.top_k = top_k

    def call(self, scores):
        shape = tf.shape(scores)
        patches = shape[1] * shape[2]
        gates = tf.nn.softmax(tf.reshape(scores, (-1, patches)))
        best, index = tf.nn.top_k(gates, self.top_k)
        rows = tf.repeat(tf.range(shape[0]), self.top_k)
        where = tf.stack([rows, tf.reshape(index, [-1])], axis=1)
        kept = tf.scatter_nd(where, tf.reshape(best, [-1]), (shape[0], patches))
        return tf.reshape(kept, shape)

    def compute_output_shape(self, shape):
        return shape


def plain_pmoe(image_shape, classes, width=10, experts=4, top_k=16) -> keras.Model:
    """uint8 images in, probabilities out."""

    def activated(x):
        return layers.ReLU()(layers.BatchNormalization()(x))

    def block(x, filters, strides):
        y = layers.Conv2D(filters, 3, strides=strides, padding="same")(activated(x))
        y = layers.Conv2D(filters, 3, padding="same")(activated(y))
        return layers.Add()([y, layers.Conv2D(filters, 1, strides=strides, padding="same")(x)])

    inputs = keras.Input(image_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, padding="same")(x)
    x = block(x, 16 * width, 1)
    x = block(x, 32 * width, 2)
    x = layers.Conv2D(64 * width, 3, strides=2, padding="same")(activated(x))
    outputs = []
    for number in range(experts):
        router = keras.initializers.RandomNormal(stddev=1e-4)
        scores = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=router, name=f"router_{number}")(x)
        y = layers.Multiply()([x, TopPatches(top_k)(scores)])
        y = layers.ReLU()(layers.BatchNormalization(name=f"bn_{number}")(y))
        outputs.append(layers.Conv2D(16 * width, 1, name=f"expert_{number}")(y))
    x = activated(layers.Concatenate()(outputs))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, layers.Softmax()(x))


def copy_weights(model: keras.Model, plain: keras.Model) -> None:
    """Give the plain network the weights of the stacked one. Trunk layers have the same order in both."""
    import numpy as np

    moe = model.get_layer("experts")
    theirs = [
        layer for layer in plain.layers if layer.weights and not layer.name.startswith(("router", "bn", "expert"))
    ]
    ours = [layer for layer in model.layers if layer.weights and layer is not moe]
    for source, target in zip(_by_kind(ours), _by_kind(theirs), strict=True):
        target.set_weights(source.get_weights())
    normalization = [np.asarray(value) for value in (moe.gamma, moe.beta, moe.moving_mean, moe.moving_variance)]
    for number in range(moe.experts):
        plain.get_layer(f"router_{number}").set_weights([np.asarray(moe.router)[None, None, :, number, None]])
        plain.get_layer(f"bn_{number}").set_weights([value[number] for value in normalization])
        expert = [np.asarray(moe.kernel)[None, None, number], np.asarray(moe.bias)[number]]
        plain.get_layer(f"expert_{number}").set_weights(expert)


def _by_kind(found: list) -> list:
    """Layers in the order of creation, by kind: both networks create the layers of one kind in the same order."""
    return sorted(found, key=lambda layer: type(layer).__name__)
