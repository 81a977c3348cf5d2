"""The small network that most pieces of tests/golden/repairs.npz are of, and its arrays in our layouts.

Two 3×3 convolutions without bias, 3→6 and 6→8 channels, each with batch normalisation and ReLU; the mean over
positions; a dense layer to 4 classes.
"""

import os
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "repairs.npz"
BACKEND = os.environ.get("REPAIRS_TESTED_ON", "tensorflow")
"""The backend that the tests against golden numbers run on, see `test_other_backends.py`."""
WEIGHTS = ("c1.weight", "b1.weight", "b1.bias", "c2.weight", "b2.weight", "b2.bias", "fc.weight", "fc.bias")
"""PyTorch's names of the trainable weights, in the order of the network's own."""


def golden():
    """Return all arrays by their names."""
    with np.load(GOLDEN, allow_pickle=False) as found:
        return dict(found)


def ours(array):
    """Turn an array from PyTorch's layout into Keras': OIHW to HWIO, (out, in) to (in, out), NCHW images to NHWC."""
    return np.ascontiguousarray(
        {4: lambda a: a.transpose(2, 3, 1, 0), 2: np.transpose}.get(array.ndim, np.array)(array)
    )


def images(array):
    """Turn images or maps from NCHW to NHWC."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def network(arrays):
    """Build the network with its golden weights; float32 images (n, 6, 6, 3) in, its logits in the layer `logits`."""
    import keras
    from keras import layers

    from benchmark.nn.layers import BatchNorm

    inputs = x = keras.Input((6, 6, 3), name="images")
    for number, filters in ((1, 6), (2, 8)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"c{number}")(x)
        x = layers.Activation("relu", name=f"relu{number}")(BatchNorm(name=f"b{number}")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(4, name="logits")(x)
    model = keras.Model(inputs, layers.Softmax(name="probabilities")(x))
    for number in (1, 2):
        model.get_layer(f"c{number}").kernel.assign(ours(arrays[f"anp.c{number}.weight"]))
        layer, prefix = model.get_layer(f"b{number}"), f"anp.b{number}."
        layer.gamma.assign(arrays[prefix + "weight"])
        layer.beta.assign(arrays[prefix + "bias"])
        layer.moving_mean.assign(arrays[prefix + "running_mean"])
        layer.moving_variance.assign(arrays[prefix + "running_var"])
    model.get_layer("logits").kernel.assign(ours(arrays["anp.fc.weight"]))
    model.get_layer("logits").bias.assign(arrays["anp.fc.bias"])
    return model
