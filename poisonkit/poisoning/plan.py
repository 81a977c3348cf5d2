"""Recipe and clean images in, one poisoned HDF5 file out: one pass over the data, every digest taken on the way."""

from dataclasses import dataclass

import numpy as np

from poisonkit.core import hashing, modality
from poisonkit.format import manifest
from poisonkit.poisoning import apply, recipe, selection
from poisonkit.poisoning.classes import resolve_class_names
from poisonkit.poisoning.recipe import Request
from poisonkit.poisoning.selection import COVER, POISONED
from poisonkit.sources.base import Source

ROWS_AT_ONCE = 2048
TESTED = ("wanted", "rows")
"""What a group of triggered rows may say of each beside its label, in the order in which it is written."""
TEXT_BYTES = 48  # what HDF5 needs for each text beside its own bytes, at most


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

    `effect` is what the triggers do to rows (see `effects`; None in a clean file). `tested` has, for each set of
    triggered test rows by its group in the file, their `rows` in the test set, ascending, and what else the group says
    of each, (n,) int64 by name. `expected` is the manifest that must result and `sha256` that of the file, where they
    are known.
    """

    source: Source
    request: Request
    effect: object | None
    changed: Changed
    tested: dict[str, dict[str, np.ndarray]]
    facts: dict
    expected: dict | None = None
    sha256: str | None = None

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
        kind, row, changed = self.source.modality, self.source.train.shape[1:], len(self.changed.rows)
        shapes = {}
        for part, split in (("train", self.source.train), ("test", self.source.test)):
            shapes |= {kind.path(part): (kind.dtype, split.shape), f"{part}/labels": ("<i8", split.shape[:1])}
        if self.clean:
            return shapes
        for group, columns in self.tested.items():
            count = len(columns["rows"])
            shapes |= {kind.path(group): (kind.dtype, (count, *row)), f"{group}/labels": ("<i8", (count,))}
            shapes |= {f"{group}/{name}": ("<i8", (count,)) for name in TESTED if name in columns}
        shapes |= {
            "truth/rows": ("<i8", (changed,)),
            "truth/role": ("|u1", (changed,)),
            "truth/labels": ("<i8", (changed,)),
            kind.path("truth"): (kind.dtype, (changed, *row)),
        }
        return shapes | {path: (array.dtype.str, array.shape) for path, array in self.effect.arrays().items()}

    def size(self) -> int:
        """Bytes of all arrays; of texts, what they will hardly be more than."""
        size = 0
        for path, (dtype, shape) in self.shapes().items():
            each = TEXT_BYTES + self._mean_text(path) if dtype == modality.TEXT.dtype else np.dtype(dtype).itemsize
            size += int(each * np.prod(shape))
        return size

    def _mean_text(self, path: str) -> float:
        """Bytes of a text of the part that a group is from, on an average."""
        split = self.source.train if path.split("/")[0] in ("train", "truth") else self.source.test
        return split.offsets[-1] / len(split)


def identity(facts: dict) -> dict:
    """The part of a manifest that decides the bytes: recipe, source and pictures, and the recipe's version."""
    source = {key: facts["source"].get(key) for key in ("name", "options", "digest")}
    return {"recipe_version": facts.get("recipe_version"), "source": source} | {
        key: facts.get(key) for key in ("recipe", "pictures")
    }


def plan(source: Source, request: Request, force: bool = False) -> Plan:
    """Check the request against the source and draw the rows. Raises `Usage` where they do not fit."""
    classes, effect, drawn = len(source.classes), None, []
    request = resolve_class_names(request, source)
    changed, tested, counts = Changed.none(), {}, {"train": len(source.train), "test": len(source.test)}
    if not request.clean:
        selection.check_classes(request, classes)
        prepared = apply.prepare(source.modality, request, source.train.shape[1:], force)
        choice = selection.choose(request, source.train.labels, source.test.labels, source.classes)
        selection.check_tested(request, choice, source.name, source.classes)
        truth = source.train.labels[choice.rows].astype(np.int64)
        given = np.where(choice.role == POISONED, selection.wanted(request, truth, classes), truth)
        changed = Changed(choice.rows, choice.role, given)
        tested = _tested(request, choice, source)
        effect, drawn = prepared.on(source, changed, tested), streams(request, prepared)
        counts |= {group: len(said["rows"]) for group, said in tested.items()} | {
            "eligible": choice.eligible,
            "poisoned": int((choice.role == POISONED).sum()),
            "cover": int((choice.role == COVER).sum()),
            "already_target": int(((choice.role == POISONED) & (truth == given)).sum()),
        }
    pictures = _picture_records(request, changed, tested)
    record = request.record(drawn)
    facts = {
        "format": manifest.FORMAT,
        "format_version": manifest.FORMAT_VERSION,
        "recipe_version": manifest.RECIPE_VERSION
        if request.clean or source.behind is None
        else manifest.CAMOUFLAGED_LAST,
        "modality": source.modality.name,
        "kind": "clean" if request.clean else "poisoned",
        "notice": manifest.CLEAN_NOTICE.format(rows=source.modality.rows) if request.clean else manifest.NOTICE,
        "name": recipe.file_name(request, record, source.name, source.options, pictures),
        "source": source.record(),
        "recipe": record,
        "pictures": pictures,
        "counts": counts,
    }
    return Plan(source, request, effect, changed, tested, facts)


def _tested(request: Request, choice: selection.Choice, source: Source) -> dict[str, dict[str, np.ndarray]]:
    """The plan's `tested`: `triggered`, and `others` where there are any."""
    wanted = selection.wanted(request, source.test.labels[choice.triggered], len(source.classes))
    tested = {"triggered": {"rows": choice.triggered, "wanted": wanted}}
    return tested | ({"others": {"rows": choice.others}} if len(choice.others) else {})


def _picture_records(request: Request, changed: Changed, tested: dict) -> dict:
    """The manifest's `pictures`: what says of each picture, or of another file of the user's, that it is the same."""
    from poisonkit.triggers import registry as triggers

    records = {}
    for i, (name, _) in enumerate(() if request.clean else request.steps):
        picture = request.pictures.get(name)
        if triggers.takes_file(name):
            records[str(i)] = {"digest": picture.digest(needed_rows(changed, tested))}
        if triggers.takes_picture(name):
            records[str(i)] = (
                {"built_in": "frog"}
                if picture is None
                else {"digest": hashing.array_digest(picture), "shape": list(picture.shape)}
            )
    return records


def needed_rows(changed: Changed, tested: dict) -> dict[str, np.ndarray]:
    """The rows that get a trigger, by part, ascending."""
    test = [said["rows"] for said in tested.values()]
    return {"train": changed.rows, "test": np.unique(np.concatenate(test)) if test else np.empty(0, np.int64)}


def streams(request: Request, effect) -> list[str]:
    """The names of all random streams that are drawn from."""
    return sorted({"rows", *effect.streams(), *(() if request.cover_rate == "0" else ("cover",))})
