"""A trigger as a sparse affine map of an image's bytes.

    out[p] = clip((bias[p] + Σ_k weights[p, k] · image[taps[p, k]] + 16384) >> 15, 0, 255)

in fixed point, 32768 being 1. A square is weight 0 and a bias, a blend weight 1 − α and bias α·picture, a warp four
taps with bilinear weights. Per patch is the same stencil, tiled.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poisonkit.core.signals import defer_signals

ONE = 1 << 15
MAX_TAPS = 4
_IMAGES_AT_ONCE, _MOST_AT_ONCE, _JOBS = 1024, 8192, 4  # in a call of a kernel; calls for each thread of a large array
PLAIN = 60_000_000
"""Products of weight and byte that NumPy sums sooner than numba is imported."""
PLAIN_CALL = PLAIN // 6
"""The same for a call of which it is not known how many will follow."""


Run = Callable[[np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Stencil:
    """taps, weights: (H, W, C, K) int32, K ≤ 4; bias: (H, W, C) int32. Taps are indices into the flattened image.

    Where a weight is 0 the tap is the byte itself, so that equal maps have equal arrays.
    """

    taps: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @classmethod
    def build(cls, taps: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> "Stencil":
        """Build a stencil from integer arrays of the documented shapes; zero-weight taps are made canonical."""
        taps, weights, bias = (np.ascontiguousarray(array, np.int32) for array in (taps, weights, bias))
        size = bias.size
        if taps.shape != weights.shape or taps.shape[:-1] != bias.shape or not 1 <= taps.shape[-1] <= MAX_TAPS:
            raise ValueError(f"taps {taps.shape}, weights {weights.shape} and bias {bias.shape} do not fit")
        if taps.min() < 0 or taps.max() >= size:
            raise ValueError(f"taps must lie in 0 … {size - 1}, got {taps.min()} … {taps.max()}")
        itself = np.arange(size, dtype=np.int32).reshape(*bias.shape, 1)
        return cls(np.where(weights == 0, itself, taps), weights, bias)

    @classmethod
    def identity(cls, shape: tuple[int, int, int]) -> "Stencil":
        """Return the map that changes nothing, one tap a byte."""
        itself = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(*shape, 1)
        return cls(itself, np.full_like(itself, ONE), np.zeros(shape, np.int32))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images that it maps."""
        return self.bias.shape

    @property
    def pointwise(self) -> bool:
        """Whether every byte depends on no byte but itself."""
        itself = np.arange(self.bias.size, dtype=np.int32).reshape(*self.shape, 1)
        return self.taps.shape[-1] == 1 and bool((self.taps == itself).all())

    def mask(self) -> np.ndarray:
        """(H, W, C) uint8: 1 where the output can differ from the input."""
        itself = np.arange(self.bias.size, dtype=np.int32).reshape(*self.shape, 1)
        same = (self.taps == itself).all(-1) & (self.weights.sum(-1) == ONE) & (self.bias == 0)
        return np.asarray(~same, np.uint8)

    def constant(self) -> np.ndarray:
        """(H, W, C) bool: where the output does not depend on the image at all."""
        return np.asarray((self.weights == 0).all(-1))

    def tile(self, height: int, width: int) -> "Stencil":
        """Repeat the stencil on every tile of a larger image (BadPatches, section 3.3.4)."""
        h, w, c = self.shape
        if height % h or width % w:
            raise ValueError(f"tiles of {h}×{w} do not divide an image of {height}×{width}")
        down, across = height // h, width // w
        y, x, channel = np.unravel_index(self.taps, self.shape)
        y = np.arange(down, dtype=np.int64).reshape(down, 1, 1, 1, 1, 1) * h + y[:, None]
        x = np.arange(across, dtype=np.int64).reshape(across, 1, 1, 1) * w + x[:, None]
        taps = ((y * width) + x) * c + channel[:, None]
        repeat = (down, across, 1)
        return Stencil.build(
            taps.reshape(height, width, c, -1), np.tile(self.weights, (*repeat, 1)), np.tile(self.bias, repeat)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file has of it, by name."""
        return {"taps": self.taps, "weights": self.weights, "bias": self.bias}

    def put(self, images: np.ndarray, rows: np.ndarray, threads: int = 1, total: int | None = None) -> np.ndarray:
        """See `image_maps.ImageMap`: the same on every row."""
        del rows
        return self.apply(images, threads, total=total)

    def apply(
        self, images: np.ndarray, threads: int = 1, out: np.ndarray | None = None, total: int | None = None
    ) -> np.ndarray:
        """Map images (n, H, W, C) uint8 to triggered ones of the same shape, into `out` (C-contiguous) if given.

        `total` is the number of images that this and all further calls will map, if it is known: a few are mapped by
        NumPy, because importing numba would take longer. The bytes depend neither on it nor on `threads`.
        """
        if images.shape[1:] != self.shape or images.dtype != np.uint8:
            raise ValueError(f"expected uint8 images of {self.shape}, got {images.dtype} of {images.shape[1:]}")
        flat = np.ascontiguousarray(images).reshape(len(images), self.bias.size)
        result = np.empty(images.shape, np.uint8) if out is None else out
        flat_out = result.reshape(len(images), self.bias.size)
        if self._is_little(len(flat), total):
            self._plain(flat, flat_out)
            return result
        with defer_signals():  # numba is imported here
            run = self._pointwise() if self.pointwise else self._gather()
        size = min(max(len(flat) // (_JOBS * threads), _IMAGES_AT_ONCE), _MOST_AT_ONCE)
        jobs = [(flat[i : i + size], flat_out[i : i + size]) for i in range(0, len(flat), size)]
        if threads == 1 or len(jobs) == 1:
            for job in jobs:
                with defer_signals():  # and here it may compile
                    run(*job)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, *zip(*jobs, strict=True)))
        return result

    def _is_little(self, count: int, total: int | None) -> bool:
        """Whether NumPy maps so many images sooner than numba is imported."""
        if "numba" in sys.modules:
            return False
        each = int(self._changed.sum()) * self.taps.shape[-1]
        return bool(count * each <= PLAIN_CALL if total is None else max(count, total) * each <= PLAIN)

    @cached_property
    def _changed(self) -> np.ndarray:
        """(P,) bool: the mask, flattened."""
        return self.mask().reshape(-1) > 0

    def _plain(self, flat: np.ndarray, out: np.ndarray) -> None:
        """Do the kernels' work in NumPy, only on the bytes that can change; int32 wraps as it does there."""
        np.copyto(out, flat)
        bias = self.bias.reshape(-1) + np.int32(1 << 14)
        fixed = self.constant().reshape(-1)
        np.copyto(out, (bias >> 15).clip(0, 255).astype(np.uint8), where=fixed)
        where = np.flatnonzero(self._changed & ~fixed)
        if not len(where):
            return
        taps, weights = (array.reshape(len(self._changed), -1)[where] for array in (self.taps, self.weights))
        bias = bias[where]
        for start in range(0, len(flat), _IMAGES_AT_ONCE // 4):
            part = slice(start, start + _IMAGES_AT_ONCE // 4)
            total = np.broadcast_to(bias, (len(flat[part]), len(where)))
            for k in range(taps.shape[1]):
                total = total + flat[part][:, taps[:, k]] * weights[:, k]
            out[part, where] = (total >> 15).clip(0, 255)

    def _pointwise(self) -> Run:
        from poisonkit.core import kernels  # late: importing numba takes longer than most commands

        weights, bias = self.weights.reshape(-1), self.bias.reshape(-1)
        return lambda images, out: kernels.pointwise(images, weights, bias, out)

    def _gather(self) -> Run:
        from poisonkit.core import kernels

        size, block = self.bias.size, kernels.BLOCK
        padded = -(-size // 8) * 8
        taps, weights = np.zeros((2, padded, MAX_TAPS), np.int32)
        taps[:size, : self.taps.shape[-1]] = self.taps.reshape(size, -1)
        weights[:size, : self.weights.shape[-1]] = self.weights.reshape(size, -1)
        bias = np.zeros(padded, np.int32)
        bias[:size] = self.bias.reshape(-1)

        def run(images: np.ndarray, out: np.ndarray) -> None:
            whole = len(images) // block * block if padded == size else 0
            if whole:
                kernels.gather(images[:whole], taps, weights, bias, out[:whole])
            if whole < len(images):
                rest = np.zeros((-(-(len(images) - whole) // block) * block, padded), np.uint8)
                rest[: len(images) - whole, :size] = images[whole:]
                result = np.empty_like(rest)
                kernels.gather(rest, taps, weights, bias, result)
                out[whole:] = result[: len(images) - whole, :size]

        return run


def per_patch(
    build: Callable[[tuple[int, int, int]], Stencil], image_shape: tuple[int, int, int], patch: tuple[int, int] | None
) -> Stencil:
    """Build the stencil of a whole image from a function of the tile's shape: the image itself, or one patch of it,
    tiled."""
    height, width, channels = image_shape
    if patch is None:
        return build(image_shape)
    return build((*patch, channels)).tile(height, width)
