"""Normalisation of images: published means and standard deviations of the channels, by the name of their data set.

A normalised network does it itself, in its first layer, which is called `scale`: so whatever scores it gives it the
same uint8 images. Nothing here imports Keras.
"""

from typing import Any

from benchmark.core.errors import Usage

NONE = "none"
LAYER = "scale"
MEANS_AND_DEVIATIONS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "gtsrb": ((0.3337, 0.3064, 0.3171), (0.2672, 0.2564, 0.2629)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Of pixels from 0 to 1. BackdoorBench's, but for gtsrb (backdoor-toolbox's; BackdoorBench has none there), imagenet
(torchvision's) and half (−1 to 1)."""
NAMES = (NONE, *MEANS_AND_DEVIATIONS)


def check(name: Any, image_shape: tuple[int, ...]) -> None:
    """Raise `ValueError`, one clause, where there is no such normalisation, or not for images of so many channels."""
    if name not in NAMES:
        raise ValueError(f"its normalisation is {name!r:.40}, expected one of {', '.join(NAMES)}")
    if name != NONE and image_shape[2] != len(MEANS_AND_DEVIATIONS[name][0]):
        raise ValueError(f"normalisation {name} is for 3 channels, the images have {image_shape[2]}")


def apply(model: Any, name: str) -> None:
    """Have a new network for images from 0 to 1, made in its layer `scale`, normalise them.

    `Usage` where it has no such layer.
    """
    if name == NONE:
        return
    layer = next((one for one in model.layers if one.name == LAYER), None)
    if layer is None:
        raise Usage(f"--normalisation {name} is not for this network, which scales its images itself")
    layer.scale, layer.offset = _factors(name)


def described(keras_config: Any) -> dict[str, str]:
    """Return the normalisation that a saved network's description spells, as one of its sizes; empty for none."""
    layers = {layer["config"]["name"]: layer["config"] for layer in keras_config["config"]["layers"]}
    scale = layers.get(LAYER, {}).get("scale")
    name = next((name for name in MEANS_AND_DEVIATIONS if scale == _factors(name)[0]), None)
    return {} if name is None else {"normalisation": name}


def _factors(name: str) -> tuple[list[float], list[float]]:
    """Return factor and summand of each channel's bytes."""
    means, deviations = MEANS_AND_DEVIATIONS[name]
    factors = [1 / (255 * deviation) for deviation in deviations]
    return factors, [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
