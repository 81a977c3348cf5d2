"""The steps of a camouflage that move things: mirrored, cropped, warped. Each row is moved by words of its own.

They are what hides a trigger that moves pixels: a warp is seen in a picture only beside what every picture has. Places
are counted in 1/256 pixel, outside the edge the picture is mirrored.
"""

from decimal import Decimal

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.parsing import decimal, spell
from poisonkit.core.signals import defer_signals

GRID = 4  # points a side of a warp's random grid, as WaNet's
_UNIT = 1 << 12  # of the weights that make a field out of a grid


def flip(images: np.ndarray, words: np.ndarray, value: int) -> np.ndarray:
    """Mirror every other image left to right, by the highest bit of its word."""
    del value
    turned = (words[:, 0] >> np.uint64(63)).astype(bool)
    return np.where(turned[:, None, None, None], images[:, :, ::-1], images)


def crop(images: np.ndarray, words: np.ndarray, most: int) -> np.ndarray:
    """Crop to a window that leaves out up to `most` pixels down, and across (at most half a side), resized to the old
    size."""
    places = []
    for axis, size in enumerate(images.shape[1:3]):
        left_out = random_streams.between(words[:, 2 * axis], 0, 256 * min(most, size // 2))
        first = (words[:, 2 * axis + 1] >> np.uint64(32)) * (left_out + 1).astype(np.uint64) >> np.uint64(32)
        i, steps = np.arange(size, dtype=np.int64), max(1, size - 1)
        places.append(first.astype(np.int64)[:, None] + i * (256 * steps - left_out[:, None]) // steps)
    down, across = places
    shape = (*images.shape[:3], 2)
    return sampled(images, np.stack(np.broadcast_arrays(down[:, :, None], across[:, None, :]), -1).reshape(shape))


def warp(images: np.ndarray, words: np.ndarray, mean: int) -> np.ndarray:
    """Warp smoothly: each point of a grid moves by −2·mean … 2·mean, in 1/256 pixel, down and across."""
    count, height, width = images.shape[:3]
    grid = random_streams.between(words, -2 * mean, 2 * mean).reshape(count, 2, GRID, GRID).astype(np.int64)
    field = upsampled(upsampled(grid, width).swapaxes(2, 3), height).swapaxes(2, 3)
    places = (field + (_UNIT * _UNIT >> 1)) >> 24
    places[:, 0] += 256 * np.arange(height)[:, None]
    places[:, 1] += 256 * np.arange(width)
    return sampled(images, places.transpose(0, 2, 3, 1))


def upsampled(grid: np.ndarray, size: int) -> np.ndarray:
    """(…, k) int64 → (…, size) int64, times 4096: bicubic, the corners aligned, A = −3/4, in whole numbers."""
    k, total = grid.shape[-1], np.zeros((*grid.shape[:-1], size), np.int64)
    steps = max(1, size - 1)
    first, rest = np.divmod(np.arange(size, dtype=np.int64) * (k - 1), steps)
    for tap in range(-1, 3):
        weights = _cubic(np.abs(rest - tap * steps), steps)
        total = total + grid[..., (first + tap).clip(0, k - 1)] * weights
    return total


def _cubic(distance: np.ndarray, unit: int) -> np.ndarray:
    """Keys' kernel, A = −3/4, times 4096, at whole distances that count in `unit`s, int64."""
    d, u = distance, unit
    near = 5 * d * d * d - 9 * d * d * u + 4 * u * u * u  # (A+2)d³ − (A+3)d² + 1, four times
    far = 3 * (-d * d * d + 5 * d * d * u - 8 * d * u * u + 4 * u * u * u)  # A(d³ − 5d² + 8d − 4)
    quarters = np.where(d <= u, near, np.where(d < 2 * u, far, 0))
    return (quarters * (_UNIT // 4) * 2 + u**3) // (2 * u**3)


def sampled(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) uint8 looked at `places` (n, H, W, 2), down and across in 1/256 pixel, bilinear."""
    out = np.empty_like(images, order="C")
    with defer_signals():  # numba is imported here, and may compile
        from poisonkit.core import kernels

        kernels.sample(np.ascontiguousarray(images), np.ascontiguousarray(places, np.int32), out)
    return out


def parse_warp(text: str) -> int:
    """In 1/256 pixel."""
    value = Decimal(decimal("0", "4")(text))
    if value and not int(value * 256):
        raise ValueError(f"expected 0 or at least 0.00390625 (1/256 of a pixel), got {text!r}")
    return int(value * 256)


def spell_warp(value: int) -> str:
    """Spell a warp's strength in its one spelling."""
    return spell(Decimal(value) / 256)
