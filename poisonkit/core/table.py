"""A trigger as a table: what becomes of each of the 256 levels of a channel, wherever it stands in the image.

    out[y, x, c] = levels[c, image[y, x, c]]

A quantisation is such a table, a gamma curve, an inversion. Per patch it is the same table.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from poisonkit.core.signals import defer_signals
from poisonkit.core.stencil import PLAIN, PLAIN_CALL

LEVELS = 256
_IMAGES_AT_ONCE = 1024


@dataclass(frozen=True)
class Table:
    """levels: (C, 256) uint8; shape: (H, W, C) of the images that it maps."""

    levels: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def build(cls, levels: np.ndarray, shape: tuple[int, int, int]) -> "Table":
        """Build a table from whole numbers, (C, 256), or (256,) for every channel alike. Raises ValueError where they
        are no levels, or of other channels."""
        array = np.asarray(levels)
        if array.ndim == 1:
            array = np.repeat(array[None], shape[2], 0)
        if array.shape != (shape[2], LEVELS):
            raise ValueError(f"expected a table of ({shape[2]}, {LEVELS}), got {array.shape}")
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= LEVELS:
            raise ValueError(f"a table's entries must be whole numbers in 0 … {LEVELS - 1}")
        height, width, channels = (int(side) for side in shape)
        return cls(np.ascontiguousarray(array, np.uint8), (height, width, channels))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file has of it, by name."""
        return {"table": self.levels}

    def mask(self) -> np.ndarray:
        """(H, W, C) uint8: 1 where the output can differ from the input, which is a whole channel or nothing of it."""
        changed = (self.levels != np.arange(LEVELS)).any(1).astype(np.uint8)
        return np.array(np.broadcast_to(changed, self.shape))

    def constant(self) -> np.ndarray:
        """(H, W, C) bool: where the output does not depend on the image at all."""
        return np.array(np.broadcast_to((self.levels == self.levels[:, :1]).all(1), self.shape))

    def tile(self, height: int, width: int) -> "Table":
        """Return the same table for a larger image that these tiles make up."""
        if height % self.shape[0] or width % self.shape[1]:
            raise ValueError(f"tiles of {self.shape[0]}×{self.shape[1]} do not divide an image of {height}×{width}")
        return Table(self.levels, (height, width, self.shape[2]))

    def put(self, images: np.ndarray, rows: np.ndarray, threads: int = 1, total: int | None = None) -> np.ndarray:
        """See `image_maps.ImageMap`: the same on every row. The bytes depend neither on `total` nor on `threads`."""
        del rows
        if images.shape[1:] != self.shape or images.dtype != np.uint8:
            raise ValueError(f"expected uint8 images of {self.shape}, got {images.dtype} of {images.shape[1:]}")
        flat = np.ascontiguousarray(images).reshape(len(images), -1, self.shape[2])
        if self._is_little(flat.size, total):
            return self._plain(flat).reshape(images.shape)
        with defer_signals():  # numba is imported here
            from poisonkit.core import kernels
        out = np.empty_like(flat)
        starts = range(0, len(flat), _IMAGES_AT_ONCE)
        jobs = [(flat[i : i + _IMAGES_AT_ONCE], out[i : i + _IMAGES_AT_ONCE]) for i in starts]
        if threads == 1 or len(jobs) == 1:
            for part, target in jobs:
                with defer_signals():  # and here it may compile
                    kernels.lookup(part, self.levels, target)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda job: kernels.lookup(job[0], self.levels, job[1]), jobs))
        return out.reshape(images.shape)

    def _is_little(self, size: int, total: int | None) -> bool:
        """Whether NumPy maps so many bytes sooner than numba is imported."""
        if "numba" in sys.modules:
            return False
        each = int(np.prod(self.shape))
        return size <= PLAIN_CALL if total is None else max(size, total * each) <= PLAIN

    def _plain(self, flat: np.ndarray) -> np.ndarray:
        """Do the kernel's work in NumPy."""
        return np.asarray(self.levels[np.arange(self.shape[2]), flat])
