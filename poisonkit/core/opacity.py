"""Pictures with opacity, (h, w, C + 1) uint8, the last channel of which says how much of each pixel is there."""

import numpy as np


def with_opacity(picture: np.ndarray, channels: int) -> np.ndarray:
    """Return a picture of so many channels, or one more, with its opacity, (h, w, channels + 1): one that has none is
    opaque."""
    if picture.shape[-1] != channels:
        return picture
    return np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], -1)


def overlaps(old: int, new: int) -> np.ndarray:
    """How much of each of `new` equal parts of a line each of `old` parts covers, (new, old) int64; a row sums to
    `old`."""
    edges = np.arange(old + 1) * new
    starts, ends = np.arange(new)[:, None] * old, np.arange(1, new + 1)[:, None] * old
    return (np.minimum(edges[1:], ends) - np.maximum(edges[:-1], starts)).clip(0).astype(np.int64)


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture with opacity, (h, w, C + 1) uint8: the mean over the area of each new pixel.

    Colours count by their opacity, so that what cannot be seen does not bleed in; where nothing can be seen they are
    0. In whole numbers, rounded half up: the same on every machine, and a picture of the right size keeps its bytes.
    """
    rows, columns = overlaps(picture.shape[0], height), overlaps(picture.shape[1], width)
    opacity = picture[..., -1:].astype(np.int64)
    layers = np.concatenate([picture[..., :-1] * opacity, opacity], -1)
    summed = np.tensordot(rows, layers, (1, 0))  # (height, w, C + 1)
    summed = np.tensordot(summed, columns, (1, 1)).transpose(0, 2, 1)
    area, weight = picture.shape[0] * picture.shape[1], summed[..., -1:]
    colours = (2 * summed[..., :-1] + weight) // (2 * np.maximum(weight, 1))
    return np.concatenate([colours, (2 * weight + area) // (2 * area)], -1).astype(np.uint8)
