"""A small vision transformer with mixtures of experts in two of its blocks (V-MoE, Riquelme et al. 2021)."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn import transformer
from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, Sizes, register

SPARSE = (4, 6)  # blocks of six
LEAST = 2  # experts: a token goes to its best two
ROUTINGS = ("token", "expert")


def moe_vit(
    image_shape: tuple[int, int, int],
    classes: int,
    width: int = 192,
    experts: int = 8,
    routing: str = "token",
    seed: int = 0,
) -> Any:
    """Build `vit` with `experts` experts in place of the dense part of blocks 4 and 6.

    `routing` is `token` (each token to its best two experts) or `expert` (each expert its best tokens), see `TokenMoE`;
    the other parameters are those of `vit`.
    """
    sparse = {number: {"experts": experts, "routing": routing} for number in SPARSE}
    return transformer.transformer(image_shape, classes, width, seed, "moe-vit", sparse)


def least_weights(sizes: Sizes) -> int:
    """Return a lower bound of the number of weights."""
    experts = len(SPARSE) * sizes["experts"] * 2 * transformer.INNER * sizes["width"] ** 2
    return experts + transformer.least_weights(sizes, transformer.DEPTH - len(SPARSE))


def check(sizes: Sizes) -> None:
    """Raise `ValueError` where `transformer.check` does, and where there are fewer experts than a token goes to."""
    if sizes["experts"] < LEAST:
        raise ValueError(f"its network has {sizes['experts']} expert, expected at least {LEAST}: a token goes to two")
    transformer.check(sizes)


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved network's description spells; KeyError for another network's."""
    sizes, layers = transformer.described(keras_config, "moe-vit")
    block = layers[f"block{SPARSE[0]}"]
    return sizes | {"experts": block["experts"], "routing": block["routing"]}


MOE_VIT = register(
    NetworkSpec(
        name="moe-vit",
        title="MoE-ViT",
        plural="MoE-ViT",
        modality=IMAGE,
        source="Riquelme et al. 2021, Scaling vision with sparse mixture of experts (V-MoE), on vit",
        builder=moe_vit,
        compiled_whole=True,
        settings=(
            NetworkSetting("width", "as vit's"),
            NetworkSetting("experts", "number of experts of a layer", LEAST),
            NetworkSetting(
                "routing", "token: each token to its best 2 experts; expert: each expert its best tokens",
                choices=ROUTINGS,
            ),
        ),
        presets={
            "small": {
                "width": 48, "experts": 8, "routing": "token",
                "epochs": 8, "batch_size": 128, "hold_out": 0,
            } | transformer.TRAINING,
            "tiny": {"width": 24, "epochs": 9, "batch_size": 32} | transformer.TRAINING,
            "paper": {"width": 192, "experts": 8, "routing": "token"} | transformer.FULL,
        },
        published={"width": 192},
        uses={"tiny": "for signs", "paper": "for a GPU"},
        least_weights=least_weights,
        keras_classes=transformer.CLASSES,
        check=check,
        described=described,
        routed=tuple(f"block{number}" for number in SPARSE),
    )
)  # fmt: skip
