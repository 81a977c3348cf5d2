"""Recompute and check everything that a file claims: digests, trigger, counts, sidecar."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Usage
from poisonkit.core.modality import IMAGE, TEXT, differs
from poisonkit.format import reader, sidecars
from poisonkit.format.manifest import Manifest
from poisonkit.format.reader import Reader
from poisonkit.format.records import Picture
from poisonkit.inspection.verify import images, texts
from poisonkit.inspection.verify.unknown_recipe import Unknown
from poisonkit.poisoning import apply, from_file, plan, recipe, selection, supported
from poisonkit.poisoning.selection import COVER, POISONED
from poisonkit.sources import camouflage
from poisonkit.triggers import own
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.base import UNNAMED

ROWS_AT_ONCE = 2048
TESTED = ("triggered", "others")


@dataclass(frozen=True)
class Look:
    """Where the plain images behind a camouflaged file are looked for: `source`, a clean file or what `make --source`
    takes (as `dataset`, if it is another kind of source than the file's), else the cache; `behind` is what they are,
    where that is known (`camouflage.Behind`). `note` is given a line for what could not be looked at, `progress` and
    `say` are as in `make`."""

    source: Path | None = None
    dataset: str | None = None
    cache: Path | None = None
    note: Callable[[str], None] = lambda line: None
    progress: Callable | None = None
    say: Callable[[str], None] = lambda line: None
    behind: object | None = None


def verify(path: Path, look: Look | None = None) -> list[str]:
    """Return what differs from what the file claims, one line each; empty where all is well.

    Without a `look`, rows that were camouflaged after the trigger are held against their digests alone. Raises
    `Failure` where the file cannot be read as one of the format at all, or the source that the look names is another.
    """
    with reader.reading(path, vouch=False) as data:
        wrong = digests(data) + _source_digest(data) or data.value_problems()
        if not wrong:
            wrong += _counts(data)
            wrong += _clean(data) if data.clean else _poisoning(data, look)
        manifest = data.manifest
    return wrong + sidecars.differences(path, manifest)


def digests(data: Reader[Any]) -> list[str]:
    """Arrays that are not what the manifest's digests say, and whether its own is right, one line each."""
    wrong = []
    for path, entry in data.manifest.arrays.items():
        total = hashing.hasher(entry.dtype, entry.shape)
        for _, block in data.blocks(path):
            total.update(np.ascontiguousarray(block))
        if str(total) != entry.digest:
            wrong.append(f"{path}: digest is {str(total)[:23]}…, the manifest says {entry.digest[:23]}…")
    if not data.manifest.sound_digest:
        wrong.append("manifest: its own digest (dataset_digest) does not fit what it says")
    return wrong


def _source_digest(data: Reader[Manifest]) -> list[str]:
    source = data.manifest.source
    if source.digest != source.digest_of_arrays:
        return ["manifest: the source's digest does not fit its arrays"]
    return []


def _counts(data: Reader[Manifest]) -> list[str]:
    counts, rows_of = data.manifest.counts, data.manifest.rows
    found = {"train": rows_of("train/labels"), "test": rows_of("test/labels")}
    if not data.clean:
        role, labels, rows = data["truth/role"], data["truth/labels"], data["truth/rows"]
        changed = data["train/labels"][rows]
        found |= {group: rows_of(f"{group}/labels") for group in TESTED if f"{group}/labels" in data}
        found |= {
            "poisoned": int((role == POISONED).sum()),
            "cover": int((role == COVER).sum()),
            "already_target": int(((role == POISONED) & (labels == changed)).sum()),
        }
        if supported.label_mode(data.manifest):
            may_be = selection.eligible(recipe.labelling_of(data.manifest.recipe), _true_labels(data, rows))
            found |= {"eligible": int(may_be.sum())}
    return [
        f"counts: {key} is {value:,}, the manifest says {getattr(counts, key)}"
        for key, value in found.items()
        if getattr(counts, key) != value
    ]


def _clean(data: Reader[Manifest]) -> list[str]:
    source, arrays = data.manifest.source.arrays, data.manifest.arrays
    return [f"{path}: is not the source's" for path in arrays if arrays[path].digest != source.get(path)]


def _true_labels(data: Reader[Manifest], rows: np.ndarray) -> np.ndarray:
    """Return the training labels with truth's put back into those rows."""
    labels = data["train/labels"]
    labels[rows] = data["truth/labels"]
    return labels


class Check(Protocol):
    """How the triggers of a file are held against its rows; `low` is the number of the first row within its group."""

    def trigger(self) -> list[str]:
        """Return what differs of the trigger's own arrays."""

    def poisoned(
        self, low: int, rows: np.ndarray, role: np.ndarray, originals: np.ndarray, found: np.ndarray, /
    ) -> np.ndarray:
        """Which changed rows are not their originals with the trigger, (n,) bool."""

    def tested(self, group: str, low: int, rows: np.ndarray, originals: np.ndarray, found: np.ndarray, /) -> np.ndarray:
        """Which triggered rows are not their originals with the trigger, (n,) bool."""

    def insertions(self, group: str, /) -> list[str]:
        """Return what differs of where a group's triggers were put, once all rows of it were seen."""


CHECKS: dict[str, Callable[[Reader[Manifest], Any, Look | None], Check]] = {
    IMAGE.name: lambda data, prepared, look: images.Check(data, prepared, images.behind(data, look)),
    TEXT.name: lambda data, prepared, look: texts.Check(data, prepared),
}
"""Modality → the check of rows by the triggers as the recipe makes them (None where these cannot be made)."""


def _poisoning(data: Reader[Manifest], look: Look | None) -> list[str]:
    """Trigger on the originals gives the changed rows; originals put back give the source; and so for the test set."""
    rows, wrong = data["truth/rows"], list[str]()
    check: Check = Unknown()
    problem = supported.problem(data.manifest)
    if problem is not None and problem.startswith(UNNAMED):  # all but the code is known: rows are held against arrays
        check = CHECKS[data.modality.name](data, None, None)
    if not problem:
        prepared, wrong = _recipe(data, rows)
        check = CHECKS[data.modality.name](data, prepared, look)
    wrong += _copies(data)
    return (
        wrong + check.trigger() + _train_labels(data, rows) + _train_rows(data, rows, check) + _test_side(data, check)
    )


def _copies(data: Reader[Manifest]) -> list[str]:
    """Whether the copies of code in a file are those of its recipe, whether that is known here or not."""
    wrong = []
    for i, step in enumerate(data.manifest.recipe.triggers):
        path = f"trigger/{i}/source"
        if step.name != own.NAME:
            continue
        copy = data[path] if path in data else np.empty(0, np.uint8)
        if problem := own.copy_problem(step.parameters, copy):
            wrong.append(f"{path}: {problem}")
    return wrong


def _recipe(data: Reader[Manifest], rows: np.ndarray) -> tuple[Any, list[str]]:
    """Draw rows and prepare triggers again from the recipe (a user's picture is taken from `trigger/I`).

    Returns the triggers as the recipe makes them (`apply.prepare`; None where they cannot be made), and what differs.
    """
    manifest, kind = data.manifest, data.modality
    wrong = []
    try:
        camouflage.split(manifest.source.options)
        request = recipe.recipe_of(manifest.recipe, from_file.pictures(data) | texts.rewrites(data))
        shape = manifest.shape(kind.path("train"))[1:]
        prepared = apply.prepare(kind, request, shape, force=True)
        choice = selection.choose(request, _true_labels(data, rows), data["test/labels"])
    except Usage as error:
        return None, [f"manifest: its recipe cannot be followed: {error}"]
    if not np.array_equal(choice.rows, rows):
        wrong.append("truth/rows: are not those of the seed and the rate")
    elif not np.array_equal(choice.role, data["truth/role"]):
        wrong.append("truth/role: is not what the seed and the rates make of these rows")
    record = request.record(plan.streams(request, prepared))
    if keys := manifest.respelled(record):
        wrong.append(f"manifest: recipe is not in its one spelling: {', '.join(keys)}")
    source = manifest.source
    name = recipe.file_name(request, record, source.name, source.options, manifest.pictures)
    if name != manifest.name:
        wrong.append(f"manifest: name is {manifest.name!r:.80}, its recipe gives {name!r}")
    return prepared, wrong + _other_files(data, request)


def _other_files(data: Reader[Manifest], request: recipe.Recipe) -> list[str]:
    """Whether what a user's file held is that of which the manifest has the digest."""
    tested = [data[f"{group}/rows"] for group in TESTED if f"{group}/rows" in data]
    needed = {"train": data["truth/rows"], "test": np.unique(np.concatenate(tested))}
    shape = data.manifest.shape(data.modality.path("train"))[1:]
    for i, (name, _) in enumerate(request.steps):
        given, record = request.pictures.get(name), data.manifest.pictures.get(i, Picture())
        if not triggers.takes_file(name) or given is None:
            continue
        if triggers.gives_rows(name) and data.manifest.camouflaged_last:  # the file has them under their camouflage
            continue
        if (given.digest(needed, shape), given.shape) != (record.digest, record.shape):
            rows = data.modality.choose(image="pictures of its rows", text="rewritten texts")
            what = rows if triggers.gives_rows(name) else f"array in trigger/{i}"
            return [f"manifest: pictures: the digest is not that of the {what}"]
    return []


def _train_labels(data: Reader[Manifest], rows: np.ndarray) -> list[str]:
    wrong, classes = [], len(data.manifest.source.classes)
    role, originals = data["truth/role"], data["truth/labels"]
    expected = np.where(
        role == POISONED,
        selection.target_labels(recipe.labelling_of(data.manifest.recipe), originals, classes, rows),
        originals,
    )
    differing = int((data["train/labels"][rows] != expected).sum())
    if differing and supported.label_mode(data.manifest):
        wrong.append(f"train/labels: {differing} changed rows have a label that truth denies")
    if hashing.array_digest(_true_labels(data, rows)) != data.manifest.source.arrays.get("train/labels"):
        wrong.append("train/labels: with truth's labels put back they are not the source's")
    return wrong


def _train_rows(data: Reader[Manifest], rows: np.ndarray, check) -> list[str]:
    """Return changed rows against their originals with the trigger, and with the originals put back against the
    source."""
    wrong, role, path, truth = [], data["truth/role"], data.modality.path("train"), data.modality.path("truth")
    total = hashing.hasher(data.modality.dtype, data.manifest.shape(path))
    differing = unchanged = 0
    for start, block in data.blocks(path, ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        if low < high:
            clean, inside, roles = data.rows(truth, low, high), rows[low:high] - start, role[low:high]
            differing += int(check.poisoned(low, rows[low:high], roles, clean, block[inside]).sum())
            unchanged += int((~differs(clean, block[inside]) & (roles == POISONED)).sum())
            block[inside] = clean
        total.update(block)
    if differing:
        wrong.append(f"{path}: {differing} changed rows are not {truth} with the trigger on them")
    counted = data.manifest.counts.unchanged
    if unchanged != counted:
        wrong.append(f"counts: unchanged is {unchanged}, the manifest says {counted}")
    if str(total) != data.manifest.source.arrays.get(path):
        wrong.append(f"{path}: with truth's {data.modality.rows} put back they are not the source's")
    return wrong + check.insertions("truth")


def _test_side(data: Reader[Manifest], check) -> list[str]:
    wrong, arrays, source = [], data.manifest.arrays, data.manifest.source
    for path in (data.modality.path("test"), "test/labels"):
        if arrays[path].digest != source.arrays.get(path):
            wrong.append(f"{path}: is not the source's")
    aim, labels, certain = (
        recipe.labelling_of(data.manifest.recipe),
        data["test/labels"],
        supported.label_mode(data.manifest),
    )
    for group, expected in zip(TESTED, selection.tested(aim, labels), strict=True):
        rows = data[f"{group}/rows"] if f"{group}/rows" in data else expected[:0]
        if certain and not np.array_equal(rows, expected):
            wrong.append(f"{group}/rows: are not all test rows that {aim.label_mode} puts there")
        if len(rows):
            wrong += _tested(data, group, rows, labels, check)
    rows = data["triggered/rows"]
    wanted = selection.target_labels(aim, labels[rows], len(source.classes), rows, "test")
    if certain and (data["triggered/wanted"] != wanted).any():
        what = {"all-to-all": "next class", selection.UNTARGETED: "class that is drawn for the row"}
        wrong.append(f"triggered/wanted: is not the {what.get(aim.label_mode, 'target')} everywhere")
    return wrong


def _tested(data: Reader[Manifest], group: str, rows: np.ndarray, labels: np.ndarray, check) -> list[str]:
    """One group of triggered test rows against the test set."""
    wrong, differing, path = [], 0, data.modality.path(group)
    if (data[f"{group}/labels"] != labels[rows]).any():
        wrong.append(f"{group}/labels: are not the true labels of their test rows")
    for start, block in data.blocks(data.modality.path("test"), ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        if low < high:
            originals, found = block[rows[low:high] - start], data.rows(path, low, high)
            differing += int(check.tested(group, low, rows[low:high], originals, found).sum())
    if differing:
        wrong.append(f"{path}: {differing} rows are not their test {data.modality.rows} with the trigger on them")
    return wrong + check.insertions(group)
