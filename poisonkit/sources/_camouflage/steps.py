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
from poisonkit.core.parsing import decimal, integer, spell
from poisonkit.core.signals import defer_signals
from poisonkit.sources._camouflage import looks, moves

# cos(k·π/16) / 2 times 8192, and that of k = 4 for the constant row: JPEG's cosine transform in fixed point.
_COSINES = (4096, 4017, 3784, 3406, 2896, 2276, 1567, 799)
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99), (99, 99, 99, 99, 99, 99, 99, 99),
)  # fmt: skip


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


# ---- JPEG


def steps(quality: int, table) -> np.ndarray:
    """Return a quantisation table of JPEG (Annex K) at a quality of 1 … 100, scaled as libjpeg does, (8, 8) int32."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((np.array(table, np.int32) * scale + 50) // 100).clip(1, 255).astype(np.int32)


def basis() -> np.ndarray:
    """Return the cosine transform of 8 values times 8192, (8, 8) int32: row u is a(u)·cos((2x + 1)uπ/16)."""
    rows = np.empty((8, 8), np.int32)
    for u in range(8):
        for x in range(8):
            k = (2 * x + 1) * u % 32
            k, sign = (32 - k, 1) if k > 16 else (k, 1)
            k, sign = (16 - k, -1) if k > 8 else (k, sign)
            rows[u, x] = _COSINES[4] if u == 0 else sign * _COSINES[k] if k < 8 else 0
    return rows


def jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Return what JPEG of that quality, without subsampling, leaves of images (n, H, W, C) uint8; C is 1 or 3."""
    with defer_signals():
        from poisonkit.core import kernels

        kernels.quantise(np.zeros((8, 8), np.int32), basis(), steps(quality, _LUMA))
    tables = [steps(quality, _LUMA), steps(quality, _CHROMA), steps(quality, _CHROMA)]
    planes = _planes(images)
    for plane, table in zip(planes, tables, strict=False):
        kernels.quantise(plane.reshape(-1, plane.shape[-1]), basis(), table)
    return _pixels(planes, images.shape[1:3])


def _planes(images: np.ndarray) -> np.ndarray:
    """Luma and chroma about 0, (C, n, H', W') int32 with the edge repeated up to multiples of 8. Fixed point, 2^16."""
    down, across = -images.shape[1] % 8, -images.shape[2] % 8
    padded = np.pad(images, ((0, 0), (0, down), (0, across), (0, 0)), "edge").astype(np.int32)
    if images.shape[3] == 1:
        return np.ascontiguousarray(padded.transpose(3, 0, 1, 2)) - np.int32(128)
    red, green, blue = padded[..., 0], padded[..., 1], padded[..., 2]
    half = 1 << 15
    luma = (19595 * red + 38470 * green + 7471 * blue + half) >> 16
    blueness = (-11059 * red - 21709 * green + 32768 * blue + half) >> 16
    redness = (32768 * red - 27439 * green - 5329 * blue + half) >> 16
    return np.stack([luma - 128, blueness, redness]).astype(np.int32)


def _pixels(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the inverse of `_planes`, cut to (height, width) and clipped to bytes."""
    planes = planes[:, :, : size[0], : size[1]]
    luma, half = planes[0] + np.int32(128), 1 << 15
    if len(planes) == 1:
        return luma.clip(0, 255).astype(np.uint8)[..., None]
    blueness, redness = planes[1], planes[2]
    red = luma + ((91881 * redness + half) >> 16)
    green = luma + ((-22554 * blueness - 46802 * redness + half) >> 16)
    blue = luma + ((116130 * blueness + half) >> 16)
    return np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8)


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
