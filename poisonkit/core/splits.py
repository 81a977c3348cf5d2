"""One part (train or test) of a source, of images or of texts, read in blocks so that it may be larger than memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import hashing, texts
from poisonkit.core.errors import Failure

BLOCK = 32 << 20  # bytes of images that are read at once


@dataclass(frozen=True)
class TextSplit:
    """The texts of one part (train or test), row after row in one stretch of UTF-8.

    `offsets` (N + 1,) int64 say where in it each row begins, and the last one ends. The stretch is the file at `path`,
    or `stretch`, where it is held in memory.
    """

    path: Path
    offsets: np.ndarray
    labels: np.ndarray
    stretch: bytes | None = None

    @classmethod
    def held(cls, path: Path, block: np.ndarray, labels: np.ndarray) -> "TextSplit":
        """Texts (N,) object that are in memory already; `path` is named where something is wrong with them."""
        rows = [text.encode() for text in block]
        return cls(path, offsets_of(rows), labels, b"".join(rows))

    @property
    def shape(self) -> tuple[int]:
        """(N,): a text has no dimensions of its own."""
        return (len(self.labels),)

    def __len__(self) -> int:
        return len(self.labels)

    def blocks(self, rows: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, texts (n,) object) over the whole split, `rows` at once."""
        for start in range(0, len(self), rows):
            yield start, self.rows(np.arange(start, min(start + rows, len(self))))

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return the texts of the given rows, (len(index),) object of `str`."""
        if not len(index):
            return np.empty(0, object)
        ends = self.offsets[np.asarray(index)], self.offsets[np.asarray(index) + 1]
        first = int(ends[0].min())
        part = self._bytes(first, int(ends[1].max()))
        try:
            return texts.array(part[a - first : b - first].decode() for a, b in zip(*ends, strict=True))
        except UnicodeDecodeError:
            raise Failure(f"{self.path}: its texts are not UTF-8: the file is damaged") from None

    def _bytes(self, start: int, stop: int) -> bytes:
        if self.stretch is not None:
            return self.stretch[start:stop]
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                data = file.read(stop - start)
        except FileNotFoundError:
            raise Failure(f"{self.path} is gone: the cache was cleared meanwhile; start again") from None
        if len(data) != stop - start:
            raise Failure(f"{self.path} is shorter than its index says; delete it and start again")
        return data

    def digest(self) -> str:
        """Return the digest of the texts."""
        total = hashing.TextHash()
        for _, block in self.blocks():
            total.update(block)
        return str(total)


def offsets_of(rows: list[bytes]) -> np.ndarray:
    """Where each of some rows begins in the stretch, and where the last ends, (n + 1,) int64."""
    offsets = np.zeros(len(rows) + 1, "<i8")
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return offsets


@dataclass(frozen=True)
class Split:
    """One part (train or test) of a source, read in blocks so that a set may be larger than memory.

    `path` is a raw file of the images' bytes in C order, `offset` bytes into it they begin.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self, rows: int = 2048) -> Iterator[tuple[int, np.ndarray]]:
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

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return the images of the given rows, (len(index), H, W, C) uint8."""
        size = int(np.prod(self.shape[1:]))
        images = np.empty((len(index), *self.shape[1:]), np.uint8)
        with self._open() as file:
            for image, row in zip(images, index, strict=True):
                file.seek(self.offset + int(row) * size)
                _read_exactly(file, image, self.path)
        return images

    def _open(self) -> Any:
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError:
            raise Failure(f"{self.path} is gone: the cache was cleared meanwhile; start again") from None


def _read_exactly(file: Any, array: np.ndarray, path: Path) -> None:
    view = array.reshape(-1).data
    while view:
        count = file.readinto(view)
        if not count:
            raise Failure(f"{path} is shorter than its index says; delete it and start again")
        view = view[count:]


def write_all(file: Any, array: np.ndarray) -> None:
    """Write an array's bytes to an unbuffered file, which may take them bit by bit."""
    view = np.ascontiguousarray(array).reshape(-1).data
    while view:
        view = view[file.write(view) :]
