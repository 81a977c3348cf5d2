"""Zip files of strangers, and what any archive may hold: bounds, members that stay inside, damage in one line."""

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poisonkit.core import texts
from poisonkit.core.errors import Failure

if TYPE_CHECKING:
    import zipfile

LISTED = 160  # bytes of a zip's list for each of its members: GTSRB's has 124
TAIL = (1 << 16) + 200  # bytes at the end of a zip, which may have a comment, in which its end is looked for


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


def check_member(path: Path, name: str, kind: str = "file") -> None:
    """Refuse a member that points outside or is not a plain file or folder."""
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":" or "\0" in name:
        raise Failure(f"{path}: refused, its member {name[:200]!r} points outside of the archive")
    if kind not in ("file", "folder"):
        raise Failure(f"{path}: refused, its member {name[:200]!r} is a {kind}, not a file")


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn whatever a damaged archive makes the standard library raise (a TypeError, for one) into one line."""
    try:
        yield
    except (Failure, MemoryError):  # of which a whole archive may need more than there is
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk; a damaged archive gives EINVAL, by seeking to where nothing is
        empty = path.is_file() and path.stat().st_size == 0
        what = "is empty" if empty else f"is truncated, damaged or no such archive ({_first_line(error)})"
        raise Failure(f"{path} {what}: get it again") from error


def _first_line(error: BaseException) -> str:
    return texts.printable((str(error) or type(error).__name__).splitlines()[0])


@contextmanager
def opened_zip(path: Path, bounds: Bounds) -> Iterator["zipfile.ZipFile"]:
    """Open a zip file. Raises `Failure` where it is damaged or exceeds the bounds; its own list is checked first."""
    import zipfile  # late: what is read of the user's is seldom a zip

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
