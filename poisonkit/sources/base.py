"""What every source of clean images hands over (labels in memory, images on disk, digests of both), and what it
is given to work with."""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poisonkit.core import modality
from poisonkit.core.errors import Failure
from poisonkit.format import manifest

BLOCK = 32 << 20  # bytes of images that are read at once
TICK = 20_000_000  # nanoseconds: longer than any usual file system's clock takes to tick
COARSE_TICK = 2_000_000_000  # and that of one that knows whole seconds alone


@dataclass(frozen=True)
class Split:
    """One part (train or test) of a source, read in blocks so that a set may be larger than memory.

    `path` is a raw file of the images' bytes in C order, `offset` bytes into it they begin.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int, int]
    labels: np.ndarray

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self, rows: int = 2048):
        """Yield (first row, images (n, H, W, C) uint8) over the whole split, at most `rows` at once, and fewer of large
        images. The array is reused: copy to keep."""
        rows = max(1, min(rows, BLOCK // int(np.prod(self.shape[1:]))))
        buffer = np.empty((min(rows, len(self)), *self.shape[1:]), np.uint8)
        with self._open() as file:
            file.seek(self.offset)
            for start in range(0, len(self), rows):
                block = buffer[: min(rows, len(self) - start)]
                _read_exactly(file, block, self.path)
                yield start, block

    def rows(self, index) -> np.ndarray:
        """The images of the given rows, (len(index), H, W, C) uint8."""
        size = int(np.prod(self.shape[1:]))
        images = np.empty((len(index), *self.shape[1:]), np.uint8)
        with self._open() as file:
            for image, row in zip(images, index, strict=True):
                file.seek(self.offset + int(row) * size)
                _read_exactly(file, image, self.path)
        return images

    def _open(self):
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError:
            raise Failure(f"{self.path} is gone: the cache was cleared meanwhile; start again") from None


def _read_exactly(file, array: np.ndarray, path: Path) -> None:
    view = memoryview(array.reshape(-1))
    while view:
        count = file.readinto(view)
        if not count:
            raise Failure(f"{path} is shorter than its index says; delete it and start again")
        view = view[count:]


def write_all(file, array: np.ndarray) -> None:
    """Write an array's bytes to an unbuffered file, which may take them bit by bit."""
    view = memoryview(np.ascontiguousarray(array).reshape(-1))
    while view:
        view = view[file.write(view) :]


@dataclass(frozen=True)
class Source:
    """A decoded source. `arrays` are the digests of its four arrays by their path in the file format;
    `options` what was asked of it beyond the defaults; `origin` where it came from (for the sidecar); `cached` whether
    the images lie in the cache, and not in a file of the user's; `behind` of a camouflaged source, what it was made
    from (`camouflage.Behind`)."""

    name: str
    title: str
    licence: str
    url: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    arrays: dict[str, str]
    options: dict = field(default_factory=dict)
    origin: dict = field(default_factory=dict)
    cached: bool = True
    behind: object | None = None

    @property
    def modality(self) -> modality.Modality:
        """What its rows are."""
        return modality.TEXT if len(self.train.shape) == 1 else modality.IMAGE

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `arrays`: the identity of the clean data."""
        return manifest.digest(self.arrays)

    def record(self) -> dict:
        """The manifest's `source`."""
        return {
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "url": self.url,
            "classes": list(self.classes),
            "options": self.options,
            "arrays": self.arrays,
            "digest": self.digest,
        }


@dataclass(frozen=True)
class Origin:
    """Something that a source can be decoded from: an archive, a folder, the built-in generator.

    Attributes
    ----------
    fingerprint : dict
        JSON that names this very state of it and costs little to find out (paths, sizes, times; options of a
        generator). The cache maps it to the decoded arrays.
    decode : callable
        ``decode(writer, context) -> dict`` writes both parts (`cache.Writer`) and returns the `origin` record of the
        sidecar: at least ``kind`` and ``official``.
    options : dict
        What was asked beyond the defaults.
    """

    fingerprint: dict
    decode: Callable
    options: dict = field(default_factory=dict)


class Silent:
    """A progress bar that nobody sees. The real ones have the same two sides: a context, and `update`."""

    def __init__(self, total=None, label="", unit=""):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def update(self, count: int = 1) -> None:
        pass


def _ignore(_line: str) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """What the caller lends while a source is opened: threads, a progress bar, and a place for one-line notices."""

    jobs: int
    progress: Callable = Silent
    say: Callable[[str], None] = _ignore


def counted(items: Iterable, bar) -> Iterator:
    """The same items, each shown on a progress bar."""
    for item in items:
        yield item
        bar.update(1)


def is_full(error: OSError) -> bool:
    """Whether there was no room left on a disk."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def text(path: Path) -> str:
    """A path as text that UTF-8 can hold."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def printable(name: str) -> str:
    """A name that a stranger chose, fit for a message: one line, no control characters, not endless."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:200])


def state(info: os.stat_result) -> list[int]:
    """What tells this state of a file from another without reading it: size, time of writing, time of change, inode.

    The first two are not enough: `cp -p`, `rsync -t`, reproducible archives and a swap of two names keep both. The last
    two are the system's own, which no such tool can set. They change with a copy, a restored backup or a container too;
    then the file is read anew, and nothing else happens.
    """
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]


def fingerprint(paths) -> list[list]:
    """The path and the `state` of some files, which are read after this (see `settle`)."""
    found = [(text(path), os.stat(path)) for path in paths]
    settle(max(info.st_ctime_ns for _, info in found))
    return [[path, *state(info)] for path, info in found]


class Listed:
    """The names and states of many files, in one hash; `start` is what else it depends on."""

    def __init__(self, start: bytes = b""):
        self._hash, self._changed = hashlib.sha256(start), 0

    def add(self, name: str, info: os.stat_result) -> None:
        """Take in a file, by its name in the data set."""
        self._hash.update(f"{name}\0{' '.join(map(str, state(info)))}\n".encode("utf-8", "surrogateescape"))
        self._changed = max(self._changed, info.st_ctime_ns)

    def finish(self) -> str:
        """The hash, once the files can be read (see `settle`)."""
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
