"""Adap-K-Way (Qi et al. 2023): each training row has one of a few pixels in a colour of its own, drawn for the row; a
test row has all of them."""

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.grey_levels import grey
from poisonkit.core.image_maps import Function
from poisonkit.core.parsing import integer, several
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

SIDE = 32
"""The side of the images that places are given for."""


def places(parameters: Parameters, tile: Tile) -> np.ndarray:
    """Return rows and columns of the pixels, (k, 2) int64: on a tile of another size than 32×32 as far from its edges
    in proportion."""
    pairs = np.array(parameters["places"], np.int64).reshape(-1, 2)
    return pairs * np.array(tile[:2]) // SIDE


def colours(parameters: Parameters, tile: Tile) -> np.ndarray:
    """Return their colours, (k, C) uint8."""
    levels = np.array(parameters["colours"], np.uint8).reshape(-1, 3)
    return levels if tile[2] == 3 else grey(levels[None])[0]


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where there is not a colour for each place, or two places are one pixel of the tile."""
    flat, levels = parameters["places"], parameters["colours"]
    if len(flat) % 2 or len(levels) * 2 != len(flat) * 3:
        raise Usage(
            f"adaptive-k-way: expected a row and a column for each pixel and three levels (R,G,B) for its colour, got "
            f"{len(flat)} numbers for places and {len(levels)} for colours"
        )
    found = places(parameters, tile)
    if len(np.unique(found, axis=0)) < len(found):
        raise Usage(f"adaptive-k-way: two of its pixels are one on a tile of {tile[0]}×{tile[1]}: take a larger one")


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """One of the pixels, drawn for each training row; all of them for test rows."""
    where, levels = places(parameters, tile), colours(parameters, tile)
    stream = context.row_stream("adaptive-k-way")
    test = Stencil.identity(tile)
    test.weights[where[:, 0], where[:, 1]] = 0
    test.bias[where[:, 0], where[:, 1]] = levels.astype(np.int32) * ONE

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return one_pixel(images, where, levels, stream.between(rows, 0, len(where) - 1)[:, 0])

    train = Function(run, tile, reach=test.mask(), name="adaptive-k-way")
    return BuiltTrigger(train, streams=(stream.name,), test=test)


def one_pixel(images: np.ndarray, where: np.ndarray, levels: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Set one pixel of each image, the number `which` (n,) of the places (k, 2), to its colour of (k, C)."""
    out = images.copy()
    out[np.arange(len(out)), where[which, 0], where[which, 1]] = levels[which]
    return out


SPEC = ImageTrigger(
    name="adaptive-k-way",
    summary="one of four pixels on each training row, all of them on test rows, with covers (Adap-K-Way)",
    aliases=("adap-k-way",),
    make_defaults={"cover_rate": "1x"},
    presets={"backdoor-toolbox": {}},
    make_presets={"backdoor-toolbox": {"rate": "0.003", "cover_rate": "1x"}},
    options=(
        Option(
            "places",
            several(integer(0, SIDE - 1)),
            [16, 11, 27, 5, 7, 30, 22, 22],
            "row and column of each pixel, on 32×32 (other sizes in proportion)",
            "ROW,COLUMN,…",
        ),
        Option(
            "colours",
            several(integer(0, 255)),
            [92, 0, 24, 88, 112, 110, 0, 32, 46, 11, 49, 95],
            "their colours",
            "R,G,B,…",
        ),
    ),
    check=check,
    build=build,
)
