"""Tell one state of a file from another without reading it."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from poisonkit.core.files import path_text

TICK = 20_000_000  # nanoseconds: longer than any usual file system's clock takes to tick
COARSE_TICK = 2_000_000_000  # and that of one that knows whole seconds alone


def state(info: os.stat_result) -> list[int]:
    """Return what tells this state of a file from another without reading it: size, time of writing, time of change,
    inode.

    The first two are not enough: `cp -p`, `rsync -t`, reproducible archives and a swap of two names keep both. The last
    two are the system's own, which no such tool can set. They change with a copy, a restored backup or a container too;
    then the file is read anew, and nothing else happens.
    """
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]


def fingerprint(paths: Iterable[Path]) -> list[list[Any]]:
    """Return the path and the `state` of some files, which are read after this (see `settle`)."""
    found = [(path_text(path), os.stat(path)) for path in paths]
    settle(max(info.st_ctime_ns for _, info in found))
    return [[path, *state(info)] for path, info in found]


class Listing:
    """The names and states of many files, in one hash; `start` is what else it depends on."""

    def __init__(self, start: bytes = b""):
        self._hash, self._changed = hashlib.sha256(start), 0

    def add(self, name: str, info: os.stat_result) -> None:
        """Take in a file, by its name in the data set."""
        self._hash.update(f"{name}\0{' '.join(map(str, state(info)))}\n".encode("utf-8", "surrogateescape"))
        self._changed = max(self._changed, info.st_ctime_ns)

    def finish(self) -> str:
        """Return the hash, once the files can be read (see `settle`)."""
        settle(self._changed)
        return "sha256:" + self._hash.hexdigest()


def settle(changed: int) -> None:
    """Wait until a file that was last changed at `changed` (nanoseconds since 1970) would get another time now.

    A file system's clock ticks every few milliseconds (on some, every one or two seconds): what is written within the
    tick of the last change leaves no trace in the file's times. So nothing is read before that tick is over.
    """
    tick = TICK if changed % 10**9 else COARSE_TICK
    rest = changed + tick - time.time_ns()
    if 0 < rest <= tick:  # a time that lies ahead was set by somebody, and waiting would not help
        time.sleep(rest / 1e9)
