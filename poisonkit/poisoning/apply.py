"""What the triggers of a request do to rows: to images by stencils, to texts by insertion. Nothing here is written.

An effect is what `make` is given for a whole file. It has

- `poison(changed, first, originals, threads)`: changed training rows with the trigger, `first` being the number of the
  first of them among all changed rows;
- `trigger(group, first, originals, threads)`: test rows of a group (`triggered`, `others`) with the trigger;
- `arrays()`: what else goes into the file, by path.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from poisonkit.core import modality, texts
from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.poisoning import recipe
from poisonkit.poisoning.recipe import Request
from poisonkit.poisoning.selection import COVER
from poisonkit.triggers import registry as triggers
from poisonkit.triggers import text_base
from poisonkit.triggers.image_base import BuiltTrigger


def prepare(kind: modality.Modality, request: Request, shape: tuple[int, ...], force: bool = False):
    """The effect of a request on rows of this modality and shape, as far as it can be known without the rows.

    Raises `Usage` where they do not fit.
    """
    recipe.check_modality(request, kind)
    recipe.check_jitter(request)
    if kind == modality.TEXT:
        recipe.check_alone(request)
        return Insertions(request)
    return Stencils(recipe.build(request, shape, force), request.cover_jitter)


def of_file(path: Path, facts: dict, arrays: dict[str, np.ndarray]):
    """The triggers of a data set of images from the arrays of its `trigger/` groups, by path."""
    return Stencils(built_of(path, facts, arrays), False)


# ---------------------------------------------------------------- images


@dataclass(frozen=True)
class Stencils:
    """Triggers of images, in the order of application; `jitter`: whether cover rows get noise of their own; `total`: on
    how many rows they will be put altogether, if that is known."""

    built: list[BuiltTrigger]
    jitter: bool = False
    total: int | None = None

    def streams(self) -> set[str]:
        """The names of all random streams that are drawn from."""
        names = {name for one in self.built for name in one.streams}
        return names | {one.jitter.stream for one in self.built if one.jitter and self.jitter}

    def on(self, source, changed, tested) -> "Stencils":
        """The effect on the rows of a source: the same on all; training rows of a camouflaged one get the trigger
        before their camouflage."""
        total = len(changed.rows) + sum(len(columns["rows"]) for columns in tested.values())
        if source.behind is None:
            return replace(self, total=total)
        return Camouflaged(self.built, self.jitter, total, source.behind)

    def poison(self, changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Changed training images (n, H, W, C) uint8 with the trigger on them."""
        rows, role = (of[first : first + len(originals)] for of in (changed.rows, changed.role))
        images = self.trigger("", 0, originals, threads)
        if self.jitter:
            cover = np.flatnonzero(role == COVER)
            images[cover] = jitter_all(self.built, originals[cover], rows[cover], threads)
        return images

    def trigger(self, _group: str, _first: int, images: np.ndarray, threads: int = 1) -> np.ndarray:
        """Images with the trigger on them."""
        return apply_all([one.stencil for one in self.built], images, threads, self.total)

    def arrays(self) -> dict[str, np.ndarray]:
        """The file's `trigger/` groups."""
        return {
            f"trigger/{i}/{part}": array
            for i, built in enumerate(self.built)
            for part, array in trigger_arrays(built).items()
        }


@dataclass(frozen=True)
class Camouflaged(Stencils):
    """Triggers of images whose source was camouflaged: a changed training image is the plain one with the trigger on
    it, then camouflaged as that row is. So the trigger lies beneath what every row has, and not on top of it."""

    behind: object = None

    def poison(self, changed, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """See `Stencils.poison`; `originals` are the camouflaged ones, of which the plain ones are taken instead."""
        rows = changed.rows[first : first + len(originals)]
        images = super().poison(changed, first, self.behind.plain_rows(rows), threads)
        return self.behind.camouflaged(images, rows, threads)


def trigger_arrays(built: BuiltTrigger) -> dict[str, np.ndarray]:
    """What goes into the file's group of one trigger."""
    stencil = built.stencil
    return {
        "taps": stencil.taps,
        "weights": stencil.weights,
        "bias": stencil.bias,
        "mask": stencil.mask(),
        **{name: np.ascontiguousarray(array) for name, array in built.extras.items()},
    }


def built_of(path: Path, facts: dict, arrays: dict[str, np.ndarray]) -> list[BuiltTrigger]:
    """The triggers of a data set from the arrays of its `trigger/` groups, by path; the mask follows from the stencil.

    `facts` is the data set's manifest, `path` the file that the arrays are from. `Failure` where they are no stencil.
    """
    built = []
    for i in range(len(facts["recipe"].get("triggers", ()))):
        prefix = f"trigger/{i}/"
        parts = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        stencil = reader.stencil(path, *(parts.pop(part) for part in ("taps", "weights", "bias")))
        parts.pop("mask", None)
        built.append(BuiltTrigger(stencil, parts))
    return built


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

    request: Request

    def streams(self) -> set[str]:
        """The names of all random streams that are drawn from, those for test rows among them."""
        names = set()
        for trigger, parameters, occurrence in self._steps():
            for part in ("train", "test"):
                context = text_base.TextContext(self.request.seed, part, occurrence)
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
            given = self.request.pictures.get(self.request.steps[number][0])
            context = text_base.TextContext(self.request.seed, part, occurrence, given)
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

    def _steps(self):
        seen: dict[str, int] = {}
        for name, parameters in self.request.steps:
            yield triggers.text_trigger(name), parameters, seen.setdefault(name, 0)
            seen[name] += 1

    def on(self, source, changed, tested) -> "Texts":
        """The effect on the rows of a source: every changed text."""
        for given in self.request.pictures.values():
            given.check({"train": len(source.train), "test": len(source.test)})
        rows, found = {}, {}
        rows["truth"], found["truth/insertions"] = self.put(
            source.train.rows(changed.rows), changed.rows, "train", changed.role
        )
        for group, said in tested.items():
            rows[group], found[f"{group}/insertions"] = self.put(source.test.rows(said["rows"]), said["rows"], "test")
        return Texts(rows, {path: made for path, made in found.items() if len(made)})


@dataclass(frozen=True)
class Texts:
    """The triggers' work on texts, all done: `rows` has the texts (n,) object of each group, of `truth` the changed
    training texts; `insertions` what was put where, by path."""

    rows: dict[str, np.ndarray]
    insertions: dict[str, np.ndarray] = field(default_factory=dict)

    def poison(self, _changed, first: int, originals: np.ndarray, _threads: int = 1) -> np.ndarray:
        """Changed training texts."""
        return self.rows["truth"][first : first + len(originals)]

    def trigger(self, group: str, first: int, originals: np.ndarray, _threads: int = 1) -> np.ndarray:
        """Triggered test texts."""
        return self.rows[group][first : first + len(originals)]

    def arrays(self) -> dict[str, np.ndarray]:
        """The file's insertions, in the order in which they are written."""
        paths = [f"{group}/insertions" for group in ("truth", "triggered", "others")]
        return {path: self.insertions[path] for path in paths if path in self.insertions}
