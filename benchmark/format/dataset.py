"""Read a data set file (data/FORMAT.md), trusting nothing in it that can be checked.

A child process checks its structure first (`sandbox.in_child`); only then does this process open it, read what it
needs, and close it.
"""

import contextlib
import functools
import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.format import delta, implied, layout, sandbox
from benchmark.format.delta import Arrays
from benchmark.format.manifest import ArrayEntry, Kind, Manifest, array_digest, dtype_of, parse


@dataclass(frozen=True)
class Rows:
    """Inputs, images (n, H, W, C) uint8 or texts (n,) object, and their true (in training: given) labels (n,) int64.
    On their way to an encoder texts become `tokens.Tokens`."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A file's contents. `triggered`, `wanted` (n,) int64 and `truth` are None in a clean file, and in a sealed one,
    of which nobody here knows the truth.

    `truth` are the changed training rows as they were; `truth_rows` (n,) int64 says which, `truth_role` (n,) uint8 what
    each is: 1 poisoned, 2 a cover. `others` are triggered rows
    of classes that a source-specific attack is not on; None in files of other attacks. `base` is the clean file
    that a delta was applied to. `triggered_rows` and `others_rows` (n,) int64 are the rows of those in `test`. Of
    images, `mask` (H, W, C) bool is where any trigger can change one; of texts, `insertions` says by group (`truth`,
    `triggered`, `others`) what was put where, (q, 4) int64 as in FORMAT.md.
    """

    path: Path
    manifest: Manifest
    train: Rows
    test: Rows
    triggered: Rows | None = None
    wanted: np.ndarray | None = None
    truth: Rows | None = None
    truth_rows: np.ndarray | None = None
    truth_role: np.ndarray | None = None
    others: Rows | None = None
    base: Path | None = None
    triggered_rows: np.ndarray | None = None
    others_rows: np.ndarray | None = None
    mask: np.ndarray | None = None
    insertions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The dataset digest, `sha256:…`: the identity of the whole file."""
        return self.manifest.dataset_digest

    @property
    def modality(self) -> str:
        """`image` or `text`."""
        return self.manifest.modality

    @property
    def source_digest(self) -> str | None:
        """Digest of the clean arrays that the file was made from; None where it is sealed."""
        return self.manifest.source.digest

    @property
    def target(self) -> int | None:
        """The class that the attacker wants; None in a clean file, or where it differs from image to image."""
        return self.manifest.recipe.target

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in label order."""
        return list(self.manifest.source.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels; empty for texts."""
        return self.train.inputs.shape[1:]

    @property
    def scored(self) -> dict[str, Rows]:
        """The rows that a network is scored on: `test` and, if the file has them, `triggered` and `others`."""
        sets = {"test": self.test, "triggered": self.triggered, "others": self.others}
        return {name: rows for name, rows in sets.items() if rows is not None}

    def hits(self, predicted: np.ndarray) -> np.ndarray | None:
        """Return which triggered rows are classified as the attacker wants, (n,) bool; None where there are none. In an
        untargeted attack that is any class but the true one."""
        if self.triggered is None or self.wanted is None:
            return None
        if self.manifest.recipe.label_mode == implied.UNTARGETED:
            return np.asarray(predicted != self.triggered.labels)
        return np.asarray(predicted == self.wanted)

    def kept(self, hold_out: int) -> np.ndarray:
        """Return the training rows that remain when `hold_out` are left out, ascending, (n,) int64."""
        if not 0 <= hold_out < len(self.train):
            raise Failure(f"--hold-out {hold_out} leaves nothing of {len(self.train)} training rows")
        return np.setdiff1d(np.arange(len(self.train)), random_streams.held_out(len(self.train), hold_out))

    def held_out(self, hold_out: int) -> Rows:
        """Return the rows left out, clean: those that were changed (poisoned, or covers) come back as their originals;
        but for a sealed file, of which nobody knows."""
        rows = random_streams.held_out(len(self.train), hold_out)
        images, labels = self.train.inputs[rows], self.train.labels[rows]
        if self.truth is not None and self.truth_rows is not None:
            _, here, there = np.intersect1d(rows, self.truth_rows, return_indices=True)
            images[here], labels[here] = self.truth.inputs[there], self.truth.labels[there]
        return Rows(images, labels)


def peek(path: str | Path) -> Manifest:
    """Return the manifest of a data set file whose structure is sound, of a delta that of its original; no array is
    read. `Failure` as `load`. A file that has not changed since is not checked again by this process."""
    path = Path(path)
    state = _state(path)
    return Manifest.of(sandbox.in_child(path)) if state is None else _checked(path, state)


@functools.lru_cache(maxsize=256)
def _checked(path: Path, _state: tuple[int, ...]) -> Manifest:
    """Return the manifest of a file that was in that state before it was checked: a check is a process of its own."""
    return Manifest.of(sandbox.in_child(path))


def _state(path: Path) -> tuple[int, ...] | None:
    """Return what tells a file from any other and from itself once it is written to; None where there is no file. The
    time of the last change of the inode cannot be set by whoever writes."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def load(
    path: str | Path, verify: bool = True, manifest: Manifest | None = None, base: str | Path | None = None
) -> Dataset:
    """Read and check a data set file.

    Parameters
    ----------
    path : path-like
        The `.h5` file, or the `.delta.h5` of one.
    verify : bool
        Recompute the digest of every array (about 1.5 GB/s).
    manifest : Manifest, optional
        What `peek` has just returned of the file; without it the structure is checked first.
    base : path-like, optional
        The clean file that a delta is applied to; without it, the one next to the delta.

    Raises
    ------
    Failure
        One line that names the file and what is wrong with it.
    """
    path = Path(path)
    manifest = manifest or peek(path)
    _check_memory(path, manifest)
    kind, arrays = _read(path, verify)
    if not kind.delta:
        return _assembled(path, manifest, arrays, verify)
    source = Path(base) if base else delta.find_base(path, manifest, peek)
    delta.check_base(path, source, peek(source), manifest)
    _, clean = _read(source, verify=False)  # the digests of the whole prove it
    return replace(_assembled(path, manifest, arrays, verify, clean), base=source)


def _assembled(path: Path, manifest: Manifest, arrays: Arrays, verify: bool, clean: Arrays | None = None) -> Dataset:
    """Assemble a data set of its arrays, or of a delta's and those of its clean base. `Failure` names the file."""
    try:
        if clean is not None:
            arrays = delta.rebuild(manifest, arrays, clean)
            for name, array in arrays.items():
                _check_read(array, manifest.arrays[name], name, verify)
        return _assemble(path, manifest, arrays, verify)
    except Failure as error:
        raise Failure(f"{path}: {error}") from None


def sample(path: str | Path, digest: str, base: str | Path | None, count: int) -> np.ndarray:
    """Return a few test images above the same with the trigger on them, as one picture, (2·H, count·W, C) uint8.

    `digest` is the data set's, `base` a delta's clean file. Only these rows are read. Raises `Failure` as `load`, and
    where another data set lies there.
    """
    import h5py

    path = Path(path)
    manifest = peek(path)
    if manifest.dataset_digest != digest:
        raise Failure(f"{path}: is another data set")
    source = Path(base) if base else path
    with h5py.File(source, "r", locking=False) as clean, h5py.File(path, "r", locking=False) as file:
        if "triggered/images" in file and "triggered/rows" in file:  # which a delta may leave out
            rows = file["triggered/rows"][:count]
            after = file["triggered/images"][: len(rows)]
        else:
            raw = parse(sandbox.manifest_text(file))
            arrays = {name: file[name][()] for name in raw["arrays"]}
            layout.check_values(raw, arrays)
            labels = clean["test/labels"][()]
            rows = delta.tested("triggered", manifest, arrays, labels)["triggered/rows"][:count]
            put = delta.trigger(manifest, arrays, "test")
            after = (
                arrays["triggered/images"][: len(rows)]
                if put is None
                else put(np.stack([clean["test/images"][int(row)] for row in rows]))
            )
        before = np.stack([clean["test/images"][int(row)] for row in rows])
    return np.concatenate([np.concatenate(list(images), axis=1) for images in (before, after)])


def sample_texts(path: str | Path, digest: str, base: str | Path | None, count: int) -> list[tuple[str, str]]:
    """Return a few test texts, each as it was and with the trigger in it. Raises `Failure` as `sample`."""
    manifest = peek(path)
    if manifest.dataset_digest != digest:
        raise Failure(f"{path}: is another data set")
    contents = load(path, verify=False, manifest=manifest, base=base)
    if contents.triggered_rows is None or contents.triggered is None:
        raise Failure(f"{path}: has no triggered texts")
    rows = contents.triggered_rows[:count]
    return list(zip(contents.test.inputs[rows], contents.triggered.inputs[: len(rows)], strict=True))


def _read(path: Path, verify: bool) -> tuple[Kind, Arrays]:
    """Return what a file is whose structure is sound (a delta: one), and its arrays by path."""
    import h5py

    arrays: Arrays = {}
    try:
        with h5py.File(path, "r", locking=False) as file:
            raw = parse(sandbox.manifest_text(file))
            kind, entries = Kind(raw["kind"]), {name: ArrayEntry.of(entry) for name, entry in raw["arrays"].items()}
            every = verify or kind.delta
            for name, entry in entries.items():
                if every or not name.startswith("trigger/") or name.endswith("/mask"):
                    arrays[name] = _texts(file[name], name) if entry.is_text else file[name][()]
                    _check_read(arrays[name], entry, name, verify)
            layout.check_values(raw, arrays)
    except Failure as error:
        raise Failure(f"{path}: {error}") from None
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise Failure(f"{path}: cannot be read ({sandbox.one_line(error)})") from None
    return kind, arrays


def _texts(node: Any, name: str) -> np.ndarray:
    """Return the rows of a dataset of texts, (n,) object of str. `Failure` names a row that is none."""
    rows: np.ndarray = node[()]
    for number, data in enumerate(rows):
        if wrong := sandbox.text_problem(data):
            raise Failure(f"{name}: row {number} {wrong}")
        rows[number] = data.decode()
    return rows


def _check_memory(path: Path, manifest: Manifest) -> None:
    need = sum(math.prod(entry.shape) for entry in manifest.arrays.values())
    with contextlib.suppress(ValueError, OSError, AttributeError):
        have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if need > have:
            raise Failure(f"{path}: its arrays need {need / 1e9:.0f} GB of memory, this machine has {have / 1e9:.0f}")


def _check_read(array: np.ndarray, entry: ArrayEntry, name: str, verify: bool) -> None:
    if dtype_of(array) != entry.dtype or array.shape != entry.shape:
        raise Failure(f"{name} changed while it was read")
    if verify:
        actual = array_digest(array)
        if actual != entry.digest:
            raise Failure(f"{name} is not what the manifest says: {entry.digest} recorded, {actual} found")


def _assemble(path: Path, manifest: Manifest, arrays: Arrays, verify: bool) -> Dataset:
    """Check labels and rows against one another and against the recipe, and put the arrays together."""
    inputs = manifest.inputs
    train, test = (Rows(arrays[f"{group}/{inputs}"], arrays[f"{group}/labels"]) for group in ("train", "test"))
    if not manifest.kind.poisoned:
        implied.check(manifest, arrays, verify)
        return Dataset(path, manifest, train, test)
    tested = [group for group in ("triggered", "others") if f"{group}/rows" in arrays]
    for group in tested:
        if not np.array_equal(test.labels[arrays[f"{group}/rows"]], arrays[f"{group}/labels"]):
            raise Failure(f"{group}/labels are not the labels of their rows in test/")
    image = train.inputs.shape[1:]
    mask, insertions = _mask(arrays, image) if image else None, _insertions(arrays)
    implied.check(manifest, arrays, verify)
    rows = {group: Rows(arrays[f"{group}/{inputs}"], arrays[f"{group}/labels"]) for group in (*tested, "truth")}
    return Dataset(
        path,
        manifest,
        train,
        test,
        wanted=arrays["triggered/wanted"],
        truth_rows=arrays["truth/rows"],
        truth_role=arrays["truth/role"],
        triggered_rows=arrays["triggered/rows"],
        others_rows=arrays.get("others/rows"),
        mask=mask,
        insertions=insertions,
        triggered=rows["triggered"],
        truth=rows["truth"],
        others=rows.get("others"),
    )


def _mask(arrays: Arrays, image: tuple[int, ...]) -> np.ndarray:
    """Where any of the triggers can change an image, (H, W, C) bool."""
    mask = np.zeros(image, bool)
    for name, array in arrays.items():
        if name.endswith("/mask"):
            if array.shape != image:
                raise Failure(f"{name} is of {array.shape}, the images are of {image}")
            mask |= array > 0
    return mask


def _insertions(arrays: Arrays) -> Arrays:
    """Return what was put where in the texts of each group that says so. `Failure` where it names a text that is not
    there."""
    found = {name.split("/")[0]: array for name, array in arrays.items() if name.endswith("/insertions")}
    for group, array in found.items():
        _check_range(array[:, 0], len(arrays[f"{group}/rows"]), f"{group}/insertions names text", "there are fewer")
        if np.any(np.diff(array[:, 0]) < 0) or np.any(array < 0):
            raise Failure(f"{group}/insertions is not in order, or holds a number below 0")
    return found


def _check_range(array: np.ndarray, end: int, what: str, expected: str) -> None:
    if len(array) and not (array.min() >= 0 and array.max() < end):
        wrong = array[(array < 0) | (array >= end)][0]
        raise Failure(f"{what} {wrong}, {expected}")
