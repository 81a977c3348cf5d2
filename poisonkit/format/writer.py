"""Write an HDF5 file of the format: atomically, and hashed while it is written. See data/FORMAT.md."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from poisonkit.core import hashing
from poisonkit.core.errors import Failure
from poisonkit.core.files import atomic_write, reason, sha256_of
from poisonkit.core.modality import TEXT, is_text_dtype
from poisonkit.core.signals import defer_signals
from poisonkit.format import sidecars
from poisonkit.format.manifest import Header
from poisonkit.format.records import ArrayEntry, FileRecord
from poisonkit.format.sidecars import sidecar_path

H = TypeVar("H", bound=Header)
Hash = hashing.ArrayHash | hashing.TextHash


class ErrorLatchingFile:
    """The file as libhdf5 sees it while it writes: one where nothing ever fails.

    libhdf5 cannot give up: once a write has failed, closing the file fails too, and the process crashes at its end.
    So the first error is kept for `check`, and what libhdf5 still writes after it goes nowhere.
    """

    def __init__(self, path: Path, mode: int = 0o666):
        self._file = open(path, "w+b", buffering=0, opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
        self._error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size) or b""

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer) or 0

    def write(self, data: Any) -> None:
        view = memoryview(data)
        try:
            while view and not self._error:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._error = error

    def truncate(self, size: int) -> None:
        try:
            self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error

    def flush(self) -> None:
        pass

    def check(self) -> None:
        """Raise what the disk said."""
        if self._error:
            raise self._error

    def close(self) -> None:
        self._file.close()


class Column:
    """One dataset that is written block by block, and hashed on another thread meanwhile."""

    def __init__(self, dataset: h5py.Dataset, pool: ThreadPoolExecutor, disk: ErrorLatchingFile):
        self._dataset, self._pool, self._disk, self._next = dataset, pool, disk, 0
        self._hash: Hash = hashing.ArrayHash(dataset.dtype.str, dataset.shape)

    def write(self, block: np.ndarray) -> None:
        """Append rows. The block may be reused afterwards."""
        block = np.ascontiguousarray(block, self._dataset.dtype)
        if not len(block):
            return
        hashed = self._pool.submit(self._hash.update, block)
        with defer_signals():
            self._dataset.write_direct(block, dest_sel=np.s_[self._next : self._next + len(block)])
        self._disk.check()
        self._next += len(block)
        hashed.result()

    def entry(self) -> ArrayEntry:
        """Return the manifest's entry, once every row is there."""
        if self._next != self._dataset.shape[0]:
            raise RuntimeError(f"{self._dataset.name}: {self._next} of {self._dataset.shape[0]} rows written")
        return ArrayEntry(str(self._hash), self._dataset.dtype.str, self._dataset.shape)


class TextColumn(Column):
    """A dataset of texts of any length: HDF5 keeps a reference for each row, and the texts in heaps."""

    def __init__(self, dataset: h5py.Dataset, pool: ThreadPoolExecutor, disk: ErrorLatchingFile):
        super().__init__(dataset, pool, disk)
        self._hash = hashing.TextHash()

    def write(self, block: np.ndarray) -> None:
        """Append rows, (n,) object of `str`."""
        if not len(block):
            return
        with defer_signals():
            self._dataset[self._next : self._next + len(block)] = block
        self._disk.check()
        self._hash.update(block)
        self._next += len(block)

    def entry(self) -> ArrayEntry:
        """Return the manifest's entry, once every row is there."""
        return replace(super().entry(), dtype=TEXT.dtype)


class Writer:
    """The columns of a file that is being written; `written`, once it has its name, is its size and digest."""

    written: FileRecord

    def __init__(self, file: h5py.File, pool: ThreadPoolExecutor, disk: ErrorLatchingFile):
        self._file, self.pool, self._disk = file, pool, disk
        self._columns: dict[str, Column] = {}

    def column(self, path: str, dtype: str, shape: tuple[int, ...]) -> Column:
        """Return a new contiguous dataset, to be filled block by block; `dtype` as the manifest spells it."""
        texts = is_text_dtype(dtype)
        with defer_signals():
            dataset = self._file.create_dataset(path, shape, h5py.string_dtype() if texts else np.dtype(dtype))
        column = self._columns[path] = (TextColumn if texts else Column)(dataset, self.pool, self._disk)
        return column

    def beside(self, total: Hash) -> Callable[[Iterable[np.ndarray]], AbstractContextManager[None]]:
        """Return what adds arrays to a hash on another thread, while the block of its `with` is executed."""

        @contextlib.contextmanager
        def hashing_of(arrays: Iterable[np.ndarray]) -> Iterator[None]:
            hashed = self.pool.submit(lambda: [total.update(one) for one in arrays if len(one)])
            yield
            hashed.result()

        return hashing_of

    def whole(self, path: str, array: np.ndarray) -> None:
        """Write a dataset that is there already."""
        self.column(path, hashing.dtype_of(array), array.shape).write(array)

    def finish(self, draft: H) -> H:
        """Write the manifest: the draft, the arrays' digests and the digest over all. Returns it."""
        complete = draft.finished({path: column.entry() for path, column in self._columns.items()})
        with defer_signals():
            self._file.attrs["manifest"] = hashing.canonical(complete.json).decode()
        return complete


@contextlib.contextmanager
def _hdf5(disk: ErrorLatchingFile) -> Iterator[h5py.File]:
    """Provide the file, closed at the end even where Ctrl-C comes just before or after it is held back: left to the
    interpreter, libhdf5 would call `ErrorLatchingFile` in the middle of an exception."""
    file = None
    try:
        with defer_signals():
            file = h5py.File(disk, "w")
        yield file
    finally:
        if file is not None:
            _close(file)


def _close(file: h5py.File) -> None:
    try:
        with defer_signals():
            file.close()
    except KeyboardInterrupt:
        with defer_signals():
            file.close()  # of one that is closed already: nothing
        raise


@contextlib.contextmanager
def writing(target: Path, sidecar: bool = True, new: bool = False, mode: int = 0o666) -> Iterator[Writer]:
    """Provide a `Writer` for a temporary file that takes the target's name when the block ends well.

    `sidecar`: whether such a file has a sidecar, so that an older one must go (`Failure` where that is another file's),
    and the new one needs the file's digest: it is taken while the file gets its name, which where it replaces another
    takes as long.
    `new`: see `atomic_write`. `mode`: who may read and write it, less the umask.
    """
    if sidecar:
        sidecars.check(sidecar_path(target), target)
    try:
        with (
            ThreadPoolExecutor(1) as beside,
            atomic_write(target, sidecar_path(target) if sidecar else None, new) as temporary,
            contextlib.closing(ErrorLatchingFile(temporary, mode)) as disk,
        ):
            with ThreadPoolExecutor(2) as pool, _hdf5(disk) as file:
                writer = Writer(file, pool, disk)
                yield writer
            disk.check()
            size = temporary.stat().st_size
            hashed = beside.submit(sha256_of, FileIO(temporary)) if sidecar else None
        if hashed is not None:
            writer.written = FileRecord(size, hashed.result())
    except OSError as error:
        raise Failure(f"{target}: could not be written: {reason(error)}") from error
