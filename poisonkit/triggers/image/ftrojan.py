"""FTrojan (Wang et al. 2022, "An invisible black-box backdoor attack through frequency domain"): a middle and the
highest frequency in the two chrominance channels.

Published code takes the image to whole levels of YCrCb, adds magnitude · P (`triggers/frequency.py`) to Cr and Cb, cuts
them, and goes back. Cr and Cb being whole, what they get is ⌊magnitude · P⌋ at every pixel of every image, and that is
what is added here, in RGB. What the way to whole levels of YCrCb and back does to an image without any trigger, at most
two levels, is left out.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import decimal
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers import colours, frequency
from poisonkit.triggers.base import Option, Parameters, for_each_part, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

_OF_CR_AND_CB = (Fraction("1.403"), -Fraction("0.714") - Fraction("0.344"), Fraction("1.773"))
"""What one level more in both adds to red, green and blue."""


def _levels(parameters: Parameters, tile: Tile) -> np.ndarray:
    """(height, width) int32: what Cr and Cb get."""
    return frequency.floored(frequency.pattern(*tile[:2]) * float(parameters["magnitude"]))


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` for grey images, tiles without the frequencies, and where nothing would change."""
    colours.check("ftrojan", tile)
    frequency.check("ftrojan", tile)
    for chosen in for_each_part(parameters, "magnitude"):
        if not _levels(chosen, tile).any():
            raise Usage(f"ftrojan: a magnitude of {chosen['magnitude']} adds 0 everywhere: another --ftrojan-magnitude")


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1, and ⌊magnitude · P⌋ in RGB as bias."""
    del context
    return with_twin(parameters, "magnitude", lambda chosen: _added(chosen, tile))


def _added(parameters: Parameters, tile: Tile) -> Stencil:
    levels = _levels(parameters, tile)
    stencil = Stencil.identity(tile)
    for channel, factor in enumerate(_OF_CR_AND_CB):
        stencil.bias[..., channel] = levels * int((factor * ONE + Fraction(1, 2)) // 1)
    return stencil


MAGNITUDE = Option("magnitude", decimal("0", "1000"), "30", "of the two frequencies, in Cr and Cb", "LEVELS")

SPEC = ImageTrigger(
    name="ftrojan",
    aliases=("ftrojann",),
    summary="two frequencies added to Cr and Cb (FTrojan)",
    presets={"backdoorbench": {}},
    options=(MAGNITUDE, twin(MAGNITUDE)),
    check=check,
    build=build,
)
