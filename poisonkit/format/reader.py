"""The HDF5 file: written atomically and hashed while it is written; opened only after a look at its structure.

See data/FORMAT.md for the layout.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from poisonkit.core import modality
from poisonkit.core.errors import Failure
from poisonkit.core.modality import TEXT
from poisonkit.core.signals import held_back
from poisonkit.format import manifest, sidecars, string_arrays, structure

SIDECAR = ".manifest.json"
_NUMBERS = re.compile(r"\[\n\s+(-?\d+,\n\s+)*-?\d+\n\s+\]")
BLOCK = 32 << 20  # bytes of rows that are read at once


def sidecar_path(path: Path) -> Path:
    """`NAME.manifest.json` beside `NAME.h5`."""
    return path.with_name(path.name.removesuffix(".h5") + SIDECAR)


# ---------------------------------------------------------------- writing


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{socket.gethostname()}-{os.getpid()}.tmp")


def sweep(target: Path) -> None:
    """Remove what a killed process of this machine left beside the target."""
    prefix = f".{target.name}.{socket.gethostname()}-"
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        pid = path.name.removeprefix(prefix).removesuffix(".tmp")
        if path.name.startswith(prefix) and pid.isdigit() and not _alive(int(pid)):
            with contextlib.suppress(OSError):  # another user's, say
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Taken(Failure):
    """Something got the target's name while it was written under a temporary one. Nothing of it was touched."""

    def __init__(self, target: Path):
        self.target = target
        super().__init__(f"{target}: was written by another process meanwhile: --force replaces it, or -o elsewhere")


@contextlib.contextmanager
def replacing(target: Path, obsolete: Path | None = None, new: bool = False):
    """A temporary path beside the target, renamed onto it when the block ends well and removed when it does not.

    `obsolete` is a file that speaks of the old target; it goes at the same moment. `new`: nothing may be replaced, so
    that the name is looked at again at the last moment. Raises `Taken` where another process has it by then, `Failure`
    where the target is a symbolic link: neither it nor what it points to is to be lost.
    """
    refuse_link(target)
    make_folder(target.parent)
    sweep(target)
    temporary = _temporary(target)
    try:
        yield temporary
        if new:
            claim(temporary, target)
        if obsolete is not None:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                obsolete.unlink()
        if not new:
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are not there; `Failure` where one is a link to nothing."""
    for one in (folder, *folder.parents):
        if one.is_symlink() and not one.exists():
            raise Failure(f"{one}: is a link to nothing: make the folder that it points to, or -o elsewhere")
    folder.mkdir(parents=True, exist_ok=True)


def refuse_link(target: Path) -> None:
    """`Failure` where something is to be written under the name of a symbolic link, dangling or not."""
    if target.is_symlink():
        raise Failure(f"{target}: is a link: name the place itself")


def claim(temporary: Path, target: Path) -> None:
    """Give a file its name unless something has it; `Taken` otherwise. No other process gets between look and name."""
    try:
        os.link(temporary, target)
        return
    except FileExistsError:
        raise Taken(target) from None
    except OSError:  # a file system without hard links
        pass
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise Taken(target) from None
    os.replace(temporary, target)


@contextlib.contextmanager
def scratch(target: Path):
    """A folder beside the target for what is not to stay; removed at the end, as is that of a killed process."""
    make_folder(target.parent)
    sweep(target)
    folder = _temporary(target)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Disk:
    """The file as libhdf5 sees it while it writes: one where nothing ever fails.

    libhdf5 cannot give up: once a write has failed, closing the file fails too, and the process crashes at its end.
    So the first error is kept for `check`, and what libhdf5 still writes after it goes nowhere.
    """

    def __init__(self, path: Path, mode: int = 0o666):
        self._file, self._error = open(path, "w+b", buffering=0, opener=lambda *how: os.open(*how, mode)), None  # noqa: SIM115

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer) -> int:
        return self._file.readinto(buffer)

    def write(self, data) -> None:
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

    def __init__(self, dataset: h5py.Dataset, pool: ThreadPoolExecutor, disk: _Disk):
        self._dataset, self._pool, self._disk, self._next = dataset, pool, disk, 0
        self._hash = manifest.ArrayHash(dataset.dtype.str, dataset.shape)

    def write(self, block: np.ndarray) -> None:
        """Append rows. The block may be reused afterwards."""
        block = np.ascontiguousarray(block, self._dataset.dtype)
        if not len(block):
            return
        hashed = self._pool.submit(self._hash.update, block)
        with held_back():
            self._dataset.write_direct(block, dest_sel=np.s_[self._next : self._next + len(block)])
        self._disk.check()
        self._next += len(block)
        hashed.result()

    def record(self) -> dict:
        """The manifest's entry, once every row is there."""
        if self._next != self._dataset.shape[0]:
            raise RuntimeError(f"{self._dataset.name}: {self._next} of {self._dataset.shape[0]} rows written")
        return {
            "digest": str(self._hash),
            "dtype": self._dataset.dtype.str,
            "shape": list(self._dataset.shape),
        }


class TextColumn(Column):
    """A dataset of texts of any length: HDF5 keeps a reference for each row, and the texts in heaps."""

    def __init__(self, dataset: h5py.Dataset, pool: ThreadPoolExecutor, disk: _Disk):
        super().__init__(dataset, pool, disk)
        self._hash = manifest.TextHash()

    def write(self, block: np.ndarray) -> None:
        """Append rows, (n,) object of `str`."""
        if not len(block):
            return
        with held_back():
            self._dataset[self._next : self._next + len(block)] = block
        self._disk.check()
        self._hash.update(block)
        self._next += len(block)

    def record(self) -> dict:
        """The manifest's entry, once every row is there."""
        return super().record() | {"dtype": TEXT.dtype}


class Writer:
    """The columns of a file that is being written."""

    def __init__(self, file: h5py.File, pool: ThreadPoolExecutor, disk: _Disk):
        self._file, self.pool, self._disk, self._columns = file, pool, disk, {}

    def column(self, path: str, dtype: str, shape: tuple[int, ...]) -> Column:
        """A new contiguous dataset, to be filled block by block; `dtype` as the manifest spells it."""
        texts = dtype == TEXT.dtype
        with held_back():
            dataset = self._file.create_dataset(path, shape, h5py.string_dtype() if texts else np.dtype(dtype))
        column = self._columns[path] = (TextColumn if texts else Column)(dataset, self.pool, self._disk)
        return column

    def whole(self, path: str, array: np.ndarray) -> None:
        """A dataset that is there already."""
        self.column(path, manifest.dtype_of(array), array.shape).write(array)

    def finish(self, facts: dict) -> dict:
        """Write the manifest: the given facts, the arrays' digests and the digest over all. Returns it."""
        complete = facts | {"arrays": {path: column.record() for path, column in sorted(self._columns.items())}}
        complete["dataset_digest"] = manifest.dataset_digest(complete)
        with held_back():
            self._file.attrs["manifest"] = manifest.canonical(complete).decode()
        return complete


@contextlib.contextmanager
def _hdf5(disk: _Disk):
    """The file, closed at the end even where Ctrl-C comes just before or after it is held back: left to the
    interpreter, libhdf5 would call `_Disk` in the middle of an exception."""
    file = None
    try:
        with held_back():
            file = h5py.File(disk, "w")
        yield file
    finally:
        if file is not None:
            _close(file)


def _close(file: h5py.File) -> None:
    try:
        with held_back():
            file.close()
    except KeyboardInterrupt:
        with held_back():
            file.close()  # of one that is closed already: nothing
        raise


@contextlib.contextmanager
def writing(target: Path, sidecar: bool = True, new: bool = False, mode: int = 0o666):
    """A `Writer` for a temporary file that takes the target's name when the block ends well.

    `sidecar`: whether such a file has a sidecar, so that an older one must go; `Failure` where that is another file's.
    `new`: see `replacing`. `mode`: who may read and write it, less the umask.
    """
    if sidecar:
        sidecars.check(sidecar_path(target), target)
    try:
        with (
            replacing(target, sidecar_path(target) if sidecar else None, new) as temporary,
            contextlib.closing(_Disk(temporary, mode)) as disk,
        ):
            with ThreadPoolExecutor(2) as pool, _hdf5(disk) as file:
                yield Writer(file, pool, disk)
            disk.check()
    except OSError as error:
        raise Failure(f"{target}: could not be written: {reason(error)}") from error


def refuse_folder(target: Path) -> None:
    """`Failure` where a folder has the name that a file is to get: nothing here replaces one."""
    if target.is_dir():
        raise Failure(f"{target}: is a folder, and no file takes its place: name another with -o")


def check_space(target: Path, size: int) -> None:
    """`Failure` where the file would not fit on its disk: better before than in the middle."""
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < size:
        raise Failure(
            f"{target}: needs {size / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB left: free some, or name a place "
            "on another with -o"
        )


def reason(error: OSError) -> str:
    """What went wrong, in words: h5py buries the system's own message in a long one."""
    if isinstance(error, FileExistsError) and error.filename:  # where a folder was to be made
        return f"{os.fspath(error.filename)} is no folder"
    text = str(error)
    for number in {error.errno, *(int(part) for part in _errno(text))} - {None}:
        return os.strerror(number)
    return text.splitlines()[0]


def _errno(text: str) -> list[str]:
    parts = text.replace(",", " ").replace("(", " ").split()
    return [parts[i + 2] for i, part in enumerate(parts[:-2]) if part == "errno" and parts[i + 2].isdigit()]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    total = manifest.hashlib.sha256()
    buffer = np.empty(1 << 22, np.uint8)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            total.update(buffer[:count])
    return "sha256:" + total.hexdigest()


def write_json(path: Path, value: dict) -> None:
    """A file for people: indented JSON with each list of numbers on one line, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
    try:
        with replacing(path) as temporary:
            # half of a surrogate pair (a file name that is no UTF-8) becomes \\udcff, which is JSON for the same
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise Failure(f"{path}: could not be written: {reason(error)}") from error


# ---------------------------------------------------------------- reading


class Reader:
    """An open file of the format: its manifest, and its arrays by path."""

    def __init__(self, path: Path, file: h5py.File, facts: dict):
        self.path, self.manifest, self._file = path, facts, file

    def __getitem__(self, name: str) -> np.ndarray:
        return self._data(name)[()]

    def __contains__(self, name: str) -> bool:
        return name in self.manifest["arrays"]

    @property
    def modality(self) -> modality.Modality:
        """What its rows are."""
        return modality.of(self.manifest)

    def _data(self, name: str):
        """The dataset, whose texts are `str`."""
        texts = self.manifest["arrays"][name]["dtype"] == TEXT.dtype
        return self._file[name].asstr() if texts else self._file[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Some rows of an array."""
        return self._data(name)[start:stop]

    def size(self, name: str) -> int:
        """Bytes that an array takes in the file."""
        data, texts = self._file[name], self.manifest["arrays"][name]["dtype"] == TEXT.dtype
        return string_arrays.size(self.path, data) if texts else data.nbytes

    def offset(self, name: str) -> int:
        """Where an array begins in the file, in bytes: the format's arrays are plain."""
        return self._file[name].id.get_offset()

    def split(self, part: str):
        """`train` or `test` as a source's split, whose rows are read in any order: images past libhdf5, texts held in
        memory."""
        from poisonkit.core.splits import TextSplit
        from poisonkit.sources.base import Split

        if self.modality == TEXT:
            return TextSplit.held(self.path, self[f"{part}/texts"], self[f"{part}/labels"])
        shape = tuple(self.manifest["arrays"][f"{part}/images"]["shape"])
        return Split(self.path, self.offset(f"{part}/images"), shape, self[f"{part}/labels"])

    def pick(self, name: str, rows: np.ndarray) -> np.ndarray:
        """The given rows of an array, in ascending order of their numbers."""
        if not len(rows):
            return self.rows(name, 0, 0)
        first, last = int(rows[0]), int(rows[-1]) + 1
        close = last - first <= 4 * len(rows)
        if close or self.manifest["arrays"][name]["dtype"] == TEXT.dtype:  # one read of the whole stretch
            return self.rows(name, first, last)[rows - first]
        return np.stack([self._file[name][int(row)] for row in rows])

    def blocks(self, name: str, rows: int = 2048):
        """(first row, rows) over a whole array: at most `rows` at once, and fewer where they are large."""
        dataset = self._file[name]
        count, size = len(dataset), max(1, dataset.nbytes // max(1, len(dataset)))
        rows = max(1, min(rows, BLOCK // size))
        for start in range(0, count, rows):
            yield start, self.rows(name, start, start + rows)

    @property
    def clean(self) -> bool:
        """Whether it is a clean file."""
        return self.manifest["kind"] == "clean"

    def stencils(self) -> list:
        """The trigger's stencils, in the order of application."""
        count = len(self.manifest["recipe"].get("triggers", ()))
        parts = [[self[f"trigger/{i}/{part}"] for part in ("taps", "weights", "bias")] for i in range(count)]
        return [stencil(self.path, *arrays) for arrays in parts]


def stencil(path: Path, taps: np.ndarray, weights: np.ndarray, bias: np.ndarray):
    """A `Stencil` from a file's arrays; `Failure` where they are none."""
    from poisonkit.core.stencil import Stencil

    try:
        return Stencil.build(taps, weights, bias)
    except ValueError as error:
        raise Failure(f"{path}: its trigger is no stencil: {error}") from None


@contextlib.contextmanager
def reading(path: Path, kinds: tuple[str, ...] = structure.DATA_SETS):
    """A `Reader` for a file whose structure has been checked; `Failure` says in one line what is wrong with it.

    `kinds` are the kinds of files that will do.
    """
    facts = structure.inspect(path, kinds)
    try:
        file = structure.opened(path)
    except OSError as error:
        raise Failure(f"{path}: could not be opened: {reason(error)}") from error
    with file:
        try:
            yield Reader(path, file, facts)
        except OSError as error:
            if error.filename is not None and os.fspath(error.filename) != os.fspath(path):  # of what is written, say
                raise
            raise Failure(f"{path}: could not be read: {reason(error)}") from error
