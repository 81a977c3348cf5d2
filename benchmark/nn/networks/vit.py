"""A small vision transformer (Dosovitskiy et al. 2021), as `timm` builds it."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn import transformer
from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, Sizes, register


def vit(image_shape: tuple[int, int, int], classes: int, width: int = 192, seed: int = 0) -> Any:
    """Build the network: six pre-norm blocks of three heads; the class token is classified.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width, channels of the images. Patches of 4×4 for 32×32 (see `transformer.patch_of`).
    classes : int
        Number of classes.
    width : int
        Length of a token's vector, a multiple of the heads.
    seed : int
        Of the initial weights, which come from our own stream.

    Returns
    -------
    keras.Model
        uint8 images (n, H, W, C) in, probabilities (n, classes) float32 out; the layer before the softmax is called
        `logits`. 2,693,578 parameters at width 192 with 10 classes.
    """
    return transformer.transformer(image_shape, classes, width, seed, "vit")


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved network's description spells; KeyError for another network's."""
    return transformer.described(keras_config, "vit")[0]


VIT = register(
    NetworkSpec(
        name="vit",
        aliases=("vision-transformer",),
        title="ViT",
        plural="ViT",
        modality=IMAGE,
        source="Dosovitskiy et al. 2021, An image is worth 16x16 words; as in timm",
        builder=vit,
        compiled_whole=True,
        settings=(NetworkSetting("width", "length of a token's vector, a multiple of 3; 192 is usual"),),
        presets={
            "small": {"width": 48, "epochs": 8, "batch_size": 128, "hold_out": 0} | transformer.TRAINING,
            "tiny": {"width": 24, "epochs": 9, "batch_size": 32} | transformer.TRAINING,
            "paper": {"width": 192} | transformer.FULL,
        },
        published={"width": 192},
        uses={"tiny": "for signs", "paper": "for a GPU"},
        least_weights=transformer.least_weights,
        keras_classes=transformer.CLASSES,
        check=transformer.check,
        described=described,
    )
)
