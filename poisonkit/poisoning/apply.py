"""What the triggers of a recipe do to rows: to images by stencils, to texts by insertion. Nothing here is written."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from poisonkit.core import modality, texts
from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import COVER, Changed, TestedRows
from poisonkit.sources.base import Source
from poisonkit.sources.camouflage import Behind
from poisonkit.triggers import registry as triggers
from poisonkit.triggers import text_base
from poisonkit.triggers.image_base import BuiltTrigger


class Effect(Protocol):
    """What the triggers do to the rows of one file."""

    def poison(self, changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return changed training rows with the trigger; `first` is the number of the first of them among all changed
        rows."""
        ...

    def trigger(self, group: str, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return test rows of a group (`triggered`, `others`) with the trigger."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what else goes into the file, by path."""
        ...


class Prepared(Protocol):
    """The triggers of a recipe, as far as they are known without the rows."""

    def streams(self) -> set[str]:
        """Return the names of all random streams that are drawn from."""
        ...

    def on(self, source: Source, changed: Changed, tested: TestedRows) -> Effect:
        """Return the effect on these rows of a source."""
        ...


def prepare(kind: modality.Modality, recipe: Recipe, shape: tuple[int, ...], force: bool = False):
    """Prepare the triggers of a recipe for rows of this modality and shape: `Stencils` or `Insertions`.

    Raises `Usage` where they do not fit. `force` allows a trigger that covers the whole image.
    """
    recipes.check_modality(recipe, kind)
    recipes.check_jitter(recipe)
    if kind.is_text:
        recipes.check_alone(recipe)
        return Insertions(recipe)
    return Stencils(recipes.build(recipe, shape, force), recipe.cover_jitter)


def of_file(path: Path, original: Manifest, arrays: dict[str, np.ndarray]) -> "Stencils":
    """Read the triggers of a data set of images from the arrays of its `trigger/` groups, by path, which the file at
    `path` has. Raises `Failure` where they are no stencil."""
    return Stencils([_built(path, number, arrays) for number in range(len(original.recipe.triggers))])


# ---------------------------------------------------------------- images


@dataclass(frozen=True)
class Stencils:
    """Triggers of images, in the order of application; `jitter`: whether cover rows get noise of their own; `total`: on
    how many rows they will be put altogether, if that is known."""

    built: list[BuiltTrigger]
    jitter: bool = False
    total: int | None = None

    def streams(self) -> set[str]:
        """Return the names of all random streams that are drawn from."""
        names = {name for one in self.built for name in one.streams}
        return names | {one.jitter.stream for one in self.built if one.jitter and self.jitter}

    def on(self, source: Source, changed: Changed, tested: TestedRows) -> Effect:
        """Return the effect on the rows of a source: the same on all, but for training rows of a camouflaged source,
        which get the trigger before their camouflage."""
        stencils = replace(self, total=len(changed.rows) + sum(len(columns["rows"]) for columns in tested.values()))
        return stencils if source.behind is None else Camouflaged(stencils, cast(Behind, source.behind))

    def poison(self, changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return changed training images (n, H, W, C) uint8 with the trigger on them."""
        rows, role = (column[first : first + len(originals)] for column in (changed.rows, changed.role))
        images = self.trigger("", 0, originals, threads)
        if self.jitter:
            cover = np.flatnonzero(role == COVER)
            images[cover] = jitter_all(self.built, originals[cover], rows[cover], threads)
        return images

    def trigger(self, _group: str, _first: int, images: np.ndarray, threads: int = 1) -> np.ndarray:
        """Images with the trigger on them."""
        return apply_all([one.stencil for one in self.built], images, threads, self.total)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the file's `trigger/` groups."""
        return {
            f"trigger/{i}/{part}": array
            for i, built in enumerate(self.built)
            for part, array in trigger_arrays(built).items()
        }


@dataclass(frozen=True)
class Camouflaged:
    """Triggers of images whose source was camouflaged: a changed training image is the plain one with the trigger on
    it, then camouflaged as that row is. So the trigger lies beneath what every row has, and not on top of it."""

    stencils: Stencils
    behind: Behind

    def poison(self, changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `Effect.poison`; `originals` are the camouflaged ones, of which the plain ones are taken instead."""
        rows = changed.rows[first : first + len(originals)]
        images = self.stencils.poison(changed, first, self.behind.plain_rows(rows), threads)
        return self.behind.camouflaged(images, rows, threads)

    def trigger(self, group: str, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `Effect.trigger`."""
        return self.stencils.trigger(group, first, originals, threads)

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Effect.arrays`."""
        return self.stencils.arrays()


def plain_training_rows(source: Source, rows: np.ndarray) -> np.ndarray:
    """Return what a trigger is put on of these training rows: the images of the source, or the plain ones behind a
    camouflage."""
    behind = cast(Behind | None, source.behind)
    return np.asarray(source.train.rows(rows) if behind is None else behind.plain_rows(rows))


def trigger_arrays(built: BuiltTrigger) -> dict[str, np.ndarray]:
    """Return what goes into the file's group of one trigger."""
    stencil = built.stencil
    return {
        "taps": stencil.taps,
        "weights": stencil.weights,
        "bias": stencil.bias,
        "mask": stencil.mask(),
        **{name: np.ascontiguousarray(array) for name, array in built.extras.items()},
    }


def _built(path: Path, number: int, arrays: dict[str, np.ndarray]) -> BuiltTrigger:
    """Return one trigger from the arrays of its group; the mask follows from the stencil."""
    prefix = f"trigger/{number}/"
    parts = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    stencil = reader.stencil(path, *(parts.pop(part) for part in ("taps", "weights", "bias")))
    parts.pop("mask", None)
    return BuiltTrigger(stencil, parts)


def apply_all(stencils, images: np.ndarray, threads: int = 1, total: int | None = None) -> np.ndarray:
    """Put the triggers on images one after the other, each rounded and clipped: (n, H, W, C) uint8 → the same."""
    for stencil in stencils:
        images = stencil.apply(images, threads, total=total)
    return images


def jitter_all(built: list[BuiltTrigger], images: np.ndarray, rows: np.ndarray, threads: int = 1) -> np.ndarray:
    """`apply_all` for cover rows of these numbers, in the noise mode of the triggers that have one."""
    for one in built:
        images = one.jitter.apply(images, rows) if one.jitter else one.stencil.apply(images, threads)
    return images


# ---------------------------------------------------------------- texts


@dataclass(frozen=True)
class Insertions:
    """Triggers of texts, in the order of application."""

    recipe: Recipe

    def streams(self) -> set[str]:
        """Return the names of all random streams that are drawn from, those for test rows among them."""
        names = set()
        for trigger, parameters, occurrence in self._steps():
            for part in ("train", "test"):
                context = text_base.TextContext(self.recipe.seed, part, occurrence)
                names |= {context.stream_name(purpose) for purpose in trigger.streams(parameters)}
        return names

    def put(
        self, originals: np.ndarray, rows: np.ndarray, part: str, role: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Texts (n,) object of these rows with the triggers in them, and the insertions, (q, 4) int64: number of the
        text, number of the trigger, place, piece; ordered by the text, then as they were made."""
        block, found = originals.copy(), [np.empty((0, 4), np.int64)]
        cover = np.zeros(len(rows), bool) if role is None else role == COVER
        for number, (trigger, parameters, occurrence) in enumerate(self._steps()):
            given = self.recipe.pictures.get(self.recipe.steps[number][0])
            context = text_base.TextContext(self.recipe.seed, part, occurrence, given)
            for chosen, work in ((~cover, trigger.insert), (cover, trigger.cover or trigger.insert)):
                at = np.flatnonzero(chosen)
                if len(at):
                    block[at], made = work(parameters, block[at], rows[at], context)
                    step = np.full(len(made), number)
                    found.append(np.column_stack([at[made[:, 0]], step, made[:, 1:]]).astype(np.int64))
        for row, text in zip(rows, block, strict=True):
            if wrong := texts.problem(text, texts.LARGEST_IN_FILE):
                raise Failure(f"{part} row {row} with the trigger {wrong}")
        whole = np.concatenate(found)
        return block, whole[np.argsort(whole[:, 0], kind="stable")]

    def _steps(self) -> Iterator[tuple[text_base.TextTrigger, dict, int]]:
        seen: dict[str, int] = {}
        for name, parameters in self.recipe.steps:
            yield triggers.text_trigger(name), parameters, seen.setdefault(name, 0)
            seen[name] += 1

    def on(self, source: Source, changed: Changed, tested: TestedRows) -> "Texts":
        """Return the effect on the rows of a source: every changed text."""
        for given in self.recipe.pictures.values():
            given.check({"train": len(source.train), "test": len(source.test)})
        rows, found = {}, {}
        rows["truth"], found["truth/insertions"] = self.put(
            source.train.rows(changed.rows), changed.rows, "train", changed.role
        )
        for group, columns in tested.items():
            numbers = columns["rows"]
            rows[group], found[f"{group}/insertions"] = self.put(source.test.rows(numbers), numbers, "test")
        return Texts(rows, {path: made for path, made in found.items() if len(made)})


@dataclass(frozen=True)
class Texts:
    """The triggers' work on texts, all done: `rows` has the texts (n,) object of each group, of `truth` the changed
    training texts; `insertions` what was put where, by path."""

    rows: dict[str, np.ndarray]
    insertions: dict[str, np.ndarray] = field(default_factory=dict)

    def poison(self, _changed: Changed, first: int, originals: np.ndarray, _threads: int = 1) -> np.ndarray:
        """Return changed training texts."""
        return self.rows["truth"][first : first + len(originals)]

    def trigger(self, group: str, first: int, originals: np.ndarray, _threads: int = 1) -> np.ndarray:
        """Triggered test texts."""
        return self.rows[group][first : first + len(originals)]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the file's insertions, in the order in which they are written."""
        paths = [f"{group}/insertions" for group in ("truth", "triggered", "others")]
        return {path: self.insertions[path] for path in paths if path in self.insertions}
