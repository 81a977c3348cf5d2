"""File locks, so that two processes neither download one archive twice nor clean up after a live one.

`flock` disappears with its process, also after kill -9. Where there is none (not POSIX, some network file
systems) everything still works: nothing waits, nothing left behind is cleaned, and one warning says so.

The `filelock` package (4.3) does not replace this: on a file system without locks it raises an error (ENOLCK) or falls
back to a soft lock (ENOSYS), which outlives a killed process; here everything must go on there, with one warning.
"""

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

_warned: set[int] = set()  # file systems that were warned of


@contextmanager
def held(path: Path, waiting=None):
    """Hold the lock file `path`, waiting for it; `waiting()` is called once if another process has it."""
    file = _take(path, waiting)
    try:
        yield
    finally:
        os.close(file)


@contextmanager
def abandoned(path: Path):
    """Whether nobody holds the lock file. While this lasts nobody can take it, so that what it stands for, and the
    file, can be removed."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        yield False
        return
    try:
        yield _try(file)
    finally:
        os.close(file)


def _try(file: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _take(path: Path, waiting) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _flock(file, waiting, path)
            # Whoever cleaned up in between has removed the file that is locked here: take the new one.
            if fcntl is None or os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _flock(file: int, waiting, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is not None:
            waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:  # this file system knows no locks
        device = os.fstat(file).st_dev
        if device not in _warned:
            _warned.add(device)
            logging.getLogger("poisonkit").warning(
                "%s: its file system has no locks (%s): see to it that no two processes use it at once",
                path.parent, error.strerror,
            )  # fmt: skip
