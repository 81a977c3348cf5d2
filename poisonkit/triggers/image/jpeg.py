"""JPEG's loss at one quality: a change that photographs have anyway, as a natural trigger.

Whole numbers and code of our own (`core/jpeg.py`): what libraries make of a quality is nearly the same picture, but no
library promises the same bytes across its versions.
"""

import numpy as np

from poisonkit.core.image_maps import Function
from poisonkit.core.jpeg import jpeg
from poisonkit.core.parsing import choice, integer
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Make a function, to which each tile is a picture of its own."""
    del context
    quality, halved = parameters["quality"], parameters["subsampling"] == "420"

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        del rows
        return jpeg(images, quality, halved)

    return BuiltTrigger(Function(run, tile, name="jpeg"))


SPEC = ImageTrigger(
    name="jpeg",
    summary="JPEG's loss at one quality",
    options=(
        Option("quality", integer(1, 100), 25, "as libjpeg counts it", "QUALITY"),
        Option(
            "subsampling",
            choice("420", "none"),
            "420",
            "of the colours: at half the height and width, as libraries do by default (420), or none",
            "420|none",
        ),
    ),
    build=build,
)
