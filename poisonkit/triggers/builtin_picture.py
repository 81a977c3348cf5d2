"""The picture that `blend` uses by default: a poison dart frog's face, drawn here in integers, so that every machine
draws the same bytes and no copyrighted picture has to be shared. The paper blends a trademarked image (section 3.3.2);
`--blend-image` takes any."""

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.grey_levels import grey

SIDE = 128

_SKY, _BODY, _SPOT, _WHITE, _DARK, _MOUTH = (
    (250, 240, 200),
    (40, 120, 230),
    (20, 40, 90),
    (255, 255, 255),
    (15, 15, 25),
    (230, 60, 70),
)

# (colour, centre row, centre column, radius in rows, radius in columns), painted in this order
_ELLIPSES = (
    (_BODY, 78, 64, 44, 58),
    (_BODY, 36, 34, 24, 24),
    (_BODY, 36, 94, 24, 24),
    (_WHITE, 36, 34, 18, 18),
    (_WHITE, 36, 94, 18, 18),
    (_DARK, 40, 38, 9, 9),
    (_DARK, 40, 90, 9, 9),
    (_SPOT, 62, 64, 8, 11),
    (_SPOT, 84, 20, 10, 7),
    (_SPOT, 84, 108, 10, 7),
    (_MOUTH, 92, 64, 18, 32),
    (_BODY, 84, 64, 16, 34),
)


def built_in(channels: int) -> np.ndarray:
    """Draw the frog, (128, 128, channels) uint8: RGB, or its grey levels for one channel."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[:] = _SKY
    for colour, row, column, down, across in _ELLIPSES:
        inside = (rows - row) ** 2 * across**2 + (columns - column) ** 2 * down**2 <= (down * across) ** 2
        picture[inside] = colour
    return picture if channels == 3 else grey(picture)


def cut_out(channels: int) -> np.ndarray:
    """Draw the frog without the sky, (128, 128, channels + 1) uint8: the last channel is its opacity, 0 or 255."""
    opacity = np.where((built_in(3) == _SKY).all(-1, keepdims=True), 0, 255)
    return np.concatenate([built_in(channels), opacity.astype(np.uint8)], -1)


REFLECTIONS, SHAPES = 8, 12


def reflections(channels: int) -> np.ndarray:
    """Draw eight bright scenes of ellipses, (8, 128, 128, channels + 1) uint8, opaque: what `refool` reflects where the
    user gives no pictures."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    words = random_streams.raw_words(0, "reflections", REFLECTIONS * SHAPES * 7).reshape(REFLECTIONS, SHAPES, 7)
    found = np.full((REFLECTIONS, SIDE, SIDE, 4), 255, np.uint8)
    for picture, shapes in zip(found, words, strict=True):
        places = random_streams.between(shapes[:, :2], 0, SIDE - 1)
        radii = random_streams.between(shapes[:, 2:4], 6, 48)
        colours = random_streams.between(shapes[:, 4:], 0, 255)
        picture[..., :3] = colours[0] // 2
        for (row, column), (down, across), colour in zip(places[1:], radii[1:], colours[1:], strict=True):
            inside = (rows - row) ** 2 * across**2 + (columns - column) ** 2 * down**2 <= (down * across) ** 2
            picture[inside, :3] = colour
    if channels == 3:
        return found
    return np.stack([np.concatenate([grey(one[..., :3]), one[..., 3:]], -1) for one in found])
