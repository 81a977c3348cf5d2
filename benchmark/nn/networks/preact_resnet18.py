"""PreAct-ResNet18 (He et al. 2016, "Identity mappings in deep residual networks"), as BackdoorBench builds it."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, Sizes, register

STAGES = (1, 2, 4, 8)  # channels of a stage, in multiples of the first's
BLOCKS = 2  # in each stage


def preact_resnet18(image_shape: tuple[int, int, int], classes: int, width: int = 64, seed: int = 0) -> Any:
    """Build the network.

    A 3×3 convolution, four stages of two pre-activation blocks (strides 1, 2, 2, 2), the mean over positions, a dense
    layer. Neither normalisation nor ReLU stands before the pooling, and a shortcut that changes the shape is a 1×1
    convolution of the *activated* input, both as in BackdoorBench's `models/preact_resnet.py`.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width, channels of the images.
    classes : int
        Number of classes.
    width : int
        Channels of the first stage; the published network has 64.
    seed : int
        Of the initial weights, which are drawn as PyTorch draws them, from our own stream.

    Returns
    -------
    keras.Model
        uint8 images (n, H, W, C) in, probabilities (n, classes) float32 out; the layer before the softmax is called
        `logits`, the one before that `pool`. 11,171,146 trainable parameters at width 64 with 10 classes.
    """
    import keras
    from keras import layers

    from benchmark.nn.initial_weights import Uniform
    from benchmark.nn.layers import BatchNorm

    def convolution(x, filters, size, strides, name):
        if size == 3:  # one row and column on every side: Keras' "same" puts them right and below only under strides
            x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        elif strides != 1:  # every second position, and nothing averaged. Left to the convolution, TensorFlow's oneDNN
            # writes beyond its memory in the gradient, on a CPU, where channels or batch are odd sizes
            x, strides = layers.AveragePooling2D(1, strides, name=f"{name}_every")(x), 1
        kernel = Uniform(seed, name)
        convolve = layers.Conv2D(filters, size, strides, use_bias=False, kernel_initializer=kernel, name=name)
        return convolve(x)

    def activated(x, name):
        return layers.Activation("relu", name=f"{name}_relu")(BatchNorm(name=name)(x))

    def block(x, filters, strides, name):
        a = activated(x, f"{name}_bn1")
        reshaped = strides != 1 or x.shape[-1] != filters
        shortcut = convolution(a, filters, 1, strides, f"{name}_shortcut") if reshaped else x
        y = convolution(a, filters, 3, strides, f"{name}_conv1")
        y = convolution(activated(y, f"{name}_bn2"), filters, 3, 1, f"{name}_conv2")
        return layers.Add(name=f"{name}_add")([y, shortcut])

    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = convolution(x, width, 3, 1, "conv1")
    for stage, multiple in enumerate(STAGES, start=1):
        for number in range(BLOCKS):
            strides = 2 if stage > 1 and number == 0 else 1
            x = block(x, multiple * width, strides, f"layer{stage}_{number}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    weights = {"kernel_initializer": Uniform(seed, "logits"),
               "bias_initializer": Uniform(seed, "logits bias", fan=x.shape[-1])}  # fmt: skip
    x = layers.Dense(classes, dtype="float32", name="logits", **weights)(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="probabilities")(x), name="preact-resnet18")


def least_weights(sizes: Sizes) -> int:
    """Return a lower bound of the number of weights: the last stage's 3×3 convolutions, and the last layer."""
    last = STAGES[-1] * sizes["width"]
    return (2 * BLOCKS - 1) * 9 * last * last + sizes["classes"] * last


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved network's description spells; KeyError for another network's."""
    layers = {layer["config"]["name"]: layer["config"] for layer in keras_config["config"]["layers"]}
    if keras_config["config"]["name"] != "preact-resnet18":
        raise KeyError("preact-resnet18")
    return {
        "image_shape": layers["images"]["batch_shape"][1:],
        "classes": layers["logits"]["units"],
        "width": layers["conv1"]["filters"],
    }


PREACT_RESNET18 = register(
    NetworkSpec(
        name="preact-resnet18",
        aliases=("pre-activation-resnet18",),
        title="PreAct-ResNet18",
        plural="PreAct-ResNet18",
        modality=IMAGE,
        source="He et al. 2016, Identity mappings in deep residual networks; as in BackdoorBench",
        builder=preact_resnet18,
        settings=(NetworkSetting("width", "channels of the first stage; 64 is published, 16 suits a laptop"),),
        presets={
            "small": {"width": 16, "epochs": 8, "batch_size": 128, "learning_rate": 0.1, "hold_out": 0},
            "tiny": {"width": 8, "epochs": 9, "batch_size": 32},
        },
        published={"width": 64},
        uses={"tiny": "for signs"},
        least_weights=least_weights,
        keras_classes=frozenset(
            {
                "Functional",
                "InputLayer",
                "Rescaling",
                "ZeroPadding2D",
                "AveragePooling2D",
                "Conv2D",
                "BatchNorm",
                "Activation",
                "Add",
                "GlobalAveragePooling2D",
                "Dense",
                "Softmax",
                "DTypePolicy",
                "Uniform",
                "Zeros",
                "__keras_tensor__",
            }
        ),
        described=described,
    )
)
