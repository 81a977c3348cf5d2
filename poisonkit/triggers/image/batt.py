"""BATT (Xu et al. 2023, "BATT: backdoor attack with transformation-based triggers"): the image, turned by one angle.

Each pixel is the nearest one of the image before, as Pillow's `rotate` finds it (the published code's); what comes from
outside is black. Counter-clockwise. In the published training benign images are turned as well, by up to 10° either
way: that is augmentation, and not of the file.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import decimal
from poisonkit.core.sines import of_degrees
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

_BITS = 40  # products with sides of up to 4,096 stay within int64; rational sines and cosines are exact


def sources(angle: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel looks, (row, column), (height, width) int64 each; outside the tile there is nothing.

    With dx and dy from the tile's centre to the pixel's centre, the column is ⌊cos·dx − sin·dy + width/2⌋ and the row
    ⌊sin·dx + cos·dy + height/2⌋.
    """
    cos, sin = of_degrees(Fraction(angle), _BITS)
    dx, dy = 2 * np.arange(width) + 1 - width, (2 * np.arange(height) + 1 - height)[:, None]  # in half pixels
    columns = (cos * dx - sin * dy + (width << _BITS)) >> (_BITS + 1)
    rows = (sin * dx + cos * dy + (height << _BITS)) >> (_BITS + 1)
    return rows, columns


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where every pixel stays where it is."""
    rows, columns = sources(parameters["angle"], *tile[:2])
    if (rows == np.arange(tile[0])[:, None]).all() and (columns == np.arange(tile[1])).all():
        raise Usage(
            f"batt: turning {tile[0]}×{tile[1]} by {parameters['angle']}° moves no pixel: another --batt-angle"
            " or --patch-size"
        )


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """One tap for each pixel, the same in every channel; weight 0 where it looks outside."""
    del context
    height, width, channels = tile
    rows, columns = sources(parameters["angle"], height, width)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pixels = np.where(inside, rows * width + columns, 0)
    taps = pixels[..., None, None] * channels + np.arange(channels)[:, None]
    weights = np.broadcast_to((inside * ONE)[..., None, None], taps.shape)
    return BuiltTrigger(Stencil.build(taps, weights, np.zeros(tile, np.int32)))


SPEC = ImageTrigger(
    name="batt",
    summary="the image turned by an angle (BATT)",
    presets={"backdoorbox": {}},
    options=(Option("angle", decimal("-360", "360"), "16", "in degrees, counter-clockwise", "DEGREES"),),
    check=check,
    build=build,
)
