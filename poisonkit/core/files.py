"""Write files atomically, with one clear line where the disk or the name does not allow it."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from poisonkit.core.errors import Failure

_NUMBERS = re.compile(r"\[\n\s+(-?\d+,\n\s+)*-?\d+\n\s+\]")


def is_full(error: OSError) -> bool:
    """Whether there was no room left on a disk."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def path_text(path: Path | str) -> str:
    """Return a path as text that UTF-8 can hold."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{socket.gethostname()}-{os.getpid()}.tmp")


def remove_stale_temporaries(target: Path) -> None:
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
        super().__init__(
            f"{target}: was written by another process meanwhile: use --force to overwrite it, or choose another -o"
        )


@contextlib.contextmanager
def atomic_write(target: Path, obsolete: Path | None = None, new: bool = False) -> Iterator[Path]:
    """Provide a temporary path beside the target, renamed onto it when the block ends well and removed when it does
    not.

    `obsolete` is a file that speaks of the old target; it goes at the same moment. `new`: nothing may be replaced, so
    that the name is looked at again at the last moment. Raises `Taken` where another process has it by then, `Failure`
    where the target is a symbolic link: neither it nor what it points to is to be lost.
    """
    refuse_link(target)
    make_folder(target.parent)
    remove_stale_temporaries(target)
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
            raise Failure(f"{one}: is a broken link: create the folder that it points to, or choose another -o")
    folder.mkdir(parents=True, exist_ok=True)


def refuse_link(target: Path) -> None:
    """`Failure` where something is to be written under the name of a symbolic link, dangling or not."""
    if target.is_symlink():
        raise Failure(f"{target}: is a link: name the place itself")


def refuse_existing(target: Path, force: bool) -> None:
    """`Failure` where a folder has the name of what is to be written, or a file that may not be overwritten. (What a
    link is, is said where it is written.)"""
    if not os.path.lexists(target) or target.is_symlink():
        return
    if target.is_dir():
        raise Failure(f"{target}: could not be written: a folder has that name")
    if not force:
        raise Failure(f"{target}: already exists: use --force to overwrite it, or choose another -o")


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
def scratch(target: Path) -> Iterator[Path]:
    """Provide a folder beside the target for what is not to stay; removed at the end, as is that of a killed
    process."""
    make_folder(target.parent)
    remove_stale_temporaries(target)
    folder = _temporary(target)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_folder(target: Path) -> None:
    """`Failure` where a folder has the name that a file is to get: nothing here replaces one."""
    if target.is_dir():
        raise Failure(f"{target}: is a folder, and is not replaced by a file: choose another -o")


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
            f"{target}: needs {size / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB left: free some space, or "
            "choose an -o on another disk"
        )


def reason(error: OSError) -> str:
    """Return what went wrong, in words: h5py buries the system's own message in a long one."""
    if isinstance(error, FileExistsError) and error.filename:  # where a folder was to be made
        return f"{os.fspath(error.filename)} is not a folder"
    text = str(error)
    for number in (error.errno, *(int(part) for part in _errno(text))):
        if number is not None:
            return os.strerror(number)
    return text.splitlines()[0]


def _errno(text: str) -> list[str]:
    parts = text.replace(",", " ").replace("(", " ").split()
    return [parts[i + 2] for i, part in enumerate(parts[:-2]) if part == "errno" and parts[i + 2].isdigit()]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return sha256_of(FileIO(path))


def sha256_of(file: FileIO) -> str:
    """SHA-256 of the bytes of an open file, which is closed at the end; they are read beside the hashing."""
    from concurrent.futures import ThreadPoolExecutor  # late: most commands hash no file

    total = hashlib.sha256()
    buffers = [bytearray(1 << 22), bytearray(1 << 22)]
    with file, ThreadPoolExecutor(1) as beside:
        hashed = None
        while count := file.readinto(buffers[0]):  # while the other one is hashed
            if hashed is not None:
                hashed.result()
            hashed = beside.submit(total.update, memoryview(buffers[0])[:count])
            buffers.reverse()
    return "sha256:" + total.hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a file for people: indented JSON with each list of numbers on one line, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
    try:
        with atomic_write(path) as temporary:
            # half of a surrogate pair (a file name that is no UTF-8) becomes \\udcff, which is JSON for the same
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise Failure(f"{path}: could not be written: {reason(error)}") from error
