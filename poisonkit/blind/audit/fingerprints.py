"""What is kept of every image while a set is read once: enough to find it again, at some hundred bytes an image."""

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np

SIDE = 16
SQUARES = (3, 4, 5, 6, 8)  # pixels a side of the flat squares that are looked for


@dataclass(frozen=True)
class Digests:
    """Of n rows: `hashes`, n digests of their contents; their `labels`, (n,) int64; and, where asked for, `packed` (n,)
    int64, bytes after compression."""

    hashes: list[bytes]
    labels: np.ndarray
    packed: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


NO_SIZES = np.empty(0, np.int64)
NO_SQUARES = np.empty((0, 5), np.int64)


@dataclass(frozen=True)
class Signatures(Digests):
    """Digests of n images, and `small` (n, s) uint8, grey and at most 16 × 16. Where asked for, `squares` (q, 5) int64,
    all squares of one colour that end on all sides: row of the image, side, row and column of the corner, colour."""

    small: np.ndarray
    squares: np.ndarray

    def subset(self, rows: np.ndarray) -> "Signatures":
        """Return those of the given rows, without sizes and squares."""
        return Signatures([self.hashes[row] for row in rows], self.labels[rows], NO_SIZES, self.small[rows], NO_SQUARES)

    def concat(self, more: "Signatures") -> "Signatures":
        """Return those of two parts, one after the other, without sizes and squares."""
        return Signatures(
            self.hashes + more.hashes,
            np.concatenate([self.labels, more.labels]),
            NO_SIZES,
            np.concatenate([self.small, more.small]),
            NO_SQUARES,
        )


def collect(blocks, labels: np.ndarray, whole: bool = False, step=None) -> Signatures:
    """Take the signatures of images that come in blocks, (first row, (n, H, W, C) uint8). `whole` asks for sizes and
    squares too; `step(n)` is called with the progress."""
    small, packed = [], []
    hashes: list[bytes] = []
    squares = [NO_SQUARES]
    for start, block in blocks:
        small.append(shrink(block))
        rows = [image.tobytes() for image in block]
        hashes += [hashlib.blake2b(row, digest_size=16).digest() for row in rows]
        if whole:
            packed += [len(zlib.compress(row, 6)) for row in rows]
            squares.append(flat_squares(block) + np.array([start, 0, 0, 0, 0]))
        if step:
            step(len(block))
    return Signatures(hashes, labels, np.array(packed, np.int64), np.concatenate(small), np.concatenate(squares))


def shrink(images: np.ndarray) -> np.ndarray:
    """(n, H, W, C) uint8 → (n, s) uint8: grey, the mean over a grid of at most 16 × 16 cells."""
    grey = images.astype(np.float32).mean(-1)
    for axis in (1, 2):
        size = grey.shape[axis]
        edges = np.arange(min(SIDE, size)) * size // min(SIDE, size)
        widths = np.diff(np.append(edges, size)).astype(np.float32)
        grey = np.add.reduceat(grey, edges, axis) / widths.reshape((-1, 1) if axis == 1 else (-1,))
    return np.rint(grey).astype(np.uint8).reshape(len(images), -1)


def flat_squares(images: np.ndarray) -> np.ndarray:
    """Return every square of one colour, of a side in `SQUARES`, that could not be moved by a pixel and still be of
    one: (q, 5) int64, image, side, row and column of its corner, colour as one number."""
    across = (images[:, :, 1:] == images[:, :, :-1]).all(-1)
    down = (images[:, 1:] == images[:, :-1]).all(-1)
    flat, found = across[:, 1:] & across[:, :-1] & down[:, :, 1:], [np.empty((0, 5), np.int64)]
    pairs = flat
    for side in range(3, max(SQUARES) + 1):
        if min(pairs.shape[1:]) < 2:
            break
        pairs = pairs[:, 1:, 1:] & pairs[:, 1:, :-1] & pairs[:, :-1, 1:] & pairs[:, :-1, :-1]
        if side in SQUARES and pairs.any():
            image, row, column = np.nonzero(pairs & ~_beside(pairs))
            colour = images[image, row, column].astype(np.int64) @ (256 ** np.arange(images.shape[3]))
            found.append(np.stack([image, np.full_like(image, side), row, column, colour], 1))
    return np.concatenate(found)


def _beside(squares: np.ndarray) -> np.ndarray:
    """Where a square lies a pixel up, down, left or right of a place, (n, h, w) bool."""
    wide = np.pad(squares, ((0, 0), (1, 1), (1, 1)))
    return wide[:, 2:, 1:-1] | wide[:, :-2, 1:-1] | wide[:, 1:-1, 2:] | wide[:, 1:-1, :-2]


def unit(small: np.ndarray) -> np.ndarray:
    """Signatures as vectors of mean 0 and length 1, (n, s) float32, so that a product is a correlation; 0 where an
    image is flat."""
    vectors = small.astype(np.float32)
    vectors -= vectors.mean(1, keepdims=True)
    length = np.sqrt((vectors * vectors).sum(1, keepdims=True))
    return np.divide(vectors, length, out=vectors, where=length > 0.5)
