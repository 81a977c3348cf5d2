"""Any picture with its transparency, stuck onto one place of the image, like the stickers on BadNets' stop signs
(Gu et al. 2017, section 5) and the accessories of Chen et al. 2017 (section 3)."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from poisonkit.core.parsing import decimal
from poisonkit.core.stencil import ONE
from poisonkit.triggers import position
from poisonkit.triggers.base import Option, Parameters, for_test, twin
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


def overlaps(old: int, new: int) -> np.ndarray:
    """How much of each of `new` equal parts of a line each of `old` parts covers, (new, old) int64; a row sums to
    `old`."""
    edges = np.arange(old + 1) * new
    starts, ends = np.arange(new)[:, None] * old, np.arange(1, new + 1)[:, None] * old
    return (np.minimum(edges[1:], ends) - np.maximum(edges[:-1], starts)).clip(0).astype(np.int64)


def resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a picture with opacity, (h, w, C + 1) uint8: the mean over the area of each new pixel.

    Colours count by their opacity, so that what cannot be seen does not bleed in; where nothing can be seen they are
    0. In whole numbers, rounded half up: the same on every machine, and a picture of the right size keeps its bytes.
    """
    rows, columns = overlaps(picture.shape[0], height), overlaps(picture.shape[1], width)
    opacity = picture[..., -1:].astype(np.int64)
    layers = np.concatenate([picture[..., :-1] * opacity, opacity], -1)
    summed = np.tensordot(rows, layers, (1, 0))  # (height, w, C + 1)
    summed = np.tensordot(summed, columns, (1, 1)).transpose(0, 2, 1)
    area, weight = picture.shape[0] * picture.shape[1], summed[..., -1:]
    colours = (2 * summed[..., :-1] + weight) // (2 * np.maximum(weight, 1))
    return np.concatenate([colours, (2 * weight + area) // (2 * area)], -1).astype(np.uint8)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """weight·image + (1 − weight)·picture with weight = 1 − opacity, rounded to 1/32768; outside the image itself.

    The picture is (h, w, C + 1) uint8, its last channel the opacity; (h, w, C) is opaque.
    """
    sides = _sides(parameters)
    picture = cut_out(tile[2]) if context.picture is None else context.picture
    if picture.shape[-1] == tile[2]:
        picture = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], -1)
    pattern = resize(picture, *sides)
    other = for_test(parameters, "opacity")
    parts = _part(pattern, parameters), None if other is None else _part(pattern, other)
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
    options=(
        Option("size", _size, "6", "height and width of the sticker in pixels", "N|HxW"),
        Option("position", position.parse, "lower-right", position.HELP, "PLACE"),
        OPACITY,
        twin(OPACITY),
    ),
    check=check,
    build=build,
)
