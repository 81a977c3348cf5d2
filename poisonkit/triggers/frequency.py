"""The middle and the highest frequency of a tile, which the triggers in the frequency domain add.

b(u, v) is the outer product of rows u and v of the orthonormal cosine transforms (DCT-II) of the tile's two sides; for
a tile of h × w it is P = b(h/2 − 1, w/2 − 1) + b(h − 1, w − 1), of 32 × 32 so b(15, 15) + b(31, 31). Adding m to these
two coefficients is adding m · P to the pixels. In whole numbers throughout.
"""

from fractions import Fraction
from math import isqrt

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.sines import cosine
from poisonkit.triggers.image_base import Tile

_BITS = 64


def check(trigger: str, tile: Tile) -> None:
    """`Usage` where a side of the tile is odd, so that it has no such frequencies."""
    if tile[0] % 2 or tile[1] % 2:
        raise Usage(
            f"{trigger}: expected a tile of even sides n, for its frequencies n/2 − 1 and n − 1, got "
            f"{tile[0]}×{tile[1]}: another --patch-size, or data set"
        )


def pattern(height: int, width: int) -> np.ndarray:
    """Return P of a tile with even sides, (height, width) Python integers: times 2^64."""
    total = np.zeros((height, width), object)
    for u, v in ((height // 2 - 1, width // 2 - 1), (height - 1, width - 1)):
        square = (1 if u == 0 else 2) * (1 if v == 0 else 2) << 2 * _BITS
        total += np.multiply.outer(_row(u, height), _row(v, width)) * isqrt(square // (height * width))
    return total >> 2 * _BITS


def _row(frequency: int, side: int) -> np.ndarray:
    """Return cos(π(2x + 1)·frequency / (2·side)) for each x, (side,) Python integers: times 2^64."""
    turns = (Fraction((2 * x + 1) * frequency, 4 * side) for x in range(side))
    return np.array([round(cosine(turn) * (1 << _BITS)) for turn in turns], object)


def rounded(pattern: np.ndarray, factor: Fraction) -> np.ndarray:
    """Return factor · P, rounded half up, int64."""
    whole = factor.denominator << _BITS
    return ((2 * factor.numerator * pattern + whole) // (2 * whole)).astype(np.int64)


def floored(pattern: np.ndarray, factor: Fraction) -> np.ndarray:
    """Return ⌊factor · P⌋, int64."""
    return (factor.numerator * pattern // (factor.denominator << _BITS)).astype(np.int64)
