"""Arrays of the user's in an HDF5 file, which may be a stranger's: read in a child process first, since libhdf5 can
crash or hang on a damaged one, and then by rows."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from poisonkit.core import child_process, files
from poisonkit.core.errors import Failure
from poisonkit.triggers.outside_pictures import MOST_BYTES, PARTS

ARRAYS = ("images", "rows")
BLOCK = 16 << 20  # bytes that are read at once
LARGEST_CHUNK = 64 << 20


class _Wrong(Exception):
    """What is wrong with a file, without its name."""


class Rows:
    """A dataset whose rows are read by their numbers, in any order."""

    def __init__(self, dataset: h5py.Dataset):
        self._dataset, self.dtype, self.shape = dataset, dataset.dtype, dataset.shape

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            return np.asarray(self._dataset[rows])
        once, back = np.unique(rows, return_inverse=True)
        if not len(once):
            return np.empty((0, *self.shape[1:]), self.dtype)
        first, last = int(once[0]), int(once[-1]) + 1
        if last - first <= 4 * len(once):
            return np.asarray(self._dataset[first:last])[once - first][back]
        return np.stack([self._dataset[int(row)] for row in once])[back]


def opened(path: Path) -> Mapping[str, Rows]:
    """Open the arrays of a file, as `train_images`, `train_rows`, … whatever their spelling there. Raises `Failure` in
    one line where it is damaged or holds something else under these names."""
    if hasattr(os, "fork"):
        answer = child_process.ask(lambda alive: _look(path, alive), _Wrong)
        if "error" in answer:
            raise Failure(f"{path}: {answer['error']}")
    try:
        file = h5py.File(path, "r", locking=False)
        return {name: Rows(file[place]) for name, place in _places(file).items()}
    except (OSError, _Wrong) as error:
        why = files.reason(error) if isinstance(error, OSError) else error
        raise Failure(f"{path}: could not be read: {why}") from None


def _places(file: h5py.File) -> dict[str, str]:
    """Name → where it lies in the file; links to elsewhere are refused. Whatever else is there is named too."""
    found = {}
    for part in PARTS:
        for what in ARRAYS:
            for place in (f"{part}_{what}", f"{part}/{what}"):
                if _is_there(file, place):
                    if f"{part}_{what}" in found:
                        raise _Wrong(f"has both {part}_{what} and {part}/{what}: which of them is meant?")
                    found[f"{part}_{what}"] = place
    if not found:
        raise _Wrong(f"holds {', '.join(sorted(file)[:8])!r:.200}, expected train_images, train_rows, test_images, …")
    return found


def _is_there(file: h5py.File, place: str) -> bool:
    """Whether there is something of that name, in this file itself."""
    group: Any = file
    for name in place.split("/"):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return False
        if not isinstance(link, h5py.HardLink):
            raise _Wrong(f"{place} is a link to elsewhere, expected an array")
        group = group[name]
    if not isinstance(group, h5py.Dataset):
        raise _Wrong(f"{place} is a group, expected an array")
    return True


def _look(path: Path, alive: Callable[[], object]) -> list[str]:
    """Read everything once, so that what is damaged is found in this process."""
    with h5py.File(path, "r", locking=False) as file:
        places = _places(file)
        for place in places.values():
            alive()
            _read_through(file[place], place, alive)
        return sorted(places)


def _read_through(dataset: h5py.Dataset, place: str, alive: Callable[[], object]) -> None:
    if dataset.shape is None or not dataset.shape or dataset.dtype.kind not in "fiub":
        raise _Wrong(f"{place} is of {dataset.dtype}, {dataset.shape}, expected an array of numbers")
    if dataset.is_virtual or dataset.external:
        raise _Wrong(f"{place} lies in other files, expected it in this one")
    if dataset.chunks is not None and np.prod(dataset.chunks, dtype=object) * dataset.dtype.itemsize > LARGEST_CHUNK:
        raise _Wrong(f"{place} is in chunks of over {LARGEST_CHUNK >> 20} MB")
    each = max(1, int(np.prod(dataset.shape[1:], dtype=object)) * dataset.dtype.itemsize)
    if each > LARGEST_CHUNK:
        raise _Wrong(f"{place} has rows of {each:,} bytes, expected pictures")
    if dataset.shape[0] * each > MOST_BYTES:  # of chunks that were never written none is in the file
        raise _Wrong(f"{place} is {dataset.shape[0] * each >> 30:,} GB, expected at most {MOST_BYTES >> 30}")
    rows = max(1, BLOCK // each)
    for start in range(0, dataset.shape[0], rows):
        dataset[start : start + rows]
        alive()
