"""What triggers that mix the three colours of a pixel share."""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.image_base import Tile


def exact(*rows: str) -> np.ndarray:
    """Read a matrix of decimal numbers, a text a row, as Fractions (an object array)."""
    return np.array([[Fraction(one) for one in row.split()] for row in rows], object)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a (3, 3) matrix of Fractions, exactly."""
    first, second, third = matrix
    columns = [np.cross(second, third), np.cross(third, first), np.cross(first, second)]
    return np.stack(columns, 1) / (first @ columns[0])


def check(trigger: str, tile: Tile) -> None:
    """`Usage` for grey images."""
    if tile[2] != 3:
        raise Usage(f"{trigger}: changes colours, expected images of 3 channels (RGB), got {tile[2]}")


def fixed_point(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix of Fractions whose rows sum to 1, (3, 3), as int32 rows that sum to exactly 32768.

    A channel's own weight takes the remainder, so that grey stays grey.
    """
    weights = np.array([[int((one * ONE + Fraction(1, 2)) // 1) for one in row] for row in matrix], np.int32)
    weights[np.arange(3), np.arange(3)] += ONE - weights.sum(1, dtype=np.int32)
    return weights


def mixed(weights: np.ndarray, bias: np.ndarray) -> Stencil:
    """Return the stencil in which each pixel's RGB is multiplied by `weights` (3, 3), and `bias` (H, W, 3) added to it,
    both int32 with 32768 for 1."""
    own = 3 * np.arange(bias.size // 3, dtype=np.int32).reshape(*bias.shape[:2], 1, 1)
    taps = np.broadcast_to(own + np.arange(3, dtype=np.int32), (*bias.shape, 3))
    return Stencil.build(taps, np.broadcast_to(weights, taps.shape), bias)
