"""The triggers of a file: from its own arrays, and, where these do not say it all, from its recipe."""

import numpy as np

from poisonkit.core.errors import Failure, Usage
from poisonkit.format.manifest import Manifest
from poisonkit.format.reader import Reader
from poisonkit.format.records import Picture
from poisonkit.poisoning import apply, recipe, supported
from poisonkit.poisoning.apply import Stencils
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.picture_set import PictureSet

USER_ARRAYS = ("pattern", "pictures")
"""What a `trigger/` group has of the user's pictures, as they were built into the trigger."""


def own(data: Reader[Manifest]) -> Stencils:
    """Read what a file's own arrays say of its triggers, see `apply.of_file`."""
    return apply.of_file(data.path, data.manifest, _arrays(data))


def ready(data: Reader[Manifest]) -> Stencils:
    """Return the triggers of a file of images, to be put on any image as test images get them.

    Raises `Unknown` where what is not in its arrays is not known here either, `Failure` where it cannot be put on other
    images at all.
    """
    manifest, found = data.manifest, own(data)
    for step in manifest.recipe.triggers:
        alone = triggers.image_trigger(step.name).alone if step.name in triggers.TRIGGERS else None
        if alone and not supported.problem(manifest):
            raise Failure(f"{data.path}: {step.name} cannot be put on other images: {alone}")
    if found.known("test"):
        return found
    supported.demand(data.path, manifest, "and what its trigger does is not in the file")
    try:
        return of_recipe(data)
    except Usage as error:
        raise Failure(f"{data.path}: its recipe cannot be followed: {error}") from None


def of_recipe(data: Reader[Manifest]) -> Stencils:
    """Make the triggers of a file of images again from its recipe. Raises `Usage` where that is invalid here."""
    request = recipe.recipe_of(data.manifest.recipe, pictures(data))
    found: Stencils = apply.prepare(data.modality, request, data.manifest.shape("train/images")[1:], force=True)
    return found


def pictures(data: Reader[Manifest]) -> dict[str, np.ndarray | PictureSet]:
    """Return the users' pictures, resized as the file has them, by trigger name."""
    found: dict[str, np.ndarray | PictureSet] = {}
    for i, step in enumerate(data.manifest.recipe.triggers):
        if data.manifest.pictures.get(i, Picture()).digest is not None:
            for name in USER_ARRAYS:
                if f"trigger/{i}/{name}" in data:
                    array = data[f"trigger/{i}/{name}"]
                    found[step.name] = PictureSet(tuple(array)) if name == "pictures" else array
    return found


def _arrays(data: Reader[Manifest]) -> dict[str, np.ndarray]:
    return {path: data[path] for path in data.manifest.arrays if path.startswith("trigger/")}
