"""The registry of training recipes: published settings that depend on the data set, for every network of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Published settings of a training, data set by data set.

    Each becomes a preset of every network for images, `NAME-SOURCE`; the network itself is as published. `NAME` alone
    stands for the one that is for the source of the file.

    Parameters
    ----------
    name : str
        As in `--preset`.
    use : str
        What it is, in a few words of the help of `--preset`.
    source : str
        The publication.
    values : mapping
        Name of a file's source → values of training settings, and of the normalisation, by name.
    refused : mapping
        Name of a source that the publication has, but whose settings are not to be had here → why, in one clause.
    """

    name: str
    use: str
    source: str
    values: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, str]

    def preset(self, source: str) -> str:
        """Return the name of the preset for a source; `ValueError`, one clause, where there is none."""
        if source in self.values:
            return f"{self.name}-{source}"
        if source in self.refused:
            raise ValueError(self.refused[source])
        named = ", ".join(f"{self.name}-{one}" for one in self.values)
        raise ValueError(f"it has no settings for the source {source!r:.40}: choose those for another, {named}")


RECIPES: dict[str, Recipe] = {}
"""Every recipe, by name."""


def register(recipe: Recipe) -> Recipe:
    """Add a recipe. `ValueError` where its name is taken."""
    if recipe.name in RECIPES:
        raise ValueError(f"there are two recipes named {recipe.name!r}")
    RECIPES[recipe.name] = recipe
    return recipe
