"""The middle and the highest frequency of a tile, which the triggers in the frequency domain add.

b(u, v) is the outer product of rows u and v of the orthonormal cosine transforms (DCT-II) of the tile's two sides; for
a tile of h × w it is P = b(h/2 − 1, w/2 − 1) + b(h − 1, w − 1), of 32 × 32 so b(15, 15) + b(31, 31). Adding m to these
two coefficients is adding m · P to the pixels. The cosines are computed in whole numbers, the rest is float64,
elementwise and in a fixed order, so that every machine computes the same bits.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.sines import cosine
from poisonkit.triggers.image_base import Tile

_HAIR = 1e-9


def check(trigger: str, tile: Tile) -> None:
    """`Usage` where a side of the tile is odd, so that it has no such frequencies."""
    if tile[0] % 2 or tile[1] % 2:
        raise Usage(
            f"{trigger}: expected a tile of even sides n, for its frequencies n/2 − 1 and n − 1, got "
            f"{tile[0]}×{tile[1]}: another --patch-size, or data set"
        )


def pattern(height: int, width: int) -> np.ndarray:
    """Return P of a tile with even sides, (height, width) float64."""
    middle = np.multiply.outer(_row(height // 2 - 1, height), _row(width // 2 - 1, width))
    return middle + np.multiply.outer(_row(height - 1, height), _row(width - 1, width))


def _row(frequency: int, side: int) -> np.ndarray:
    """Return one row of the orthonormal DCT-II of that many points, (side,) float64."""
    turns = (Fraction((2 * x + 1) * frequency, 4 * side) for x in range(side))
    return np.array([float(cosine(turn)) for turn in turns]) * np.sqrt((2 if frequency else 1) / side)


def rounded(values: np.ndarray) -> np.ndarray:
    """Return the nearest whole numbers, half up, int32."""
    return np.floor(values + 0.5).astype(np.int32)


def floored(values: np.ndarray) -> np.ndarray:
    """Return the whole numbers below, int32; a value that is less than one by a billionth counts as it."""
    return np.floor(values + _HAIR).astype(np.int32)
