"""The steps that a camouflage is made of, each a pure function of images and random words.

A step takes images (n, H, W, C) uint8, for each of them the random words of its row, (n, w) uint64, and its value, and
returns new images of that shape. What it does to an image depends on that image, those words and the value alone: so a
row can be done by itself, in any order and on any thread. All in whole numbers, and by code of our own (libjpeg's bytes
differ between its versions), so that every machine makes the same bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.jpeg import jpeg
from poisonkit.core.parsing import decimal, integer, spell
from poisonkit.core.signals import defer_signals
from poisonkit.sources._camouflage import looks, moves


@dataclass(frozen=True)
class Step:
    """One step, by its name in `STEPS`.

    Attributes
    ----------
    parse : callable
        The value that a text stands for; raises `ValueError` with what was expected. A false value is no step at all.
    spell : callable
        The one text of a value.
    words : callable
        ``words(shape, value)``: how many random words a row of images (H, W, C) takes. Word j of row r of a part is
        number r · w + j of that part's and step's stream, whatever else is done (`sampling.row_words`).
    apply : callable
        ``apply(images, words, value)``: (n, H, W, C) uint8, (n, w) uint64 → new images (n, H, W, C) uint8.
    """

    parse: Callable[[str], Any]
    spell: Callable[[Any], str]
    words: Callable[[tuple[int, int, int], Any], int]
    apply: Callable[[np.ndarray, np.ndarray, Any], np.ndarray]


# ---- a shift by a fraction of a pixel


def _parse_shift(text: str) -> int:
    """In 1/256 pixel. A shift that is not 0 but less than one of these would do nothing, in silence."""
    value = Decimal(decimal("0", "1")(text))
    if value and not int(value * 256):
        raise ValueError(f"expected 0 or at least 0.00390625 (1/256 of a pixel), got {text!r}")
    return int(value * 256)


def _shift(images: np.ndarray, words: np.ndarray, most: int) -> np.ndarray:
    """Each image by its own fraction of a pixel, down and across, uniform from −most to most."""
    return shifted(images, random_streams.between(words, -most, most))


def shifted(images: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Images (n, H, W, C) uint8 looked at `moves` (n, 2) int32 off their grid, in 1/256 pixel, bilinear."""
    out = np.empty_like(images)
    with defer_signals():  # numba is imported here, and may compile
        from poisonkit.core import kernels

        kernels.shift(np.ascontiguousarray(images), moves, out)
    return out


# ---- noise


def _noise(images: np.ndarray, words: np.ndarray, most: int) -> np.ndarray:
    """Noise in every byte: −most … most, evenly but for a 256th; then clipped to bytes."""
    size = int(np.prod(images.shape[1:]))
    grain = words.astype("<u8").view(np.uint8).reshape(len(images), -1)[:, :size].astype(np.int16)
    noise = (grain * np.int16(2 * most + 1) >> 8) - np.int16(most)
    return (images + noise.reshape(images.shape)).clip(0, 255).astype(np.uint8)


STEPS = {
    "overlay": Step(integer(0, 50), str, lambda shape, value: 1 + 2 * looks.SHAPES, looks.overlay),
    "tiles": Step(integer(0, 50), str, lambda shape, value: 2 + 2 * looks.SHAPES, looks.tiles),
    "flip": Step(integer(0, 1), str, lambda shape, value: 1, moves.flip),
    "crop": Step(integer(0, 16), str, lambda shape, value: 4, moves.crop),
    "warp": Step(moves.parse_warp, moves.spell_warp, lambda shape, value: 2 * moves.GRID**2, moves.warp),
    "colour": Step(integer(0, 50), str, lambda shape, value: 1 + 2 * shape[2], looks.colour),
    "blur": Step(integer(0, 100), str, lambda shape, value: 1, looks.blur),
    "jpeg": Step(integer(1, 100), str, lambda shape, value: 0, lambda images, words, value: jpeg(images, value)),
    "shift": Step(_parse_shift, lambda value: spell(Decimal(value) / 256), lambda shape, value: 2, _shift),
    "noise": Step(integer(0, 16), str, lambda shape, value: -(-int(np.prod(shape)) // 8), _noise),
}
"""Every step by its name, in the order in which they are done and spelled."""
