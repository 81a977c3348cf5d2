"""From a recipe and a clean source to a plan: everything that is known of a file before a byte of it is written."""

from dataclasses import dataclass, replace

import numpy as np

from poisonkit.core import hashing, modality
from poisonkit.core.errors import Failure
from poisonkit.core.splits import TextSplit
from poisonkit.format import records, schema
from poisonkit.format.manifest import CAMOUFLAGED_LAST, RECIPE_VERSION, Manifest
from poisonkit.format.records import Counts, Picture, Pictures
from poisonkit.poisoning import apply, selection
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.classes import resolve_class_names
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import COVER, POISONED, Changed, TestedRows
from poisonkit.sources.base import Source
from poisonkit.triggers.picture_set import PictureSet

ROWS_AT_ONCE = 2048
TESTED = ("wanted", "rows")
"""What a group of triggered rows may say of each beside its label, in the order in which it is written."""
TEXT_BYTES = 48  # what HDF5 needs for each text beside its own bytes, at most


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a byte is written.

    `effect` is what the triggers do to rows (see `apply.Effect`; None in a clean file); `manifest` is a draft.
    `expected` is the manifest that must result and `sha256` that of the file, where they are known. `notices` are
    lines for people, where a class was meant by another spelling of its name.
    """

    source: Source
    recipe: Recipe
    effect: apply.Effect | None
    changed: Changed
    tested: TestedRows
    manifest: Manifest
    expected: Manifest | None = None
    sha256: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The canonical file name, without a suffix."""
        return self.manifest.name

    @property
    def clean(self) -> bool:
        """Whether this is the clean file."""
        return self.manifest.clean

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Path → (dtype, shape) of every array that will be written, in the order of their creation."""
        kind, row, changed = self.source.modality, self.source.train.shape[1:], len(self.changed.rows)
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
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
        effect = {} if self.effect is None else self.effect.arrays()
        return shapes | {path: (array.dtype.str, array.shape) for path, array in effect.items()}

    def size(self) -> int:
        """Bytes of all arrays; of texts, what they will hardly be more than."""
        size = 0
        for path, (dtype, shape) in self.shapes().items():
            each = TEXT_BYTES + self._mean_text(path) if modality.is_text_dtype(dtype) else np.dtype(dtype).itemsize
            size += int(each * np.prod(shape))
        return size

    def _mean_text(self, path: str) -> float:
        """Bytes of a text of the part that a group is from, on an average."""
        split = self.source.train if path.split("/")[0] in ("train", "truth") else self.source.test
        if not isinstance(split, TextSplit):
            raise TypeError(f"{path} holds no texts")
        return float(split.offsets[-1]) / len(split)


@dataclass(frozen=True)
class Drawn:
    """What a recipe takes from a source: the training rows that change and their labels, the triggered test rows, the
    triggers' effect on both, and what the manifest says of it: the random streams, and numbers of rows."""

    changed: Changed
    tested: TestedRows
    effect: apply.Effect | None
    streams: list[str]
    counts: Counts


def _check_classes(source: Source) -> None:
    """`Failure` where a source has fewer or more classes than a file may have."""
    allowed, count = schema.load()["types"]["class-names"], len(source.classes)
    if not allowed["minItems"] <= count <= allowed["maxItems"]:
        many = "too few" if count < allowed["minItems"] else "too many"
        raise Failure(f"{source.name}: has {many} classes ({count:,}), expected {allowed['description']}")


def plan(source: Source, recipe: Recipe, force: bool = False, proofs: Pictures | None = None) -> Plan:
    """Check a recipe against a source and draw the rows; `proofs` are what proves users' pictures, by number of the
    trigger, where those at hand were resized. Raises `Usage` where recipe and source do not fit, `Failure` for a source
    that no file can hold."""
    _check_classes(source)
    notices: list[str] = []
    recipe = resolve_class_names(recipe, source, notices.append)
    counts = Counts(len(source.train), len(source.test))
    drawn = Drawn(Changed.none(), {}, None, [], counts) if recipe.clean else _draw(source, recipe, counts, force)
    manifest = _describe(source, recipe, drawn, proofs or {})
    return Plan(source, recipe, drawn.effect, drawn.changed, drawn.tested, manifest, notices=tuple(notices))


def _draw(source: Source, recipe: Recipe, counts: Counts, force: bool) -> Drawn:
    """Choose the rows of a poisoned file, label them and prepare the triggers; `counts` are the source's."""
    selection.check_classes(recipe, len(source.classes))
    prepared = apply.prepare(source.modality, recipe, source.train.shape[1:], force)
    choice = selection.choose(recipe, source.train.labels, source.test.labels, source.classes)
    selection.check_tested(recipe, choice, source.name, source.classes)
    truth = source.train.labels[choice.rows].astype(np.int64)
    changed, tested = _label(recipe, choice, truth, len(source.classes)), _tested(recipe, choice, source)
    counts = replace(
        counts,
        triggered=len(choice.triggered),
        others=len(choice.others),
        eligible=choice.eligible,
        poisoned=int((choice.role == POISONED).sum()),
        cover=int((choice.role == COVER).sum()),
        already_target=int(((choice.role == POISONED) & (truth == changed.given)).sum()),
    )
    return Drawn(changed, tested, prepared.on(source, changed, tested), streams(recipe, prepared), counts)


def _label(recipe: Recipe, choice: selection.Choice, truth: np.ndarray, classes: int) -> Changed:
    """Give poisoned rows their target label; covers keep the true one. `truth` is (P,) int64."""
    targets = selection.target_labels(recipe, truth, classes, choice.rows)
    labels = np.where(choice.role == POISONED, targets, truth)
    return Changed(choice.rows, choice.role, labels)


def _describe(source: Source, recipe: Recipe, drawn: Drawn, proofs: Pictures) -> Manifest:
    """Return the manifest, as far as it is known before the arrays are written."""
    pictures = {**_pictures(recipe, source, drawn.changed, drawn.tested), **proofs}
    record, plain = recipe.record(drawn.streams), recipe.clean or source.behind is None
    return Manifest.draft(
        modality=source.modality,
        name=recipes.file_name(recipe, record, source.name, source.options, pictures),
        recipe_version=RECIPE_VERSION if plain else CAMOUFLAGED_LAST,
        source=source_record(source),
        recipe=record,
        counts=drawn.counts,
        pictures=pictures,
    )


def source_record(source: Source) -> records.Source:
    """Return what a manifest records of a source."""
    return records.Source(
        name=source.name,
        title=source.title,
        licence=source.licence,
        url=source.url,
        classes=source.classes,
        options=source.options,
        arrays=source.arrays,
        digest=source.digest,
    )


def _tested(recipe: Recipe, choice: selection.Choice, source: Source) -> TestedRows:
    """Return the triggered test rows: `triggered`, and `others` where there are any."""
    rows, labels = choice.triggered, source.test.labels[choice.triggered]
    targets = selection.target_labels(recipe, labels, len(source.classes), rows, "test")
    tested = {"triggered": {"rows": choice.triggered, "wanted": targets}}
    return tested | ({"others": {"rows": choice.others}} if len(choice.others) else {})


def _pictures(recipe: Recipe, source: Source, changed: Changed, tested: TestedRows) -> dict[int, Picture]:
    """Return what proves of each picture, or of another file of the user's, that it is the same, by number of the
    trigger."""
    from poisonkit.triggers import registry as triggers

    found: dict[int, Picture] = {}
    for i, (name, _) in enumerate(() if recipe.clean else recipe.steps):
        picture = recipe.pictures.get(name)
        if triggers.takes_file(name) and picture is not None:
            if triggers.gives_rows(name):
                picture.check({"train": len(source.train), "test": len(source.test)})
            needed = needed_rows(changed, tested)
            found[i] = Picture(picture.digest(needed, source.train.shape[1:]), picture.shape)
        if triggers.takes_picture(name):
            built_in = "drawn" if triggers.takes_folder(name) else "frog"
            found[i] = Picture(built_in=built_in) if picture is None else pictures_record(picture)
    return found


def pictures_record(picture: np.ndarray | PictureSet) -> Picture:
    """Return what proves that a picture of the user's, or a folder of them, is the same."""
    if isinstance(picture, PictureSet):
        return Picture(picture.digest, picture.shape)
    return Picture(hashing.array_digest(picture), picture.shape)


def needed_rows(changed: Changed, tested: TestedRows) -> dict[str, np.ndarray]:
    """Return the rows that get a trigger, by part, ascending."""
    test = [columns["rows"] for columns in tested.values()]
    return {"train": changed.rows, "test": np.unique(np.concatenate(test)) if test else np.empty(0, np.int64)}


def streams(recipe: Recipe, effect: apply.Prepared) -> list[str]:
    """Return the names of all random streams that are drawn from."""
    own = set() if recipe.cover_rate == "0" else {"cover"}
    if recipe.label_mode == selection.UNTARGETED:
        own |= {selection.UNTARGETED, f"{selection.UNTARGETED}-test"}
    return sorted({"rows", *effect.streams(), *own})
