"""Recipe and clean images in, one poisoned HDF5 file out: one pass over the data, every digest taken on the way."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit import choosing, manifest, recipe, store
from poisonkit.choosing import COVER, POISONED
from poisonkit.errors import Failure
from poisonkit.recipe import Request
from poisonkit.sources.base import Source
from poisonkit.triggers.base import Built

ROWS_AT_ONCE = 2048
TESTED = ("wanted", "rows")
"""What a group of triggered images may say of each beside its label, in the order in which it is written."""


@dataclass(frozen=True)
class Changed:
    """The training rows that will be changed, ascending: `rows` (P,) int64, their `role` (P,) uint8, and the label that
    each is given, (P,) int64."""

    rows: np.ndarray
    role: np.ndarray
    given: np.ndarray

    @classmethod
    def none(cls) -> "Changed":
        """Nothing is changed: a clean file."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64))


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a byte is written.

    `tested` has, for each set of triggered test images by its group in the file, their `rows` in the test set,
    ascending, and what else the group says of each, (n,) int64 by name. `expected` is the manifest that must result and
    `sha256` that of the file, where they are known.
    """

    source: Source
    request: Request
    built: list[Built]
    changed: Changed
    tested: dict[str, dict[str, np.ndarray]]
    facts: dict
    expected: dict | None = None
    sha256: str | None = None

    def poison(self, first: int, originals: np.ndarray, threads: int = 1) -> np.ndarray:
        """Changed training rows with the trigger on them, (n, H, W, C) uint8; `first` is the number of the first
        among all changed rows."""
        rows, role = (of[first : first + len(originals)] for of in (self.changed.rows, self.changed.role))
        images = self.trigger(originals, threads)
        if self.request.cover_jitter:
            cover = np.flatnonzero(role == COVER)
            images[cover] = jitter_all(self.built, originals[cover], rows[cover], threads)
        return images

    def trigger(self, images: np.ndarray, threads: int = 1) -> np.ndarray:
        """Images with the trigger on them."""
        return apply_all([one.stencil for one in self.built], images, threads)

    @property
    def name(self) -> str:
        """The canonical file name, without a suffix."""
        return self.facts["name"]

    @property
    def clean(self) -> bool:
        """Whether this is the clean file."""
        return self.facts["kind"] == "clean"

    def identity(self) -> dict:
        """The part of the manifest that decides what the file's bytes will be."""
        return identity(self.facts)

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Path → (dtype, shape) of every array that will be written, in the order of their creation."""
        image, changed = self.source.train.shape[1:], len(self.changed.rows)
        shapes = {
            "train/images": ("|u1", self.source.train.shape),
            "train/labels": ("<i8", self.source.train.shape[:1]),
            "test/images": ("|u1", self.source.test.shape),
            "test/labels": ("<i8", self.source.test.shape[:1]),
        }
        if self.clean:
            return shapes
        for group, columns in self.tested.items():
            count = len(columns["rows"])
            shapes |= {f"{group}/images": ("|u1", (count, *image)), f"{group}/labels": ("<i8", (count,))}
            shapes |= {f"{group}/{name}": ("<i8", (count,)) for name in TESTED if name in columns}
        shapes |= {
            "truth/rows": ("<i8", (changed,)),
            "truth/role": ("|u1", (changed,)),
            "truth/labels": ("<i8", (changed,)),
            "truth/images": ("|u1", (changed, *image)),
        }
        for i, built in enumerate(self.built):
            for part, array in trigger_arrays(built).items():
                shapes[f"trigger/{i}/{part}"] = (array.dtype.str, array.shape)
        return shapes

    def size(self) -> int:
        """Bytes of all arrays."""
        return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in self.shapes().values())


def identity(facts: dict) -> dict:
    """The part of a manifest that decides the bytes: recipe, source and pictures, and the recipe's version."""
    source = {key: facts["source"].get(key) for key in ("name", "options", "digest")}
    return {"recipe_version": facts.get("recipe_version"), "source": source} | {
        key: facts.get(key) for key in ("recipe", "pictures")
    }


def plan(source: Source, request: Request, force: bool = False) -> Plan:
    """Check the request against the source and draw the rows. Raises `Usage` where they do not fit."""
    image = source.train.shape[1:]
    classes = len(source.classes)
    built: list[Built] = []
    changed, tested, counts = Changed.none(), {}, {"train": len(source.train), "test": len(source.test)}
    if not request.clean:
        choosing.check_classes(request, classes)
        built = recipe.build(request, image, force)
        choice = choosing.choose(request, source.train.labels, source.test.labels)
        choosing.check_tested(request, choice, source.name)
        truth = source.train.labels[choice.rows].astype(np.int64)
        given = np.where(choice.role == POISONED, choosing.wanted(request, truth, classes), truth)
        changed = Changed(choice.rows, choice.role, given)
        tested = _tested(request, choice, source)
        counts |= {group: len(said["rows"]) for group, said in tested.items()} | {
            "eligible": choice.eligible,
            "poisoned": int((choice.role == POISONED).sum()),
            "cover": int((choice.role == COVER).sum()),
            "already_target": int(((choice.role == POISONED) & (truth == given)).sum()),
        }
    pictures = _picture_records(request)
    record = request.record(streams(request, built))
    facts = {
        "format": manifest.FORMAT,
        "format_version": manifest.FORMAT_VERSION,
        "recipe_version": manifest.RECIPE_VERSION,
        "modality": "image",
        "kind": "clean" if request.clean else "poisoned",
        "notice": manifest.CLEAN_NOTICE if request.clean else manifest.NOTICE,
        "name": recipe.file_name(request, record, source.name, source.options, pictures),
        "source": source.record(),
        "recipe": record,
        "pictures": pictures,
        "counts": counts,
    }
    return Plan(source, request, built, changed, tested, facts)


def _tested(request: Request, choice: choosing.Choice, source: Source) -> dict[str, dict[str, np.ndarray]]:
    """The plan's `tested`: `triggered`, and `others` where there are any."""
    wanted = choosing.wanted(request, source.test.labels[choice.triggered], len(source.classes))
    tested = {"triggered": {"rows": choice.triggered, "wanted": wanted}}
    return tested | ({"others": {"rows": choice.others}} if len(choice.others) else {})


def _picture_records(request: Request) -> dict:
    from poisonkit import triggers

    records = {}
    for i, (name, _) in enumerate(() if request.clean else request.steps):
        if triggers.module(name).PICTURE:
            picture = request.pictures.get(name)
            records[str(i)] = (
                {"built_in": "frog"}
                if picture is None
                else {"digest": manifest.array_digest(picture), "shape": list(picture.shape)}
            )
    return records


def streams(request: Request, built: list[Built]) -> list[str]:
    """The names of all random streams that are drawn from."""
    names = {"rows", *(name for one in built for name in one.streams)}
    if request.cover_rate != "0":
        names.add("cover")
    if request.cover_jitter:
        names.update(one.jitter.stream for one in built if one.jitter)
    return sorted(names)


def trigger_arrays(built: Built) -> dict[str, np.ndarray]:
    """What goes into the file's group of one trigger."""
    stencil = built.stencil
    return {
        "taps": stencil.taps,
        "weights": stencil.weights,
        "bias": stencil.bias,
        "mask": stencil.mask(),
        **{name: np.ascontiguousarray(array) for name, array in built.extras.items()},
    }


def built_of(path: Path, facts: dict, arrays: dict[str, np.ndarray]) -> list[Built]:
    """The triggers of a data set from the arrays of its `trigger/` groups, by path; the mask follows from the stencil.

    `facts` is the data set's manifest, `path` the file that the arrays are from. `Failure` where they are no stencil.
    """
    built = []
    for i in range(len(facts["recipe"].get("triggers", ()))):
        prefix = f"trigger/{i}/"
        parts = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        stencil = store.stencil(path, *(parts.pop(part) for part in ("taps", "weights", "bias")))
        parts.pop("mask", None)
        built.append(Built(stencil, parts))
    return built


def apply_all(stencils, images: np.ndarray, threads: int = 1) -> np.ndarray:
    """The triggers one after the other, each rounded and clipped: (n, H, W, C) uint8 → the same."""
    for stencil in stencils:
        images = stencil.apply(images, threads)
    return images


def jitter_all(built: list[Built], images: np.ndarray, rows: np.ndarray, threads: int = 1) -> np.ndarray:
    """`apply_all` for cover rows of these numbers, in the noise mode of the triggers that have one."""
    for one in built:
        images = one.jitter.apply(images, rows) if one.jitter else one.stencil.apply(images, threads)
    return images


def write(plan: Plan, target: Path, threads: int = 1, progress=None) -> dict:
    """Write the file that was planned, atomically. Returns its manifest.

    `progress(n)` is called with the number of images that were dealt with. Raises `Failure` where the manifest is not
    the one that is demanded, the source's bytes are not those of its digest, or the disk fails; then nothing lies at
    the target that was not there before.
    """
    with store.writing(target) as writer:
        columns = {
            path: writer.column(path, dtype, shape)
            for path, (dtype, shape) in plan.shapes().items()
            if not path.startswith("trigger/")
        }
        checked = writer.pool.submit(_check_source, plan.source)  # hashing needs no interpreter: beside the imports
        unchanged = _write_train(plan, columns, threads, progress)
        _write_test(plan, columns, threads, progress)
        facts = plan.facts
        if not plan.clean:
            facts = facts | {"counts": facts["counts"] | {"unchanged": unchanged}}
            for i, built in enumerate(plan.built):
                for part, array in trigger_arrays(built).items():
                    writer.whole(f"trigger/{i}/{part}", array)
        checked.result()
        facts = writer.finish(facts)
        if plan.expected is not None and facts != plan.expected:
            differences = "; ".join(list(manifest.describe(plan.expected, facts))[:3])
            raise Failure(f"{target}: not written, since it would not be what was asked for: {differences}")
        return facts


def _write_train(plan: Plan, columns: dict, threads: int, progress) -> int:
    """Training rows with the changed ones replaced; their originals into `truth/`. Returns how many of the poisoned
    ones did not change by a byte."""
    split, rows, unchanged = plan.source.train, plan.changed.rows, 0
    labels = split.labels.astype("<i8")
    for start, block in split.blocks(ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        if low < high:
            inside = rows[low:high] - start
            originals = block[inside]
            block[inside] = plan.poison(low, originals, threads)
            same = (originals == block[inside]).reshape(high - low, -1).all(1)
            unchanged += int((same & (plan.changed.role[low:high] == POISONED)).sum())
            columns["truth/images"].write(originals)
        columns["train/images"].write(block)
        if progress:
            progress(len(block))
    poisoned_labels = labels.copy()
    poisoned_labels[rows] = plan.changed.given
    columns["train/labels"].write(poisoned_labels)
    if not plan.clean:
        columns["truth/rows"].write(rows)
        columns["truth/role"].write(plan.changed.role)
        columns["truth/labels"].write(labels[rows])
    return unchanged


def _write_test(plan: Plan, columns: dict, threads: int, progress) -> None:
    """The clean test rows, and those that are scored with the trigger on them."""
    split = plan.source.test
    labels = split.labels.astype("<i8")
    for start, block in split.blocks(ROWS_AT_ONCE):
        columns["test/images"].write(block)
        for group, said in plan.tested.items():
            low, high = np.searchsorted(said["rows"], [start, start + len(block)])
            if low < high:
                columns[f"{group}/images"].write(plan.trigger(block[said["rows"][low:high] - start], threads))
        if progress:
            progress(len(block))
    columns["test/labels"].write(labels)
    for group, said in plan.tested.items():
        columns[f"{group}/labels"].write(labels[said["rows"]])
        for name in filter(said.__contains__, TESTED):
            columns[f"{group}/{name}"].write(said[name])


def _check_source(source: Source) -> None:
    """Take the clean arrays' digests again: a damaged cache must not go unnoticed. Raises `SourceDamaged`."""
    for part, split in (("train", source.train), ("test", source.test)):
        total = manifest.ArrayHash("|u1", split.shape)
        for _, block in split.blocks(ROWS_AT_ONCE):
            total.update(block)
        found = {f"{part}/images": str(total), f"{part}/labels": manifest.array_digest(split.labels.astype("<i8"))}
        for path, digest in found.items():
            if source.arrays[path] == digest:
                continue
            if source.cached:
                raise SourceDamaged(f"{path} of {source.name} in the cache is not what its digest says")
            raise Failure(f"{split.path}: {path} is not what its digest says: the file is damaged")


class SourceDamaged(Failure):
    """A cached source's bytes differ from its digests."""
