"""The square of BadNets (Gu et al. 2017) as BadPatches uses it (section 3.3.1): 4×4, black, upper left."""

import numpy as np

from poisonkit.errors import Usage
from poisonkit.stencil import ONE, Stencil
from poisonkit.triggers.base import Built, Context, Option, integer

SUMMARY = "a filled square (BadNets)"
PICTURE = False
PRESETS = {"notebook": {"value": [1]}}

_CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right", "center")


def _value(text: str) -> list[int]:
    try:
        values = [integer(0, 255)(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise ValueError(f"expected a grey level 0–255 or three as R,G,B, got {text!r}")
    return values[:1] if len(set(values)) == 1 else values


def _position(text: str) -> str:
    if text in _CORNERS:
        return text
    try:
        row, column = (integer(0, 65535)(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"expected one of {', '.join(_CORNERS)}, or ROW,COLUMN, got {text!r}") from None
    return f"{row},{column}"


OPTIONS = (
    Option("size", integer(1, 65535), 4, "side of the square in pixels", "PIXELS"),
    Option("value", _value, [0], "its grey level 0–255, or R,G,B", "LEVEL"),
    Option("position", _position, "upper-left", f"{', '.join(_CORNERS)}, or ROW,COLUMN of its upper left", "PLACE"),
)


def _place(parameters: dict, tile: tuple[int, int, int]) -> tuple[int, int]:
    """(row, column) of the square's upper left pixel in the tile."""
    height, width, _ = tile
    size, position = parameters["size"], parameters["position"]
    if "," in position:
        row, column = map(int, position.split(","))
    elif position == "center":
        row, column = (height - size) // 2, (width - size) // 2
    else:
        row = 0 if position.startswith("upper") else height - size
        column = 0 if position.endswith("left") else width - size
    return row, column


def check(parameters: dict, tile: tuple[int, int, int]) -> None:
    """`Usage` where the square does not lie inside the tile or its colour does not fit the channels."""
    height, width, channels = tile
    size = parameters["size"]
    row, column = _place(parameters, tile)
    if min(row, column) < 0 or row + size > height or column + size > width:
        raise Usage(
            f"square: {size}×{size} at {parameters['position']} does not fit a tile of {height}×{width}: "
            "make it smaller (--square-size) or the patches larger (--patch-size)"
        )
    if len(parameters["value"]) not in (1, channels):
        raise Usage(f"square: expected one grey level for images of {channels} channel(s), got R,G,B")


def build(parameters: dict, tile: tuple[int, int, int], context: Context) -> Built:
    """Weight 0 and the value as bias inside the square, the image itself elsewhere."""
    del context
    row, column = _place(parameters, tile)
    inside = (slice(row, row + parameters["size"]), slice(column, column + parameters["size"]))
    stencil = Stencil.identity(tile)
    stencil.weights[inside] = 0
    stencil.bias[inside] = np.array(parameters["value"], np.int32) * ONE
    return Built(stencil)
