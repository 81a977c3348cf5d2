"""Read an HDF5 file of the format, opened only after its structure was checked. See data/FORMAT.md."""

import contextlib
import functools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import h5py
import numpy as np

from poisonkit.core import hints
from poisonkit.core.errors import Failure
from poisonkit.core.files import reason
from poisonkit.core.modality import Modality, is_text_dtype
from poisonkit.core.splits import Split, TextSplit
from poisonkit.format import arrays, string_arrays, structure
from poisonkit.format.manifest import Header, Manifest

BLOCK = 32 << 20  # bytes of rows that are read at once

M = TypeVar("M", bound=Header)


class Reader(Generic[M]):
    """An open file of the format: its manifest, and its arrays by path.

    What it returns is sound: labels are classes, row numbers ascend and exist, roles are known ones. An array is
    checked when something of it is first read; `Failure` says what is wrong with it. A reader that was opened with
    `vouch` False returns what the file has, and `value_problems` says what is wrong.
    """

    def __init__(self, path: Path, file: h5py.File, manifest: M, vouch: bool = True):
        self.path, self.manifest, self._file = path, manifest, file
        self._unchecked = set(arrays.checked_values(manifest.json)) if vouch else set()

    def __getitem__(self, name: str) -> np.ndarray:
        self._vouch(name)
        found: np.ndarray = self._data(name)[()]
        return found

    def check(self) -> None:
        """Check all values now, for who writes something as it reads. `Failure` says what is wrong with the first."""
        for name in sorted(self._unchecked):
            self._vouch(name)

    def value_problems(self) -> list[str]:
        """Return what is wrong with labels, row numbers and roles, one line an array."""
        return [wrong for name in arrays.checked_values(self.manifest.json) if (wrong := self._value_problem(name))]

    def _vouch(self, name: str) -> None:
        """Check the values of an array before something of it is returned for the first time."""
        if name in self._unchecked:
            if wrong := self._value_problem(name):
                raise Failure(f"{self.path}: {wrong}: `{hints.verify(self.path)}` says more")
            self._unchecked.discard(name)

    def _value_problem(self, name: str) -> str | None:
        return arrays.value_problem(name, self._file[name][()], self._forms[name], self._sizes)

    @functools.cached_property
    def _forms(self) -> dict[str, arrays.Form]:
        return arrays.forms(self.manifest.json)

    @functools.cached_property
    def _sizes(self) -> dict[str, int]:
        return arrays.sizes_of(self.manifest.json)

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.arrays

    @property
    def closed(self) -> bool:
        """Whether the file was closed meanwhile."""
        return not self._file

    @property
    def modality(self) -> Modality:
        """What its rows are."""
        return self.manifest.modality

    def has_texts(self, name: str) -> bool:
        """Whether an array is one of texts."""
        return is_text_dtype(self.manifest.arrays[name].dtype)

    def _data(self, name: str) -> Any:
        """Return the dataset, whose texts are `str`."""
        return self._file[name].asstr() if self.has_texts(name) else self._file[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return some rows of an array."""
        self._vouch(name)
        found: np.ndarray = self._data(name)[start:stop]
        return found

    def size(self, name: str) -> int:
        """Bytes that an array takes in the file."""
        data = self._file[name]
        return string_arrays.size(self.path, data) if self.has_texts(name) else data.nbytes

    def offset(self, name: str) -> int:
        """Where an array begins in the file, in bytes: the format's arrays are plain."""
        return int(self._file[name].id.get_offset())

    def split(self, part: str) -> Any:
        """`train` or `test` as a `Split` or `TextSplit`, whose rows are read in any order: images past libhdf5, texts
        held in memory."""
        if self.modality.is_text:
            return TextSplit.held(self.path, self[f"{part}/texts"], self[f"{part}/labels"])
        images = f"{part}/images"
        return Split(self.path, self.offset(images), self.manifest.shape(images), self[f"{part}/labels"])

    def pick(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return the given rows of an array, in ascending order of their numbers."""
        if not len(rows):
            return self.rows(name, 0, 0)
        first, last = int(rows[0]), int(rows[-1]) + 1
        close = last - first <= 4 * len(rows)
        if close or self.has_texts(name):  # one read of the whole stretch
            stretch = self.rows(name, first, last)
            return stretch[rows - first]  # type: ignore[no-any-return]
        return np.stack([self._file[name][int(row)] for row in rows])

    def blocks(self, name: str, rows: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, rows) over a whole array: at most `rows` at once, and fewer where they are large."""
        dataset = self._file[name]
        count, size = len(dataset), max(1, dataset.nbytes // max(1, len(dataset)))
        rows = max(1, min(rows, BLOCK // size))
        for start in range(0, count, rows):
            yield start, self.rows(name, start, start + rows)

    @property
    def clean(self) -> bool:
        """Whether it is a clean file."""
        return self.manifest.clean


@overload
def reading(path: Path, *, vouch: bool = True) -> AbstractContextManager[Reader[Manifest]]: ...


@overload
def reading(path: Path, of: type[M] | tuple[type[M], ...], vouch: bool = True) -> AbstractContextManager[Reader[M]]: ...


@contextlib.contextmanager
def reading(path: Path, of: Any = Manifest, vouch: bool = True) -> Iterator[Any]:
    """Provide a `Reader` for a file whose structure has been checked; `Failure` says in one line what is wrong with it.

    `of` are the manifests of those kinds of files that will do (default: data sets, clean or poisoned); `vouch` is
    whether the reader checks the values that it returns.
    """
    manifest = structure.inspect(path, of)
    try:
        file = structure.opened(path)
    except OSError as error:
        raise Failure(f"{path}: could not be opened: {reason(error)}") from error
    with file:
        try:
            yield Reader(path, file, manifest, vouch)
        except OSError as error:
            if error.filename is not None and os.fspath(error.filename) != os.fspath(path):  # of what is written, say
                raise
            raise Failure(f"{path}: could not be read: {reason(error)}") from error
