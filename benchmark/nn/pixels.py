"""A network on images that are no whole numbers: for gradients by the pixels, and for images that are mixed."""

from typing import Any

import numpy as np

from benchmark.nn import normalisation


def on_floats(model: Any) -> Any:
    """Return a network up to its logits, with the same layers and weights, that takes float32 images from 0 to 255."""
    import keras

    from benchmark.nn.engines import common

    network = keras.Model(model.inputs[0], common.network(model).outputs[0])
    inputs = keras.Input(network.inputs[0].shape[1:], dtype="float32", name="float_images")
    return keras.models.clone_model(network, input_tensors=inputs, clone_function=lambda layer: layer)


def unit(model: Any) -> np.ndarray:
    """Return how many grey levels of the images are 1 for the network behind its first scaling, () or (channels,)
    float32: 255 for images from 0 to 1, 255 times the standard deviation for normalised ones."""
    layer = next((one for one in model.layers if one.name == normalisation.LAYER), None)
    return np.asarray(255 if layer is None else 1 / np.asarray(layer.scale, np.float64), np.float32)
