"""Arrays of the user's in NumPy's files, .npy and .npz, read as data: nothing is unpickled, and nothing is read that is
larger than it may be, whatever a header or a zip claims."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from poisonkit.core import files, texts, zip_files
from poisonkit.core.errors import Failure

if TYPE_CHECKING:
    import zipfile

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
KINDS = "fiub"
MOST_MEMBERS = 1_000
_SHOWN = 8
_READ = {
    1: np.lib.format.read_array_header_1_0,
    2: np.lib.format.read_array_header_2_0,
    3: np.lib.format.read_array_header_2_0,  # in UTF-8, which but for names of fields is the same
}


@dataclass(frozen=True)
class Header:
    """What the header of an array says: its dtype, shape and order, and where its values begin."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=object))


class ArrayFile:
    """An open file of arrays, each by its name; that of an .npy, which has one, is empty."""

    def __init__(self, path: Path, most: int, file: IO[bytes] | None, archive: "zipfile.ZipFile | None" = None):
        self.path, self._most, self._file, self._archive = path, most, file, archive
        self.names = [""]
        if archive is not None:
            found = zip_files.zip_names(path, archive)
            self.names = [name.removesuffix(".npy") for name in found if name.endswith(".npy")]
            if not self.names:
                shown = ", ".join(texts.printable(name) for name in found[:_SHOWN]) or "nothing"
                raise Failure(f"{path}: holds {shown}, and no array: write it with numpy.savez")

    def header(self, name: str = "") -> Header:
        """Return what an array's header says. Raises `Failure` for one that is none of numbers, or too large."""
        with self._opened(name) as stream:
            return self._header(stream, name)

    def read(self, name: str = "") -> np.ndarray:
        """Return an array. Raises as `header` does, and where the file is cut off or damaged."""
        with self._opened(name) as stream:
            header = self._header(stream, name)
            data = stream.read(header.size)
            stream.read(1)  # at the end a zip compares its checksum
        if not header.size:
            return np.empty(header.shape, header.dtype)
        values = np.frombuffer(data, header.dtype)
        return values.reshape(header.shape[::-1]).T if header.fortran else values.reshape(header.shape)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        with zip_files.damage(self.path):
            if self._archive is not None:
                with self._archive.open(f"{name}.npy") as stream:
                    yield stream
            elif self._file is not None:
                self._file.seek(0)
                yield self._file

    def _header(self, stream: IO[bytes], name: str) -> Header:
        try:
            shape, fortran, dtype = npy_header(stream)
            shape = tuple(map(int, shape))  # True is a number too, which NumPy takes here and refuses as a side
        except (ValueError, KeyError, SyntaxError, MemoryError, RecursionError) as error:
            why = texts.printable((str(error) or type(error).__name__).splitlines()[0])
            raise self.wrong(name, f"is not a readable array ({why:.100})") from None
        if dtype.hasobject:
            raise self.wrong(name, "holds Python objects, which could run code when they are read: refused")
        if dtype.kind not in KINDS or dtype.itemsize > 8 or dtype.names is not None:
            raise self.wrong(name, f"is of {dtype!s:.60}, expected whole or floating-point numbers")
        header = Header(dtype, shape, fortran, stream.tell())
        if any(side < 0 for side in shape) or header.size > self._most:
            raise self.wrong(
                name,
                f"is {times(shape)} {dtype}, {header.size / 1e6:,.0f} MB, expected at most {self._most / 1e6:,.0f}",
            )
        archive = self._archive
        held = self.path.stat().st_size if archive is None else archive.getinfo(f"{name}.npy").file_size
        if header.start + header.size != held:
            raise self.wrong(name, f"is {times(shape)} {dtype}, which does not fit the {held:,} bytes it has")
        return header

    def wrong(self, name: str, what: str) -> Failure:
        """Return the error that says what is wrong with an array."""
        return Failure(f"{self.path}: {texts.printable(name) + ' ' if name else ''}{what}")


def times(shape: tuple[int, ...]) -> str:
    """Spell a shape as people do: 32×32×3."""
    return "×".join(map(str, shape)) or "one number"


def npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read what stands before an array's data: its shape, whether it is in Fortran order, and its type. Raises
    `ValueError` and others for what is none, in one or several lines."""
    version = np.lib.format.read_magic(stream)[0]
    if version not in _READ:
        raise ValueError(f".npy version {version}, expected 1 to {max(_READ)}")
    shape, fortran, dtype = _READ[version](stream)
    return shape, fortran, dtype


@contextlib.contextmanager
def opened(path: Path, most: int) -> Iterator[ArrayFile]:
    """Open an .npy or .npz file, told apart by their first bytes; no array of it may have more than `most` bytes.

    Raises `Failure` in one line where it cannot be read, or is neither.
    """
    if not path.is_file():
        raise Failure(f"{path}: {'is not a file' if path.exists() else 'no such file'}: expected an .npy or .npz file")
    try:
        with open(path, "rb") as file:
            start = file.read(len(NPY))
    except OSError as error:
        raise Failure(f"{path}: could not be read: {files.reason(error)}") from None
    if start.startswith(ZIP):
        bounds = zip_files.Bounds(MOST_MEMBERS, max(4 * most, most + (1 << 20)))
        with zip_files.opened_zip(path, bounds) as archive:
            yield ArrayFile(path, most, None, archive)
    elif start == NPY:
        with open(path, "rb") as file:
            yield ArrayFile(path, most, file)
    else:
        raise Failure(f"{path}: is neither an .npy nor an .npz file: write it with numpy.save or numpy.savez")
