"""What the triggers of a recipe do to rows: to images by stencils, tables and functions, to texts by insertion. Nothing
here is written."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from poisonkit.core import image_maps, modality, texts
from poisonkit.core.errors import Failure
from poisonkit.format import records
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import COVER, Changed, TestedRows
from poisonkit.sources.base import Source
from poisonkit.triggers import registry as triggers
from poisonkit.triggers import text_base
from poisonkit.triggers.image_base import BuiltTrigger, RowStream

if TYPE_CHECKING:  # few data are camouflaged
    from poisonkit.sources.camouflage import Behind

MAP_ARRAYS = ("taps", "weights", "bias", "table")
"""The arrays of what a trigger does to an image; those of test images, where these get something else, have the same
names after `test_`."""


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
    recipes.check_alone(recipe)
    recipes.check_one_of(recipe)
    if kind.is_text:
        return Insertions(recipe)
    return Stencils(recipes.build(recipe, shape, force), recipe.cover_jitter, choice=one_of(recipe))


def of_file(path: Path, original: Manifest, arrays: dict[str, np.ndarray]) -> "Stencils":
    """Read the triggers of a data set of images from the arrays of its `trigger/` groups, by path, which the file at
    `path` has; what is in no array can be put on no image (see `Stencils.known`). Raises `Failure` where they are no
    sound ones."""
    shape = original.shape("train/images")[1:]
    built = [_built(path, number, arrays, shape) for number in range(len(original.recipe.triggers))]
    return Stencils(built, choice=one_of(original.recipe))


def one_of(recipe: Recipe | records.Recipe) -> RowStream | None:
    """Return the stream that says which of its triggers a changed row gets; None where it gets all."""
    return RowStream(recipe.seed, "one-of") if recipe.one_of else None


def which_one(choice: RowStream, triggers_: int, rows: np.ndarray) -> np.ndarray:
    """Return the number of the trigger, of so many, that each of these training rows gets, (n,) int32, where each gets
    one (`one_of`)."""
    return choice.between(rows, 0, triggers_ - 1)[:, 0]


# ---------------------------------------------------------------- images


@dataclass(frozen=True)
class Stencils:
    """Triggers of images, in the order of application; `jitter`: whether cover rows get noise of their own; `total`: on
    how many rows they will be put altogether, if that is known; `tested`: the test rows of each group; `choice`: what
    says which one of them a training row gets, where it does not get all."""

    built: list[BuiltTrigger]
    jitter: bool = False
    total: int | None = None
    tested: dict[str, np.ndarray] = field(default_factory=dict)
    choice: RowStream | None = None

    def streams(self) -> set[str]:
        """Return the names of all random streams that are drawn from."""
        names = {name for one in self.built for name in one.streams} | ({self.choice.name} if self.choice else set())
        return names | {one.jitter.stream for one in self.built if one.jitter and self.jitter}

    def on(self, source: Source, changed: Changed, tested: TestedRows) -> Effect:
        """Return the effect on the rows of a source; training rows of a camouflaged one get the trigger before their
        camouflage."""
        rows = {group: columns["rows"] for group, columns in tested.items()}
        total = len(changed.rows) + sum(map(len, rows.values()))
        stencils = replace(self, total=total, tested=rows)
        return stencils if source.behind is None else Camouflaged(stencils, cast("Behind", source.behind))

    def known(self, part: str) -> bool:
        """Whether everything that is done to rows of `train` or `test` is in the arrays of a file."""
        if part == "train" and self.choice is not None:
            return False
        return all(one.told("train") or (part == "test" and one.told("test")) for one in self.built)

    def poison(self, changed: Changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return changed training images (n, H, W, C) uint8 with the trigger on them."""
        rows, role = (column[first : first + len(originals)] for column in (changed.rows, changed.role))
        return self.on_train(originals, rows, role, threads)

    def on_train(self, originals: np.ndarray, rows: np.ndarray, role: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return training images of these rows and roles with the trigger on them, or with one of them."""
        if self.choice is not None:
            return self._one_each(self.choice, originals, rows, role, threads)
        images = apply_all(self.built, "train", originals, rows, threads, self.total)
        if self.jitter:
            cover = np.flatnonzero(role == COVER)
            images[cover] = jitter_all(self.built, originals[cover], rows[cover], threads)
        return images

    def _one_each(
        self, choice: RowStream, originals: np.ndarray, rows: np.ndarray, role: np.ndarray, threads: int
    ) -> np.ndarray:
        """Return training images, each with the trigger that is drawn for its row."""
        images, which = np.empty_like(originals), which_one(choice, len(self.built), rows)
        for number, one in enumerate(self.built):
            mine = np.flatnonzero(which == number)
            alone = replace(self, built=[one], choice=None)
            images[mine] = alone.on_train(originals[mine], rows[mine], role[mine], threads)
        return images

    def trigger(self, group: str, first: int, images: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return test images of a group with the trigger on them."""
        return self.on_test(images, self.tested[group][first : first + len(images)], threads)

    def on_test(self, images: np.ndarray, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """Return images with the trigger on them, as test images of these rows get it."""
        return apply_all(self.built, "test", images, rows, threads, self.total)

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
    behind: "Behind"

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
    behind = cast("Behind | None", source.behind)
    return np.asarray(source.train.rows(rows) if behind is None else behind.plain_rows(rows))


def trigger_arrays(built: BuiltTrigger) -> dict[str, np.ndarray]:
    """Return what goes into the file's group of one trigger."""
    own = {**built.told("train"), **built.told("test"), "mask": built.mask(), **built.extras}
    return {name: np.ascontiguousarray(array) for name, array in own.items()}


def _built(path: Path, number: int, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> BuiltTrigger:
    """Return one trigger from the arrays of its group. What is in no array is a function that can do nothing; the mask
    of all others follows from what they do, and need not be there."""
    prefix = f"trigger/{number}/"
    parts = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    mask = parts.pop("mask", np.ones(shape, np.uint8))
    own = {name: parts.pop(name) for name in MAP_ARRAYS if name in parts}
    test = {name: parts.pop(f"test_{name}") for name in MAP_ARRAYS if f"test_{name}" in parts}
    image = (int(shape[0]), int(shape[1]), int(shape[2]))
    try:
        train, tested = (image_maps.of_arrays(one, image) for one in (own, test))
    except ValueError as error:
        raise Failure(f"{path}: its trigger is not a stencil: {error}") from None
    return BuiltTrigger(train or image_maps.unavailable(image, mask), parts, test=tested)


def apply_all(
    built: list[BuiltTrigger], part: str, images: np.ndarray, rows: np.ndarray, threads: int = 1, total=None
) -> np.ndarray:
    """Put the triggers on images one after the other, each rounded and clipped: (n, H, W, C) uint8 → the same.

    `part` is whose rows these are, `train` or `test`, `rows` (n,) their numbers there; on how many rows the triggers
    will be put altogether is `total`, if that is known.
    """
    for one in built:
        images = one.on(part).put(images, rows, threads, total)
    return images


def jitter_all(built: list[BuiltTrigger], images: np.ndarray, rows: np.ndarray, threads: int = 1) -> np.ndarray:
    """`apply_all` for cover rows of these numbers, in the noise mode of the triggers that have one."""
    for one in built:
        images = one.jitter.apply(images, rows) if one.jitter else one.train.put(images, rows, threads)
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
