"""The triggers of a file: from its own arrays, and, where these do not say it all, from its recipe."""

from typing import Any

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


def pictures(data: Reader[Manifest]) -> dict[str, Any]:
    """Return what the user gave the triggers, by trigger name: pictures, resized as the file has them, arrays, and
    whole images. Raises `Usage` where the file's is none that could have been given."""
    found: dict[str, Any] = {}
    for i, step in enumerate(data.manifest.recipe.triggers):
        if data.manifest.pictures.get(i, Picture()).digest is None:
            continue
        for name in USER_ARRAYS:
            if f"trigger/{i}/{name}" in data:
                array = data[f"trigger/{i}/{name}"]
                found[step.name] = PictureSet(tuple(array)) if name == "pictures" else array
        if triggers.takes_file(step.name) and not data.modality.is_text:
            stored = _changed_images(data) if triggers.gives_rows(step.name) else data[f"trigger/{i}/array"]
            where = str(data.path) if triggers.gives_rows(step.name) else f"trigger/{i}/array"
            try:
                found[step.name] = triggers.recover_file(step.name, where, stored)
            except Failure as error:
                raise Usage(str(error)) from None
    return found


class _Images:
    """Images of groups of a file, one group after the other, read by their numbers."""

    def __init__(self, data: Reader[Manifest], parts: list[tuple[str, np.ndarray]]):
        self._data, self._parts = data, parts  # path → rows of it, ascending
        self.dtype = np.dtype(np.uint8)
        self.shape = (sum(len(rows) for _, rows in parts), *data.manifest.shape("train/images")[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        out, first = np.empty((len(places), *self.shape[1:]), np.uint8), 0
        for path, rows in self._parts:
            inside = np.flatnonzero((places >= first) & (places < first + len(rows)))
            once, back = np.unique(rows[places[inside] - first], return_inverse=True)
            out[inside] = self._data.pick(path, once)[back]
            first += len(rows)
        return out


def _changed_images(data: Reader[Manifest]) -> dict[str, Any]:
    """Return the changed and the triggered images of a file, and their rows, as a file of the user's has them."""
    rows = data["truth/rows"]
    tested = {group: data[f"{group}/rows"] for group in ("triggered", "others") if f"{group}/rows" in data}
    return {
        "train_images": _Images(data, [("train/images", rows)]),
        "train_rows": rows,
        "test_images": _Images(data, [(f"{group}/images", np.arange(len(one))) for group, one in tested.items()]),
        "test_rows": np.concatenate(list(tested.values())),
    }


def _arrays(data: Reader[Manifest]) -> dict[str, np.ndarray]:
    return {path: data[path] for path in data.manifest.arrays if path.startswith("trigger/")}
