"""Where on the image something is put: a corner by name, or row and column."""

import numpy as np

from poisonkit.core import naming
from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.core.parsing import integer
from poisonkit.core.random_streams import between
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, RowStream, Tile

Part = tuple[np.ndarray, np.ndarray]
"""Weights (h, w, 1) and bias (h, w, C) int32, fixed point, of something smaller than the tile."""
RANDOM = "random"
CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right", "center")
ALIASES = {"centre": "center", "middle": "center"} | {
    f"{other}-{side}": f"{one}-{side}"
    for one, other in (("upper", "top"), ("lower", "bottom"))
    for side in ("left", "right")
}
"""Other words for a corner → its name."""
HELP = f"{', '.join(CORNERS)}, ROW,COLUMN of its upper left, or {RANDOM}: another one on each row"
HELP_FIXED = f"{', '.join(CORNERS)}, or ROW,COLUMN of its upper left"


def parse(text: str) -> str:
    """Parse a place into its one spelling: one of `CORNERS`, `RANDOM`, or ``ROW,COLUMN`` of the upper left pixel."""
    if (corner := naming.understood(text, (*CORNERS, RANDOM), ALIASES)) is not None:
        return corner
    try:
        row, column = (integer(0, 65535)(part) for part in text.split(","))
    except ValueError:
        near = naming.hint(text, (*CORNERS, RANDOM), ALIASES)
        raise ValueError(f"expected one of {', '.join(CORNERS)}, {RANDOM}, or ROW,COLUMN, got {text!r}{near}") from None
    return f"{row},{column}"


def upper_left(trigger: str, place: str, sides: tuple[int, int], tile: tuple[int, int, int]) -> tuple[int, int]:
    """(row, column) of the upper left pixel of something of (height, width) at that place of a tile; of `RANDOM`, the
    tile's own.

    `Usage` where it does not lie inside the tile.
    """
    if "," in place:
        row, column = map(int, place.split(","))
    elif place == "center":
        row, column = (tile[0] - sides[0]) // 2, (tile[1] - sides[1]) // 2
    else:
        row = 0 if place.startswith("upper") or place == RANDOM else tile[0] - sides[0]
        column = 0 if place.endswith("left") or place == RANDOM else tile[1] - sides[1]
    if min(row, column) < 0 or row + sides[0] > tile[0] or column + sides[1] > tile[1]:
        raise Usage(
            f"{trigger}: {sides[0]}×{sides[1]} at {place} does not fit a tile of {tile[0]}×{tile[1]}: "
            f"make it smaller (--{trigger}-size) or the patches larger (--patch-size)"
        )
    return row, column


def built(
    name: str, place: str, upper: tuple[int, int], parts: list[Part], tile: Tile, context: ImageContext
) -> BuiltTrigger:
    """Put something small at a place of a tile, `upper` where that is not `RANDOM`; a second one of the `parts` is for
    test rows, where these get something else."""
    if place != RANDOM or parts[0][1].shape[:2] == tile[:2]:
        train, *test = (_at(part, upper, tile) for part in parts)
        return BuiltTrigger(train, test=test[0] if test else None)
    streams = [context.row_stream(f"{name}-place", of_test) for of_test in (False, True)]
    works = [_anywhere(part, tile, stream) for part, stream in zip((parts[0], parts[-1]), streams, strict=True)]
    return BuiltTrigger(works[0], streams=tuple(stream.name for stream in streams), test=works[1])


def _at(part: Part, upper: tuple[int, int], tile: Tile) -> Stencil:
    """Return the stencil of a tile that has the part at a place."""
    weights, bias = part
    row, column = upper
    inside = (slice(row, row + bias.shape[0]), slice(column, column + bias.shape[1]))
    stencil = Stencil.identity(tile)
    stencil.weights[inside] = weights[..., None]
    stencil.bias[inside] = bias
    return stencil


def _anywhere(part: Part, tile: Tile, stream: RowStream) -> Function:
    """Return the function that has the part at a place drawn for each row: two raw words, for its row and its
    column."""
    weights, bias = part
    high, wide = bias.shape[:2]

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        words = stream.words(rows, 2)
        top = np.stack([between(words[:, i], 0, tile[i] - bias.shape[i]) for i in (0, 1)], 1)
        down = (top[:, :1] + np.arange(high))[:, :, None]
        across = (top[:, 1:] + np.arange(wide))[:, None, :]
        image, out = np.arange(len(images))[:, None, None], images.copy()
        total = images[image, down, across].astype(np.int32) * weights + bias + ONE // 2
        out[image, down, across] = (total >> 15).clip(0, 255)
        return out

    return Function(run, tile, name=stream.name)
