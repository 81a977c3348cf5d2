"""Archives: their published hashes, and reading members without ever unpacking one to disk."""

import functools
import hashlib
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from poisonkit.core.errors import Failure
from poisonkit.core.zip_files import Bounds, check_member, damage, opened_zip, zip_names
from poisonkit.sources import base

__all__ = ["Bounds", "check_member", "damage", "opened_zip", "zip_names"]

if TYPE_CHECKING:  # what reads archives is imported when one is read: a source that is in the cache needs none
    import tarfile

BLOCK = 1 << 20


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
