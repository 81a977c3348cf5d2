"""Files of runs: written so that a name never stands for half a file, read so that a foreign folder does no harm.

Writing goes into a temporary name, is synced, then renamed. Runs are passed on, so what lies inside a run's folder is
never followed through a link, nothing but a plain file is opened (a pipe would wait for ever), and nothing is read
beyond a bound. The run's folder itself may be a link, which the user made or named.
"""

import contextlib
import csv
import errno
import fcntl
import io
import itertools
import json
import logging
import os
import secrets
import stat
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from benchmark.core import numbers
from benchmark.core.errors import Damaged, Failure

MOST = 64 << 20  # bytes of a JSON file, a table, a picture
DAMAGED = ".damaged"  # what is put behind the name of a file that is kept aside
_TEMPORARY = ".part-"  # what the names of temporary files begin with
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_without_locks: set[int] = set()  # file systems that were warned of


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, with the same suffix; it takes the final name at the end.

    The file has the permissions that the umask leaves. An OSError on the way (a full disk) names the final path.
    """
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what a process that was killed while it was `replacing` has left in a folder that is held."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def path_text(path: Path) -> str:
    """Return a path, absolute, as text that UTF-8 can hold: what is none in it is spelled out."""
    return os.fsencode(Path(path).absolute()).decode("utf-8", "backslashreplace")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, one line at the end."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows with the same keys, a header first; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Named arrays, uncompressed, no pickles."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    write_bytes(path, data.getvalue())


def there(path: Path) -> bool:
    """Return whether anything exists at a path inside a run, whatever it is. `Failure` where that is unclear."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    return True


def is_file(path: Path) -> bool:
    """Return whether there is a plain file at a path inside a run. A link is none."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder at a path inside a run. A link is none."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def check(path: Path) -> None:
    """`Damaged` where what lies at a path inside a run is not a plain file; for libraries that open it themselves."""
    with _opened(path):
        pass


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """Provide a file inside a run as a descriptor: no link is followed, no pipe waited for."""
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise Damaged(f"{path}: is a link, and no link inside a run is followed") from None
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise Damaged(f"{path}: is not a file") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Damaged(f"{path}: is not a file")
        yield file
    finally:
        os.close(file)


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """Return a plain file inside a run, of at most so many bytes. `Damaged` in one line where it is none, or larger;
    `Failure` where it cannot be read here and now."""
    try:
        with _opened(path) as file, open(file, "rb", closefd=False) as stream:
            if os.fstat(file).st_size <= most:
                return stream.read(most + 1)
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None
    raise Damaged(f"{path}: is larger than {most >> 20} MiB")


def read_end(path: Path, most: int) -> bytes:
    """Return the last bytes of a plain file inside a run. Raises as `read_bytes`."""
    try:
        with _opened(path) as file:
            return os.pread(file, most, max(0, os.fstat(file).st_size - most))
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> Any:
    """Return a JSON file of our own; `Damaged` in one line if it cannot be read. Its numbers are as `numbers.loads`
    says."""
    try:
        return numbers.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of `write_csv` as texts. `Damaged` in one line if it cannot be read."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        if not rows or not text.endswith("\n"):  # a number that was cut is another number
            raise ValueError("emptied, or cut")
        return rows
    except (ValueError, csv.Error) as error:
        raise Damaged(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def read_npz(path: Path, most: int | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of `write_npz`, of a file of at most so many bytes. Raises OSError, ValueError or `Damaged`
    (among others) on a damaged one.

    Nothing is unpickled, and as nothing in it may be compressed, its arrays are no larger than the file.
    """
    with _opened(path) as file, open(file, "rb", closefd=False) as stream:
        if most is not None and os.fstat(file).st_size > most:
            raise Damaged(f"{path}: is larger than {most >> 20} MiB")
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("compressed, as this program writes none")
        if sum(member.file_size for member in members) > os.fstat(file).st_size:
            raise ValueError("its arrays lie on one another")
        stream.seek(0)
        try:
            with np.load(stream, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (TokenError, LookupError, TypeError, AttributeError) as error:  # of a header that is none
            raise ValueError(f"holds an array that is none ({' '.join(str(error).split())[:80]})") from None


def folders(folder: Path, pattern: str) -> list[Path]:
    """Return the folders inside a run whose names match, in order; a link to one is none."""
    return [path for path in sorted(Path(folder).glob(pattern)) if is_folder(path)]


def links(folder: Path, pattern: str) -> dict[Path, str]:
    """Return the links inside a run whose names match, and what to say of each, since they are passed over."""
    found = [path for path in sorted(Path(folder).glob(pattern)) if path.is_symlink()]
    return {path: f"{path}: is a link, and no link inside a run is followed" for path in found}


def make_output(folder: Path) -> None:
    """Make the folder that a user names for what is written, and those above it. `Failure` where one is a link to
    nothing or a file."""
    for one in (folder, *folder.parents):
        if one.is_symlink() and not one.exists():
            raise Failure(f"{one}: is a broken link: create the folder that it points to, or choose another -o")
        if one.exists() and not one.is_dir():
            raise Failure(f"{one}: is not a folder: choose another -o")
    folder.mkdir(parents=True, exist_ok=True)


def refuse_link(path: Path) -> None:
    """`Failure` where a page or a picture is to be written under the name of a symbolic link, dangling or not: neither
    it nor what it points to is to be lost."""
    if path.is_symlink():
        raise Failure(f"{path}: is a link; nothing is written through it, and it is not replaced: move it away")


def make_folder(path: Path) -> None:
    """Make a folder inside a run, which may be there already. `Damaged` where something else lies there."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    if not is_folder(path):
        raise Damaged(f"{path}: is not a folder, or a link to one")


def create(path: Path) -> IO[bytes]:
    """Return a new, empty file inside a run, open for writing bytes; what lay there is removed, not written into."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb")


def put_aside(path: Path, why: Exception) -> Path:
    """Rename a file that is of no use, with a warning: nothing is lost. `.damaged` stands behind its name, and a number
    if need be."""
    target, number = path.with_name(path.name + DAMAGED), 1
    while there(target):
        number += 1
        target = path.with_name(f"{path.name}{DAMAGED}-{number}")
    os.rename(path, target)
    logging.getLogger("benchmark").warning("%s: kept as %s, and made again", why, target.name)
    return target


@contextlib.contextmanager
def locked(folder: Path, patient: bool = False) -> Iterator[bool]:
    """Hold a folder for this process alone; `Failure` if another has it, but `patient`: wait until it is free, and say
    so. The kernel frees it with the process.

    Yields whether it is held: a file system without locks is worked on all the same, with one warning.
    """
    with _opened(folder / ".lock", os.O_RDWR | os.O_CREAT) as file:
        for attempt in itertools.count():  # somebody who asks `busy` holds it for a moment
            held = _flock(file, fcntl.LOCK_EX, folder)
            if held is not False:
                break
            if attempt == 4 and not patient:
                raise Failure(f"{folder}: another process is working on this run")
            if attempt == 4:
                logging.getLogger("benchmark").warning("%s: another process is working on it: waiting …", folder)
            time.sleep(0.05)
        yield held is True


def busy(folder: Path, create: bool = False) -> bool:
    """Return whether a process holds this folder (`locked`). `create`: make the lock where there is none, to hear of a
    file system without."""
    flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    try:
        with _opened(folder / ".lock", flags) as file:
            return _flock(file, fcntl.LOCK_SH, folder) is False
    except FileNotFoundError:
        return False


def _flock(file: int, how: int, folder: Path) -> bool | None:
    """Is the lock taken? False: another process has it; None: this file system has no locks (warned of once)."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        device = os.fstat(file).st_dev
        if device not in _without_locks:
            _without_locks.add(device)
            logging.getLogger("benchmark").warning(
                "%s: its file system has no locks (%s): see to it that no two processes make the same run at once",
                folder, error.strerror,
            )  # fmt: skip
        return None
    return True
