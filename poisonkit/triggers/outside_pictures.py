"""Pictures that another tool has made of rows of a data set, by part and row: arrays in an .npz or HDF5 file, or a
folder of pictures named by row.

An array file has `train_images` (n, H, W, C) uint8 and `train_rows` (n,), `test_images` and `test_rows` (in HDF5 also
`train/images`, …); without row numbers, picture i is of row i. A folder has `train/ROW.png` and `test/ROW.png`, or
`train-ROW.png` and `test-ROW.png`. There may be more pictures than are needed.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import array_files, files, hashing, texts
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.numbers import counted

PARTS = ("train", "test")
MOST_BYTES = 64 << 30
AT_ONCE = 512
LARGEST_FILE = 64 << 20  # bytes of one picture
SUFFIXES = ("png", "ppm", "pgm", "bmp")
_NAME = re.compile(rf"(?:(train|test)[-_/])0*([0-9]{{1,12}})\.(?:{'|'.join(SUFFIXES)})", re.I)
_LARGEST_ROW = 10**12
_SHOWN = 5
_CHANNELS = (1, 3)

Read = Callable[[np.ndarray, tuple[int, int, int]], np.ndarray]
"""Places among the pictures of a part, ascending, and (H, W, C) → these pictures, (n, H, W, C) uint8."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part: their `rows` (n,) int64, ascending, what reads them, and their shape (H, W, C), where
    that is known before they are read."""

    rows: np.ndarray
    read: Read
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class OutsidePictures:
    """Pictures by part: `where` is the file's name in messages; `notices` are lines that should be known of it."""

    where: str
    parts: dict[str, Part]
    notices: list[str] = field(default_factory=list)
    shape: None = None  # of a picture's record: there are many

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise `Failure` for a row beyond those of a data set; `sizes` are its rows in each part."""
        for part, size in sizes.items():
            last = self.parts[part].rows[-1:].tolist() if part in self.parts else []
            if last and last[0] >= size:
                raise Failure(f"{self.where}: row {last[0]} of {part}: the data set has {size:,}, numbered from 0")

    def check_shape(self, tile: tuple[int, int, int]) -> None:
        """Raise `Failure` where the pictures are of another size than the images."""
        for name, part in self.parts.items():
            if part.shape is not None and part.shape != tile:
                found, expected = array_files.times(part.shape), array_files.times(tile)
                raise Failure(f"{self.where}: its {name} pictures are {found}, the images of the data set {expected}")

    def of(self, part: str, rows: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Return the pictures of these rows, ascending, (n, H, W, C) uint8. Raises `Failure` where some are missing."""
        places = self._places(part, rows)
        return self.parts[part].read(places, shape) if len(rows) else np.empty((0, *shape), np.uint8)

    def _places(self, part: str, rows: np.ndarray) -> np.ndarray:
        """Find rows among the pictures of a part."""
        known = self.parts[part].rows if part in self.parts else np.empty(0, np.int64)
        places = np.searchsorted(known, rows)
        there = places < len(known)
        there[there] = known[places[there]] == rows[there]
        if not there.all():
            missing = rows[~there].tolist()
            listed = ", ".join(map(str, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
            raise Failure(
                f"{self.where}: lacks {len(missing):,} of the {len(rows):,} {part} rows to be changed ({listed}): "
                "--images-list FILE.csv writes them all"
            )
        return places

    def digest(self, needed: Mapping[str, np.ndarray], shape: tuple[int, int, int]) -> str:
        """SHA-256 of the canonical JSON of part → digest of the pictures of the rows that are needed, ascending: what
        else the file holds changes no byte of a data set."""
        found = {}
        for part, rows in needed.items():
            self._places(part, rows)  # of all rows, before any is read
        for part, rows in needed.items():
            total = hashing.hasher("|u1", (len(rows), *shape))
            for _, block in self.blocks(part, rows, shape):
                total.update(block)
            found[part] = str(total)
        return hashing.digest(found)

    def blocks(
        self, part: str, rows: np.ndarray, shape: tuple[int, int, int]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield some of the rows, and their pictures, at a time."""
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            yield some, np.ascontiguousarray(self.of(part, some, shape))


def read(path: Path) -> OutsidePictures:
    """Open what the user names: an .npz file, an HDF5 file or a folder. `Failure` in one line where it is none."""
    if path.is_dir():
        return _folder(path)
    where = files.path_text(path)
    if not path.is_file():  # a pipe would block
        what = "is not a file" if path.exists() else "no such file"
        raise Failure(f"{where}: {what}: expected an .npz file, an HDF5 file, or a folder of pictures by row")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise Failure(f"{where}: could not be read: {files.reason(error)}") from None
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        from poisonkit.triggers import outside_hdf5

        return of_arrays(where, outside_hdf5.opened(path))
    if not start.startswith(array_files.ZIP):
        raise Failure(f"{where}: is neither an .npz nor an HDF5 file, nor a folder of pictures by row")
    with array_files.opened(path, MOST_BYTES) as file:
        known = {f"{part}_{what}" for part in PARTS for what in ("images", "rows")}
        for name in file.names:
            if name in known:
                header = file.header(name)
                _check_form(where, name, header.dtype, header.shape)
        arrays = {name: file.read(name) for name in file.names if name in known}
        return of_arrays(where, arrays or dict.fromkeys(file.names))  # the message names what is there


def accept(value: object) -> OutsidePictures:
    """Take arrays by name instead of a file."""
    if not isinstance(value, Mapping) or not all(isinstance(one, np.ndarray) for one in value.values()):
        raise Usage(
            "--images-file: expected a path, or a dict of arrays (train_images, train_rows, test_images, test_rows), "
            f"got {value!r:.60}"
        )
    try:
        return of_arrays("--images-file", {str(name): array for name, array in value.items()})
    except Failure as error:
        raise Usage(str(error)) from None


def of_arrays(where: str, arrays: Mapping[str, Any]) -> OutsidePictures:
    """Return the pictures of arrays by name, NumPy's or such as are read by rows. Raises `Failure` for what is none."""
    parts = {}
    for part in PARTS:
        images, numbers = arrays.get(f"{part}_images"), arrays.get(f"{part}_rows")
        if images is None:
            if numbers is not None:
                raise Failure(f"{where}: has {part}_rows and no {part}_images")
            continue
        _check_form(where, f"{part}_images", images.dtype, images.shape)
        shape = (*images.shape[1:], 1)[:3]
        if numbers is None:
            parts[part] = Part(np.arange(len(images), dtype=np.int64), _taken(images, None), shape)
            continue
        _check_form(where, f"{part}_rows", numbers.dtype, numbers.shape)
        if len(numbers) != len(images):
            raise Failure(f"{where}: has {len(images):,} {part}_images, and {len(numbers):,} {part}_rows")
        order, rows = _ascending(where, part, np.asarray(numbers[:]))
        parts[part] = Part(rows, _taken(images, order), shape)
    if not parts:
        found = ", ".join(texts.printable(name) for name in list(arrays)[:8]) or "nothing"
        raise Failure(f"{where}: holds {found}, expected train_images, train_rows, test_images, test_rows")
    return OutsidePictures(where, parts)


def _check_form(where: str, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Raise `Failure` where an array is of no pictures, or no row numbers."""
    size = array_files.times(shape)
    if name.endswith("_rows"):
        if dtype.kind not in "iu" or len(shape) != 1:
            raise Failure(f"{where}: {name} is {size} {dtype}, expected whole numbers, one for each picture")
        return
    if dtype != np.uint8:
        scale = " (if they run from 0 to 1: (255 * x).round().astype('uint8'))" if dtype.kind == "f" else ""
        raise Failure(f"{where}: {name} is {dtype}, expected uint8{scale}")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in _CHANNELS) or 0 in shape[1:]:
        first = len(shape) == 4 and shape[1] in _CHANNELS and shape[3] not in _CHANNELS
        hint = ": numpy.moveaxis(x, 1, -1) puts the channels last" if first else ""
        raise Failure(f"{where}: {name} is {size}, expected (n, H, W) or (n, H, W, C) with C 1 or 3{hint}")


def _ascending(where: str, part: str, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return in which order the rows ascend, and the rows so, int64. Raises `Failure` for one twice, or none."""
    wrong = (numbers < 0) | (numbers >= _LARGEST_ROW)
    if wrong.any():
        raise Failure(f"{where}: {part}_rows has {numbers[wrong][0]}, expected rows numbered from 0")
    rows = numbers.astype(np.int64)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    twice = rows[1:][np.diff(rows) == 0]
    if len(twice):
        raise Failure(f"{where}: row {twice[0]} of {part} twice")
    return order, rows


def _taken(images: Any, order: np.ndarray | None) -> Read:
    """Return what takes pictures out of an array, whose rows ascend in that order."""

    def taken(places: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        found = images[places if order is None else order[places]]
        return np.asarray(found).reshape(len(places), *shape)

    return taken


def _folder(path: Path) -> OutsidePictures:
    """Find the pictures of a folder, which are decoded when they are needed."""
    where = files.path_text(path)
    found: dict[str, dict[int, str]] = {part: {} for part in PARTS}
    others = 0
    try:
        for name in _names(path):
            match = _NAME.fullmatch(name)
            if match is None:
                others += 1
                continue
            part, row = match[1].lower(), int(match[2])
            if row in found[part]:
                raise Failure(f"{where}: row {row} of {part} twice, as {found[part][row]} and {name}")
            found[part][row] = name
    except OSError as error:
        raise Failure(f"{where}: could not be read: {files.reason(error)}") from None
    if not any(found.values()):
        raise Failure(
            f"{where}: holds no picture named by its row, expected train/ROW.png and test/ROW.png, or train-ROW.png "
            f"and test-ROW.png ({', '.join(SUFFIXES)})"
        )
    notices = [f"{where}: {counted(others, 'file')} not named PART/ROW.png: left out"] if others else []
    parts = {}
    for part, names in found.items():
        rows = np.array(sorted(names), np.int64)
        parts[part] = Part(rows, _decoded(path, [names[row] for row in rows.tolist()]))
    return OutsidePictures(where, parts, notices)


def _names(path: Path) -> Iterator[str]:
    """Yield the files of a folder, and of `train` and `test` in it."""
    for entry in sorted(os.scandir(path), key=lambda one: one.name):
        if entry.name in PARTS and entry.is_dir():
            yield from sorted(f"{entry.name}/{one.name}" for one in os.scandir(entry.path))
        else:
            yield entry.name


def _decoded(folder: Path, names: list[str]) -> Read:
    """Return what decodes pictures of a folder."""

    def decoded(places: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        from poisonkit.core import picture_files  # late: OpenCV, which arrays do not need

        out = np.empty((len(places), *shape), np.uint8)
        for at, place in enumerate(places.tolist()):
            path = folder / names[place]
            if not path.is_file():  # a pipe would block
                raise Failure(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
            if path.stat().st_size > LARGEST_FILE:
                raise Failure(f"{path}: is larger than {LARGEST_FILE >> 20} MB")
            picture = picture_files.read(path, shape[2])
            if picture.shape != shape:
                found, expected = array_files.times(picture.shape[:2]), array_files.times(shape[:2])
                raise Failure(f"{path}: is {found} pixels, the images of the data set are {expected}")
            out[at] = picture
        return out

    return decoded
