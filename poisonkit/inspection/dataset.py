"""A file of the format, opened for Python: its groups as attributes, whose arrays are read when they are needed."""

import contextlib
from collections.abc import Iterator
from os import PathLike
from types import TracebackType
from typing import Any

import numpy as np

from poisonkit.core import interface
from poisonkit.core.errors import Failure
from poisonkit.format import manifest as manifests
from poisonkit.format import reader, structure
from poisonkit.format.manifest import AnyManifest, DeltaManifest, KeyManifest
from poisonkit.format.reader import Reader

HOLDS = {
    "clean": "a clean file, which holds train and test alone",
    "poisoned": "a poisoned file",
    "sealed": "a sealed file, which holds train and test alone: what was changed is in its key (`unseal`)",
    "delta": "a delta, which holds only what differs from the clean data: `unpack` restores the data set",
    "key": "the key of a sealed file: `unseal` restores the data set",
}


class Array:
    """An array of an open file, read from disk where it is indexed: rows along the first axis.

    Images are (n, H, W, C) uint8, labels and row numbers (n,) int64, texts (n,) object of `str`. `numpy.asarray` reads
    all of it.
    """

    def __init__(self, data: Reader, path: str):
        entry = data.manifest.arrays[path]
        self._data, self.path = data, path
        self.shape: tuple[int, ...] = entry.shape
        self.dtype = np.dtype(object) if data.has_texts(path) else np.dtype(entry.dtype)

    @property
    def ndim(self) -> int:
        """The number of its dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self.path} of {self._data.path.name}: {self.shape}, {self.dtype}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{self.path} is on disk: it cannot be had without a copy")
        values = self[:]
        return values if dtype is None else values.astype(dtype)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), 1024):
            yield from self[start : start + 1024]

    def __getitem__(self, index: Any) -> Any:
        """Read one row, a slice, rows by their numbers in any order, or where a mask (n,) bool is set.

        A tuple indexes the rows by its first part, and what was read by the others; ``...`` reads all.
        """
        if index is Ellipsis or (isinstance(index, tuple) and not index):
            return self[:]
        if isinstance(index, tuple):
            rows, rest = index[0], index[1:]
            if rows is Ellipsis:
                return self[:][index]
            return self[rows][rest if isinstance(rows, int | np.integer) else (slice(None), *rest)]
        with _reading(self._data, self.path):
            if isinstance(index, int | np.integer) and not isinstance(index, bool):
                return self._row(int(index))
            if isinstance(index, slice):
                return self._slice(index)
            return self._rows(np.asarray(index))

    def _row(self, index: int) -> Any:
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"row {index} of {self.path}, which has {len(self):,}")
        return self._data.rows(self.path, row, row + 1)[0]

    def _slice(self, index: slice) -> np.ndarray:
        start, stop, step = index.indices(len(self))
        if step > 0:
            return self._data.rows(self.path, start, max(start, stop))[::step]
        return self._rows(np.arange(start, stop, step))

    def _rows(self, index: np.ndarray) -> np.ndarray:
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise IndexError(f"a mask of {index.shape} for {self.path}, which has {len(self):,} rows")
            index = np.flatnonzero(index)
        if index.ndim != 1 or (len(index) and not np.issubdtype(index.dtype, np.integer)):
            raise IndexError(f"{self.path}: expected a row, a slice, row numbers (n,) or a mask, got {index.dtype}")
        if len(index) and (index.min() < -len(self) or index.max() >= len(self)):
            raise IndexError(f"rows {index.min()} … {index.max()} of {self.path}, which has {len(self):,}")
        index = index.astype(np.int64)  # only now: a number of 64 bits without sign could become another
        rows = np.where(index < 0, index + len(self), index)
        unique, places = np.unique(rows, return_inverse=True)
        return self._data.pick(self.path, unique)[places]


@contextlib.contextmanager
def _reading(data: Reader, path: str) -> Iterator[None]:
    """Turn errors of reading into `Failure`, that of a file which was closed among them."""
    if data.closed:
        raise Failure(f"{data.path}: is closed: read {path} inside `with poisonkit.open(…)`")
    try:
        yield
    except OSError as error:
        raise Failure(f"{data.path}: {path} could not be read: {error}") from error


class Group:
    """One group of arrays (`train`, `test`, `triggered`, `others`, `truth`, …): each is an attribute, by its name."""

    def __init__(self, data: Reader, name: str):
        self._data, self._name = data, name
        prefix = f"{name}/"
        self._paths = {path.removeprefix(prefix): path for path in data.manifest.arrays if path.startswith(prefix)}

    def __getattr__(self, name: str) -> Array:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._paths:
            known = ", ".join(self._paths)
            raise Missing(f"{self._data.path}: {self._name} has no {name}: it has {known}")
        return Array(self._data, self._paths[name])

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str):
            raise TypeError(f"{self._name} is a group: take rows of one of its arrays ({', '.join(self._paths)})")
        return self.__getattr__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, name: str) -> bool:
        return name in self._paths

    def __len__(self) -> int:
        return max((len(self[name]) for name in self._paths), default=0)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._paths]

    def __repr__(self) -> str:
        return f"<{self._name} of {self._data.path.name}: {', '.join(self._paths)}>"


class Dataset:
    """An open file of the format, see `open`.

    Attributes
    ----------
    path : Path
        Where it is.
    manifest : Manifest, SealedManifest, DeltaManifest or KeyManifest
        What the file says of itself: ``manifest.recipe.rate``, ``manifest.source.classes``, ``manifest.counts``, …;
        ``manifest.json`` is all of it as ``data/FORMAT.md`` describes it.
    kind : str
        ``clean``, ``poisoned``, ``sealed``, ``delta`` or ``key``.
    train, test : Group
        The training and the test set: ``images`` (N, H, W, C) uint8 or ``texts`` (N,), and ``labels`` (N,) int64.
    triggered : Group
        Test rows with the trigger: also ``wanted``, the target label of each, and ``rows``, their numbers in the test
        set. ``others``, in a source-specific attack, are those of non-source classes.
    truth : Group
        The changed training rows: ``rows``, ``role`` (1 poisoned, 2 cover), and the original ``labels`` and ``images``
        or ``texts``.
    """

    def __init__(self, data: Reader):
        self._data, self.path = data, data.path
        self.manifest: AnyManifest = data.manifest
        self.kind: str = data.manifest.kind
        self._groups = list(dict.fromkeys(path.split("/")[0] for path in data.manifest.arrays))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; its arrays cannot be read any more."""
        self._stack.close()

    @property
    def modality(self) -> str:
        """``image`` or ``text``."""
        return self._data.modality.name

    @property
    def rows(self) -> str:
        """What its rows are, and the name of their arrays: ``images`` or ``texts``."""
        return self._data.modality.rows

    def read(self, path: str) -> np.ndarray:
        """Read a whole array by its path in the file, such as ``truth/rows``."""
        if path not in self._data:
            raise Failure(f"{self.path}: has no array {path!r:.80}")
        return Array(self._data, path)[:]

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels."""
        whole = self.manifest
        return list((whole.original if isinstance(whole, DeltaManifest | KeyManifest) else whole).source.classes)

    @property
    def groups(self) -> list[str]:
        """The names of the groups in this file."""
        return list(self._groups)

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __getattr__(self, name: str) -> Group:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._groups:
            return Group(self._data, name)
        known = f"{self.path} is {HOLDS[self.kind]}"
        raise Missing(f"it has no {name}: {known}; its groups are {', '.join(self._groups)}")

    def __getitem__(self, name: str) -> Group:
        if not isinstance(name, str):
            raise TypeError(f"{self.path}: expected the name of a group ({', '.join(self._groups)}), got {name!r:.60}")
        return self.__getattr__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._groups]

    def __repr__(self) -> str:
        return f"<{self.path}: {self.kind}, {', '.join(self._groups)}>"


class Missing(Failure, AttributeError):
    """A file has no group, or a group no array, of that name; an `AttributeError` too, so that `hasattr` answers."""


@interface.public
def open(path: str | PathLike[str]) -> Dataset:  # noqa: A001
    """Open a file of any kind; use it in a ``with`` block, or close it.

    Its structure is checked before it is opened, and its arrays are read only where they are indexed. Raises `Failure`
    where it is not a sound file of the format.
    """
    stack = contextlib.ExitStack()
    try:
        dataset = Dataset(stack.enter_context(reader.reading(interface.path(path), manifests.EVERY)))
    except BaseException:
        stack.close()
        raise
    dataset._stack = stack
    return dataset


def open_data_set(path: str | PathLike[str]) -> Dataset:
    """Open a file that has training and test rows, as `open` does. Raises `Failure` for a delta or a key."""
    manifest = structure.inspect(interface.path(path), manifests.EVERY)
    if isinstance(manifest, DeltaManifest | KeyManifest):
        raise Failure(f"{path}: is {HOLDS[manifest.kind]}")
    return open(path)
