"""The presets of every network as plain values, by name: what the help says of them, and the classes of settings are
made with. Nothing here makes such a class, so that the help is fast."""

from typing import Any

from benchmark.nn import cost
from benchmark.nn.networks import DEFAULT, NetworkSpec
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.training.recipes import RECIPES

ENCODER = "encoder"


def _usual_first(spec: NetworkSpec) -> bool:
    return spec.name not in DEFAULT.values()


IMAGE_NETWORKS = tuple(spec.name for spec in sorted(SPECS.values(), key=_usual_first) if spec.of_images)
NETWORKS = (*IMAGE_NETWORKS, ENCODER)
"""What can be trained here."""
ENCODERS = tuple(SPECS[ENCODER].presets)


def first(spec: NetworkSpec) -> dict[str, Any]:
    """Return the values of a network's usual preset."""
    return dict(next(iter(spec.presets.values())))


def every(spec: NetworkSpec) -> dict[str, dict[str, Any]]:
    """Return the presets of a network for images: its own, then those of the recipes, with the network as published.

    A preset may leave out what is as in the first one.
    """
    own = {name: dict(values) for name, values in spec.presets.items()}
    published = cost.published(spec)
    return own | {
        recipe.preset(source): published | dict(values)
        for recipe in RECIPES.values()
        for source, values in recipe.values.items()
    }


def names(network: str) -> list[str]:
    """Return what `--preset` may be given for a network for images: its own, the recipes, those for one source."""
    own = list(SPECS[network].presets)
    return [*own, *RECIPES, *(name for name in every(SPECS[network]) if name not in own)]
