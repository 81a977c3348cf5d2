"""Rows beside the source images that they were found to be: what no small change explains."""

import numpy as np


def strange_pixels(images: np.ndarray, originals: np.ndarray, tolerance: int) -> np.ndarray:
    """Pixels of each image that lie outside what its original has within one pixel, by more than some grey levels.

    Both (n, H, W, C) uint8; (n,) int64. A shift by less than a pixel leaves every byte between the least and the
    greatest around it; noise and JPEG add some levels; a trigger does not keep to that.
    """
    low, high = (around(originals, least).astype(np.int16) for least in (np.minimum, np.maximum))
    values = images.astype(np.int16)
    outside = (values > high + tolerance) | (values < low - tolerance)
    return outside.any(-1).sum((1, 2), dtype=np.int64)


def around(images: np.ndarray, extreme) -> np.ndarray:
    """Return the least or greatest (`np.minimum`, `np.maximum`) of each 3 × 3 neighbourhood, cut at the edges."""
    for axis in (1, 2):
        padded = np.pad(images, [(1, 1) if one == axis else (0, 0) for one in range(4)], "edge")
        size = images.shape[axis]
        parts = [np.take(padded, range(i, i + size), axis) for i in range(3)]
        images = extreme(extreme(parts[0], parts[1]), parts[2])
    return images
