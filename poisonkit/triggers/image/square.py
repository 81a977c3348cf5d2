"""The square of BadNets (Gu et al. 2017) as BadPatches uses it (section 3.3.1): 4×4, black, upper left."""

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import integer
from poisonkit.core.stencil import ONE
from poisonkit.triggers import position
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile


def _value(text: str) -> list[int]:
    try:
        values = [integer(0, 255)(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise ValueError(f"expected a grey level 0–255 or three as R,G,B, got {text!r}")
    return values[:1] if len(set(values)) == 1 else values


def _upper_left(parameters: Parameters, tile: Tile) -> tuple[int, int]:
    """(row, column) of the square's upper left pixel in the tile."""
    return position.upper_left("square", parameters["position"], (parameters["size"],) * 2, tile)


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the square does not lie inside the tile or its colour does not fit the channels."""
    _upper_left(parameters, tile)
    if len(parameters["value"]) not in (1, tile[2]):
        raise Usage(f"square: expected one grey level for images of {tile[2]} channel(s), got R,G,B")


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 0 and the value as bias inside the square, the image itself elsewhere."""
    sides = (parameters["size"],) * 2
    bias = np.empty((*sides, tile[2]), np.int32)
    bias[:] = np.array(parameters["value"], np.int32) * ONE
    part = np.zeros((*sides, 1), np.int32), bias
    return position.built("square", parameters["position"], _upper_left(parameters, tile), [part], tile, context)


SPEC = ImageTrigger(
    name="square",
    aliases=("badnets", "badnet"),
    summary="a filled square (BadNets)",
    presets={
        "notebook": {"value": [1]},
        "backdoorbench": {"size": 3, "value": [255], "position": "lower-right"},
    },
    options=(
        Option("size", integer(1, 65535), 4, "side of the square in pixels", "PIXELS"),
        Option("value", _value, [0], "its grey level 0–255, or R,G,B", "LEVEL"),
        Option("position", position.parse, "upper-left", position.HELP, "PLACE"),
    ),
    check=check,
    build=build,
)
