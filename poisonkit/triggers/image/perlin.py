"""Perlin's gradient noise (Perlin 2002, "Improving noise"), fixed and added to the image within an L∞ bound, as Co et
al. 2019 ("Procedural noise adversarial examples for black-box attacks on deep convolutional networks") use it.

All float64, elementwise and in a fixed order, so that every machine computes the same bits.
"""

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.errors import Usage
from poisonkit.core.parsing import integer
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

_DIAGONAL = 0.7071067811865476
_DOWN = np.array([0, _DIAGONAL, 1, _DIAGONAL, 0, -_DIAGONAL, -1, -_DIAGONAL])
_ACROSS = np.array([1, _DIAGONAL, 0, -_DIAGONAL, -1, -_DIAGONAL, 0, _DIAGONAL])
"""The eight directions of a gradient, the length of each 1."""


def words(cells: int, octaves: int) -> int:
    """How many random words the noise is drawn from: one for each point of each octave's grid."""
    return sum((cells * 2**octave + 1) ** 2 for octave in range(octaves))


def _along(cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """For the middle of each pixel of a line, the cell that it lies in, and how far in, 0 to 1; (pixels,) each."""
    where = (np.arange(pixels) + 0.5) * cells / pixels
    cell = np.floor(where)
    return cell.astype(np.int64), where - cell


def _fade(t: np.ndarray) -> np.ndarray:
    """6t⁵ − 15t⁴ + 10t³."""
    return ((6 * t - 15) * t + 10) * t * t * t


def octave(raw: np.ndarray, height: int, width: int) -> np.ndarray:
    """Noise of one grid, (height, width) float64, from its raw words, (cells + 1, cells + 1) uint64: the three upper
    bits of each are a direction."""
    direction = (raw >> np.uint64(61)).astype(np.int64)
    row, y = _along(len(raw) - 1, height)
    column, x = _along(len(raw) - 1, width)
    row, y = row[:, None], y[:, None]
    corners = []
    for down in (0, 1):
        for across in (0, 1):
            gradient = direction[row + down, column + across]
            corners.append(_DOWN[gradient] * (y - down) + _ACROSS[gradient] * (x - across))
    a, b, c, d = corners
    upper, lower = a + _fade(x) * (b - a), c + _fade(x) * (d - c)
    return upper + _fade(y) * (lower - upper)


def noise(raw: np.ndarray, parameters: Parameters, height: int, width: int) -> np.ndarray:
    """Sum the octaves, each of twice the cells and half the strength of the one before it, (height, width) float64.

    `raw` are `words` raw words, those of the first octave first.
    """
    total, first = np.zeros((height, width)), 0
    for number in range(parameters["octaves"]):
        points = parameters["cells"] * 2**number + 1
        grid = raw[first : first + points**2].reshape(points, points)
        total = total + octave(grid, height, width) * 0.5**number
        first += points**2
    return total


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1 and the noise as bias, its largest value being `linf`; the same in every channel.

    `Usage` where it is 0 everywhere, because every pixel's middle is a point of the grid.
    """
    stream = context.stream_name("perlin")
    raw = random_streams.raw_words(context.seed, stream, words(parameters["cells"], parameters["octaves"]))
    values = noise(raw, parameters, *tile[:2])
    peak = np.abs(values).max()
    if not peak:
        raise Usage(
            f"perlin: {parameters['cells']} cells over {tile[0]}×{tile[1]} pixels add 0 everywhere: another "
            "--perlin-cells or --patch-size"
        )
    return with_twin(parameters, "linf", lambda chosen: _added(values / peak * chosen["linf"], tile), streams=(stream,))


def _added(values: np.ndarray, tile: Tile) -> Stencil:
    stencil = Stencil.identity(tile)
    stencil.bias[:] = np.floor(values + 0.5).astype(np.int32)[..., None] * ONE
    return stencil


LINF = Option("linf", integer(1, 255), 16, "largest change of a byte, in grey levels", "LEVELS")

SPEC = ImageTrigger(
    name="perlin",
    aliases=("pnoise",),
    summary="fixed Perlin noise added to the image, bounded in L∞",
    options=(
        LINF,
        twin(LINF),
        Option("cells", integer(1, 64), 4, "cells of the first grid along each side", "CELLS"),
        Option("octaves", integer(1, 6), 3, "grids, each twice as fine and half as strong as the last", "GRIDS"),
    ),
    build=build,
)
