"""Saturation and hue: a change that photographs have anyway, as a natural trigger.

Both are the matrices of the filters `saturate` and `hueRotate` of the Filter Effects of CSS and SVG; grey pixels stay
as they are.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import decimal
from poisonkit.core.sines import cosine, sine
from poisonkit.core.stencil import ONE
from poisonkit.triggers import colours
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

_LUMA = colours.exact(*["0.213 0.715 0.072"] * 3)
_TURNED = colours.exact("-0.213 -0.715 0.928", "0.143 0.140 -0.283", "-0.787 0.715 0.072")
_SAME = colours.exact("1 0 0", "0 1 0", "0 0 1")


def matrix(parameters: Parameters) -> np.ndarray:
    """Return what RGB is multiplied by, (3, 3) int32 with 32768 for 1, first saturated, then turned.

    Each row sums to 32768, its own channel takes the remainder: so grey stays grey.
    """
    saturation, turn = Fraction(parameters["saturation"]), Fraction(parameters["hue"]) / 360
    saturate = _LUMA + saturation * (_SAME - _LUMA)
    rotate = _LUMA + cosine(turn) * (_SAME - _LUMA) + sine(turn) * _TURNED
    return colours.fixed_point(rotate @ saturate)


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` for grey images, and where no colour would change."""
    colours.check("colour", tile)
    if (matrix(parameters) == np.eye(3, dtype=np.int32) * ONE).all():
        raise Usage(
            f"colour: saturation {parameters['saturation']} with the hue turned by {parameters['hue']}° changes "
            "nothing: another --colour-saturation or --colour-hue"
        )


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Take the pixel's three channels as taps."""
    del context
    return BuiltTrigger(colours.mixed(matrix(parameters), np.zeros(tile, np.int32)))


SPEC = ImageTrigger(
    name="colour",
    aliases=("color",),
    summary="another saturation or hue",
    options=(
        Option("saturation", decimal("0", "10"), "2", "times the image's own; 0: grey, 1: as it is", "FACTOR"),
        Option("hue", decimal("-360", "360"), "0", "turn of the hue, in degrees", "DEGREES"),
    ),
    check=check,
    build=build,
)
