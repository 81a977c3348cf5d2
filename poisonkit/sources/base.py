"""What every source of clean images hands over (labels in memory, images on disk, digests of both), and what it
is given to work with."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poisonkit import manifest, modality
from poisonkit.errors import Failure

BLOCK = 32 << 20  # bytes of images that are read at once


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


def fingerprint(paths) -> list[list]:
    """What tells this state of some files from another without reading them: path, size, time of change."""
    found = []
    for path in paths:
        info = os.stat(path)
        found.append([text(path), info.st_size, info.st_mtime_ns])
    return found
