"""Archives: their published hashes, and reading members without ever unpacking one to disk."""

import errno
import functools
import hashlib
import posixpath
import stat
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from poisonkit.core import texts
from poisonkit.core.errors import Failure
from poisonkit.sources import base

if TYPE_CHECKING:  # what reads archives is imported when one is read: a source that is in the cache needs none
    import tarfile
    import zipfile

BLOCK = 1 << 20
LISTED = 160  # bytes of a zip's list for each of its members: GTSRB's has 124
TAIL = (1 << 16) + 200  # bytes at the end of a zip, which may have a comment, in which its end is looked for


@dataclass(frozen=True)
class Archive:
    """A published archive: its name, URL, size in bytes, and published hashes."""

    name: str
    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def matches(self, hashes: dict[str, str]) -> bool:
        """Whether these hashes (as `file_hashes` gives them) are the published ones."""
        return all(hashes[kind] == getattr(self, kind) for kind in ("md5", "sha256") if getattr(self, kind))


@dataclass(frozen=True)
class Bounds:
    """How many members an archive may have, and how many bytes in total after decompression. A crafted one of a few MB
    could otherwise keep the reader busy for hours."""

    members: int
    size: int

    def check(self, path: Path, members: int, size: int) -> None:
        """`Failure` where there is more."""
        if members > self.members:
            raise Failure(f"{path}: refused: more than the limit of {self.members:,} members")
        if size > self.size:
            raise Failure(f"{path}: refused: more than the limit of {self.size >> 20:,} MB")


SMALL = Bounds(1_000, 512 << 20)
"""Of an archive with a handful of files: CIFAR-10 has 9 with 186 MB, SST-2 30 with 20 MB."""
LARGE = Bounds(200_000, 4 << 30)
"""Of one with a file for each image: GTSRB has 51,839 with 0.5 GB, on Kaggle twice as many."""


def file_hashes(path: Path, update=None) -> dict[str, str]:
    """MD5 (what is published) and SHA-256 (what is recorded) of a file, in hex, in one pass; `update(n)` hears of n MB
    more."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
            if update:
                update(1)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def file_record(path: Path, known, context: base.SourceContext, bounds: Bounds) -> dict:
    """Return the sidecar's record of one archive file: its SHA-256, and whether it is one of the `known` archives.
    `Failure` where the file itself is larger than what it may hold."""
    size = path.stat().st_size
    bounds.check(path, 0, size)
    with context.progress(size // BLOCK + 1, f"checking {path.name}", "MB") as bar:
        hashes = file_hashes(path, bar.update)
    return {"sha256": f"sha256:{hashes['sha256']}", "official": any(archive.matches(hashes) for archive in known)}


def check_member(path: Path, name: str, kind: str = "file") -> None:
    """Refuse a member that points outside or is not a plain file or folder."""
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":" or "\0" in name:
        raise Failure(f"{path}: refused, its member {name[:200]!r} points outside of the archive")
    if kind not in ("file", "folder"):
        raise Failure(f"{path}: refused, its member {name[:200]!r} is a {kind}, not a file")


@contextmanager
def damage(path: Path):
    """Turn whatever a damaged archive makes the standard library raise (a TypeError, for one) into one line."""
    try:
        yield
    except Failure:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk; a damaged archive gives EINVAL, by seeking to where nothing is
        empty = path.is_file() and path.stat().st_size == 0
        what = "is empty" if empty else f"is truncated, damaged or no such archive ({_first_line(error)})"
        raise Failure(f"{path} {what}: get it again") from error


def _first_line(error: BaseException) -> str:
    return texts.printable((str(error) or type(error).__name__).splitlines()[0])


class _Counted:
    """A tar file behind its compression, which is read up to a bound."""

    def __init__(self, path: Path, file: BinaryIO, bounds: Bounds):
        import bz2
        import gzip
        import lzma

        magic = file.read(6)
        file.seek(0)
        openers: dict[bytes, Callable[[BinaryIO], Any]] = {
            b"\x1f\x8b": gzip.open,
            b"BZh": bz2.open,
            b"\xfd7zXZ\0": lzma.open,
        }
        opened = next((opener for start, opener in openers.items() if magic.startswith(start)), None)
        self._path, self._bounds, self._read = path, bounds, 0
        self._file: Any = opened(file) if opened else file

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._read += len(data)
        self._bounds.check(self._path, 0, self._read)
        return data


def tar_files(path: Path, bounds: Bounds):
    """Yield (path in the archive, size in bytes, function that reads it) of the files of a tar file, compressed or not,
    in the order they lie in. A file can be read before the next one is asked for.

    Raises `Failure` where the archive is damaged or truncated, has a member that points outside or is a link or a
    device, or more than the bounds.
    """
    import tarfile

    with (
        damage(path),
        open(path, "rb") as file,
        tarfile.open(fileobj=cast(BinaryIO, _Counted(path, file, bounds)), mode="r|") as tar,
    ):
        for number, member in enumerate(tar, 1):
            bounds.check(path, number, 0)
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps them all
            kind = "file" if member.isreg() else "folder" if member.isdir() else "link or device"
            check_member(path, member.name, kind)
            if kind == "file":
                yield member.name, member.size, functools.partial(_content, path, tar, member)


def _content(path: Path, tar: "tarfile.TarFile", member: "tarfile.TarInfo") -> bytes:
    with damage(path):  # it is called by whoever goes through the files, outside of what opened the archive
        file = tar.extractfile(member)
        return b"" if file is None else file.read()


def tar_members(path: Path, wanted: dict[str, int], bounds: Bounds):
    """Yield (file name, bytes) of the wanted members of a tar file, compressed or not, in the order they lie in.

    Parameters
    ----------
    wanted : dict
        Base name of a member -> the most bytes that it may have.
    bounds : Bounds
        What the whole archive may hold, the members that are passed over included.

    Raises
    ------
    errors.Failure
        Damaged or truncated, a member that points outside or is a link or a device, one that is too large, too many.
    """
    for place, size, read in tar_files(path, bounds):
        name = posixpath.basename(place)
        if name not in wanted:
            continue
        if size > wanted[name]:
            raise Failure(f"{path}: {name} has {size} bytes, expected at most {wanted[name]}")
        yield name, read()


@contextmanager
def opened_zip(path: Path, bounds: Bounds):
    """Open a zip file. Raises `Failure` where it is damaged or exceeds the bounds; its own list is checked first."""
    import zipfile

    with damage(path):
        if _list_size(path) > bounds.members * LISTED:
            bounds.check(path, bounds.members + 1, 0)
        archive = zipfile.ZipFile(path)
    with archive:
        entries = archive.infolist()
        bounds.check(path, len(entries), sum(info.file_size for info in entries))
        yield archive


def _list_size(path: Path) -> int:
    """Bytes of a zip's list of members, as its end says; 0 where that is not to be found."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        end = file.read()
    place = end.rfind(b"PK\5\6")
    if place < 0 or len(end) < place + 22:
        return 0
    size = int.from_bytes(end[place + 12 : place + 16], "little")
    large = end.rfind(b"PK\6\6", 0, place)  # zip64: the size stands here instead
    return int.from_bytes(end[large + 40 : large + 48], "little") if size == 0xFFFFFFFF and large >= 0 else size


def zip_names(path: Path, archive: "zipfile.ZipFile") -> list[str]:
    """Return the names of a zip's files; a member that points outside or is a link is refused."""
    names = []
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        kind = "link or device" if mode not in (0, stat.S_IFREG, stat.S_IFDIR) else "file"
        check_member(path, info.filename, kind)
        if not info.is_dir():
            names.append(info.filename)
    return names
