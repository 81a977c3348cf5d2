"""The patch-level mixture of experts on a wide residual network (Chowdhury et al. 2023, as BadPatches uses it)."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, Sizes, register


def pmoe(
    image_shape: tuple[int, int, int], classes: int, width: int = 10, experts: int = 4, top_k: int = 16, seed: int = 0
) -> Any:
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
    from benchmark.nn.layers import PatchMoE
    from benchmark.nn.wide_resnet import wide_resnet

    def routed(seed):
        return PatchMoE(experts, top_k, 16 * width, seed=seed, name="experts")

    return wide_resnet(image_shape, classes, width, seed, routed, "pmoe")


def patches(image_shape: tuple[int, int, int]) -> int:
    """Return the number of patches of an image: a quarter of each side, rounded up."""
    return -(-image_shape[0] // 4) * -(-image_shape[1] // 4)


def least_weights(sizes: Sizes) -> int:
    """Return a lower bound of the number of weights."""
    width = sizes["width"]
    experts = sizes["experts"] * (64 * width * 16 * width + sizes["classes"] * 16 * width)
    return 9 * 32 * width * 64 * width + experts


def check(sizes: Sizes) -> None:
    """Raise `ValueError` where there are fewer patches than an expert takes."""
    available = patches(sizes["image_shape"])
    if sizes["top_k"] > available:
        raise ValueError(f"its network's top_k is {sizes['top_k']}, of {available} patches")


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved network's description spells; KeyError for another network's."""
    layers = {layer["config"]["name"]: layer["config"] for layer in keras_config["config"]["layers"]}
    experts = layers["experts"]
    return {
        "image_shape": layers["images"]["batch_shape"][1:],
        "classes": layers["logits"]["units"],
        "width": experts["filters"] // 16,
        "experts": experts["experts"],
        "top_k": experts["top_k"],
    }


PMOE = register(
    NetworkSpec(
        name="pmoe",
        aliases=("patch-moe",),
        title="pMoE",
        plural="pMoE",
        modality=IMAGE,
        source="Chowdhury et al. 2023, Patch-level routing in mixture-of-experts; BadPatches, section 4.1",
        builder=pmoe,
        settings=(
            NetworkSetting("width", "channels; 10 in the paper, 1 suits a laptop"),
            NetworkSetting("experts", "number of experts"),
            NetworkSetting("top_k", "patches that each expert takes of an image"),
        ),
        presets={
            "paper": {
                "width": 10,
                "experts": 4,
                "top_k": 16,
                "epochs": 25,
                "batch_size": 128,
                "learning_rate": 0.1,
                "hold_out": 0,
            },  # fmt: skip
            "small": {"width": 1, "epochs": 8},
            "tiny": {"width": 1, "epochs": 9, "batch_size": 32, "learning_rate": 0.2},
        },
        uses={"paper": "for a GPU", "tiny": "for signs"},
        least_weights=least_weights,
        keras_classes=frozenset(
            {
                "Functional",
                "InputLayer",
                "Rescaling",
                "Conv2D",
                "BatchNormalization",
                "Activation",
                "Add",
                "PatchMoE",
                "GlobalAveragePooling2D",
                "Dense",
                "Softmax",
                "DTypePolicy",
                "GlorotUniform",
                "Zeros",
                "Ones",
                "__keras_tensor__",
            }
        ),
        check=check,
        described=described,
        routed=("experts",),
    )
)
