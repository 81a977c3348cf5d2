"""The control of pMoE: the same network with its routing taken out."""

from collections.abc import Mapping
from typing import Any

from benchmark.nn.networks.pmoe import PMOE
from benchmark.nn.networks.registry import IMAGE, NetworkSetting, NetworkSpec, Sizes, register


def pmoe_dense(
    image_shape: tuple[int, int, int], classes: int, width: int = 10, experts: int = 4, seed: int = 0
) -> Any:
    """Build the network: every expert gets all patches, unweighted; all else, initial weights included, as in `pmoe`.

    Parameters are those of `pmoe`, less `top_k`. 3,968,682 parameters at width 10 with 10 classes: pMoE's less its four
    routers of 640.
    """
    from benchmark.nn.layers import DenseExperts
    from benchmark.nn.wide_resnet import wide_resnet

    def dense(seed):
        return DenseExperts(experts, 16 * width, seed=seed, name="experts")

    return wide_resnet(image_shape, classes, width, seed, dense, "pmoe-dense")


def described(keras_config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that a saved network's description spells; KeyError for another network's."""
    layers = {layer["config"]["name"]: layer for layer in keras_config["config"]["layers"]}
    if layers["experts"]["class_name"] != "DenseExperts":
        raise KeyError("DenseExperts")
    experts = layers["experts"]["config"]
    return {
        "image_shape": layers["images"]["config"]["batch_shape"][1:],
        "classes": layers["logits"]["config"]["units"],
        "width": experts["filters"] // 16,
        "experts": experts["experts"],
    }


def _without_routing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "top_k"}


PMOE_DENSE = register(
    NetworkSpec(
        name="pmoe-dense",
        title="pMoE without routing",
        plural="pMoE without routing",
        modality=IMAGE,
        source="the control of pmoe: every expert sees every patch, all else equal",
        builder=pmoe_dense,
        settings=(
            NetworkSetting("width", "as pmoe's"),
            NetworkSetting("experts", "as pmoe's"),
        ),
        presets={name: _without_routing(values) for name, values in PMOE.presets.items()},
        uses=PMOE.uses,
        least_weights=PMOE.least_weights,
        keras_classes=PMOE.keras_classes - {"PatchMoE"} | {"DenseExperts"},
        described=described,
        unrouted="has no routing: each of its experts takes every patch",
    )
)
