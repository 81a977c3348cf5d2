"""Archives: their published hashes, and reading members without ever unpacking one to disk."""

import errno
import hashlib
import posixpath
import stat
import tarfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from poisonkit.errors import Failure
from poisonkit.sources import base

BLOCK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A published archive: its name, where it lies, its size in bytes, and its hashes as published."""

    name: str
    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def matches(self, hashes: dict[str, str]) -> bool:
        """Whether these hashes (as `file_hashes` gives them) are the published ones."""
        return all(hashes[kind] == getattr(self, kind) for kind in ("md5", "sha256") if getattr(self, kind))


def file_hashes(path: Path) -> dict[str, str]:
    """MD5 (what is published) and SHA-256 (what is recorded) of a file, in hex, in one pass."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def file_record(path: Path, known) -> dict:
    """The sidecar's record of one archive file: its SHA-256, and whether it is one of the `known` archives."""
    hashes = file_hashes(path)
    return {"sha256": f"sha256:{hashes['sha256']}", "official": any(archive.matches(hashes) for archive in known)}


def check_member(path: Path, name: str, kind: str = "file") -> None:
    """Refuse a member that points outside or is no plain file or folder."""
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
    return base.printable((str(error) or type(error).__name__).splitlines()[0])


def tar_members(path: Path, wanted: dict[str, int]):
    """Yield (file name, bytes) of the wanted members of a tar file, compressed or not, in the order they lie in.

    Parameters
    ----------
    wanted : dict
        Base name of a member -> the most bytes that it may have.

    Raises
    ------
    errors.Failure
        Damaged or truncated, a member that points outside or is a link or a device, one that is too large.
    """
    with damage(path), open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            kind = "file" if member.isreg() else "folder" if member.isdir() else "link or device"
            check_member(path, member.name, kind)
            name = posixpath.basename(member.name)
            if kind != "file" or name not in wanted:
                continue
            if member.size > wanted[name]:
                raise Failure(f"{path}: {name} has {member.size} bytes, expected at most {wanted[name]}")
            yield name, tar.extractfile(member).read()


def zip_names(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """The names of a zip's files; a member that points outside or is a link is refused."""
    names = []
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        kind = "link or device" if mode not in (0, stat.S_IFREG, stat.S_IFDIR) else "file"
        check_member(path, info.filename, kind)
        if not info.is_dir():
            names.append(info.filename)
    return names
