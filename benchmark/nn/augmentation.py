"""Augmentation of training images: random crops, horizontal flips, small rotations; whole numbers in and out.

What is random is drawn on the host from (seed, epoch, row), one raw word a row; the device only moves pixels about,
inside the compiled step. So every backend trains the same pixels, and a run that goes on from a checkpoint sees those
that it would have seen.
"""

from typing import Any

import numpy as np

from benchmark.core import random_streams

ONE = 1 << 14  # fixed point of sines and cosines
LEAST_COLUMNS = 3  # of draws without rotation


def draws(seed: int, epoch: int, rows: int, padding: int, flip: bool, rotation: int) -> np.ndarray:
    """Draw what happens to each training row of a file in an epoch (from 1).

    Parameters
    ----------
    seed, epoch : int
        The run's seed, and the epoch.
    rows : int
        Number of training rows of the file.
    padding : int
        Images are padded with that many black pixels on every side, then cropped to their size at random.
    flip : bool
        Mirror a random half of the images, left to right.
    rotation : int
        Turn by up to so many degrees either way, to the nearest pixels; corners become black. 0: not at all.

    Returns
    -------
    array
        (rows, 3) int32: offsets down and right, from −padding to padding; 1 for a flip. With rotation (rows, 5): also
        cosine and sine of its angle, times 2¹⁴.
    """
    words = random_streams.words(seed, f"augmentation of epoch {epoch}", rows)
    low = np.uint64(0xFFFF)
    places = np.uint64(2 * padding + 1)
    offsets = [((words >> np.uint64(shift)) & low) * places >> np.uint64(16) for shift in (0, 16)]
    columns = [offset.astype(np.int64) - padding for offset in offsets]
    columns.append(((words >> np.uint64(32)) & np.uint64(flip)).astype(np.int64))
    if rotation:
        turned = (words >> np.uint64(33)).astype(np.float64) / 2.0**30 - 1  # −1 to below 1
        angles = np.deg2rad(rotation) * turned
        columns += [np.rint(ONE * np.cos(angles)).astype(np.int64), np.rint(ONE * np.sin(angles)).astype(np.int64)]
    return np.stack(columns, axis=1).astype(np.int32)


def augmented(images: Any, drawn: Any) -> Any:
    """Apply draws to a batch, on the device: crop, then flip, then rotate.

    Images (n, H, W, C) uint8 and draws (n, 3 or 5) int32, tensors of the active backend, give images of the same shape
    and type. For each pixel of the result, the pixel that it comes from is computed backwards; outside is black.
    """
    from keras import ops

    count, (height, width, channels) = ops.shape(images)[0], images.shape[1:]
    column = [drawn[:, number][:, None, None] for number in range(drawn.shape[-1])]
    y = ops.arange(height, dtype="int32")[None, :, None]
    x = ops.arange(width, dtype="int32")[None, None, :]
    inside = None
    if len(column) > LEAST_COLUMNS:
        y, x = _turned_back(y, x, height, width, *column[LEAST_COLUMNS:])
        inside = _within(y, height) & _within(x, width)
    x = ops.where(column[2] > 0, width - 1 - x, x)
    y, x = y + column[0], x + column[1]
    cropped = _within(y, height) & _within(x, width)
    inside = cropped if inside is None else inside & cropped
    first = ops.arange(count, dtype="int32")[:, None, None] * (height * width)
    places = first + ops.clip(y, 0, height - 1) * width + ops.clip(x, 0, width - 1)
    found = ops.take(ops.reshape(images, (-1, channels)), places, axis=0)
    return ops.where(inside[..., None], found, ops.zeros_like(found))


def _turned_back(y: Any, x: Any, height: int, width: int, cosine: Any, sine: Any) -> tuple[Any, Any]:
    """Return the places that are turned to (y, x) about the middle, to the nearest pixel, in fixed point."""
    down, right = 2 * y - (height - 1), 2 * x - (width - 1)  # from the middle, in halves of a pixel
    from_y = cosine * down + sine * right + height * ONE
    from_x = cosine * right - sine * down + width * ONE
    return from_y // (2 * ONE), from_x // (2 * ONE)


def _within(place: Any, size: int) -> Any:
    return (place >= 0) & (place < size)
