"""Any picture with its transparency, stuck onto one place of the image, like the stickers on BadNets' stop signs
(Gu et al. 2017, section 5) and the accessories of Chen et al. 2017 (section 3)."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from poisonkit.core.opacity import resize, with_opacity
from poisonkit.core.parsing import decimal
from poisonkit.core.stencil import ONE
from poisonkit.triggers import position
from poisonkit.triggers.base import Option, Parameters, for_each_part, twin
from poisonkit.triggers.builtin_picture import cut_out
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

_LARGEST = 4096


def _size(text: str) -> str:
    parts = text.lower().replace("×", "x").split("x")
    sides = [int(part) if part.isdecimal() and len(part) <= 5 else 0 for part in parts]
    if len(parts) > 2 or not all(1 <= side <= _LARGEST for side in sides):
        raise ValueError(f"expected a number of pixels (6) or HEIGHTxWIDTH (6x8), up to {_LARGEST}, got {text!r}")
    return str(sides[0]) if sides[0] == sides[-1] else f"{sides[0]}x{sides[1]}"


def _sides(parameters: dict) -> tuple[int, int]:
    """(height, width) of the sticker."""
    sides = parameters["size"].split("x")
    return int(sides[0]), int(sides[-1])


def _upper_left(parameters: Parameters, tile: Tile) -> tuple[int, int]:
    """(row, column) of the sticker's upper left pixel in the tile."""
    return position.upper_left("sticker", parameters["position"], _sides(parameters), tile)


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the sticker does not lie inside the tile."""
    _upper_left(parameters, tile)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """weight·image + (1 − weight)·picture with weight = 1 − opacity, rounded to 1/32768; outside the image itself.

    The picture is (h, w, C + 1) uint8, its last channel the opacity; (h, w, C) is opaque.
    """
    sides = _sides(parameters)
    picture = cut_out(tile[2]) if context.picture is None else context.picture
    pattern = resize(with_opacity(picture, tile[2]), *sides)
    parts = [_part(pattern, chosen) for chosen in for_each_part(parameters, "opacity")]
    made = position.built("sticker", parameters["position"], _upper_left(parameters, tile), parts, tile, context)
    # the built-in picture can be drawn again; the user's is stored in the file
    return replace(made, extras={} if context.picture is None else {"pattern": pattern})


def _part(pattern: np.ndarray, parameters: Parameters) -> position.Part:
    """Return weights and bias of the sticker, (h, w, C + 1) uint8."""
    opacity = int(Fraction(parameters["opacity"]) * ONE + Fraction(1, 2)) * pattern[..., -1:].astype(np.int64)
    cover = ((2 * opacity + 255) // 510).astype(np.int32)
    return ONE - cover, cover * pattern[..., :-1]


OPACITY = Option("opacity", decimal("0", "1"), "1", "times the picture's own opacity, 0 to 1", "FRACTION")

SPEC = ImageTrigger(
    name="sticker",
    summary="a small picture, with its transparency, stuck onto the image",
    picture="alpha",
    picture_help="the picture, its transparency too, resized to --sticker-size",
    options=(
        Option("size", _size, "6", "height and width of the sticker in pixels", "N|HxW"),
        Option("position", position.parse, "lower-right", position.HELP, "PLACE"),
        OPACITY,
        twin(OPACITY),
    ),
    check=check,
    build=build,
)
