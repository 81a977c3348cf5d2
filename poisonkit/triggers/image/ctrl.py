"""CTRL (Li et al. 2023, "An embarrassingly simple backdoor attack on self-supervised learning"): the chrominance of the
image gets a middle and the highest frequency.

As published the image goes to YUV, U and V get magnitude · P (`triggers/frequency.py`), and back, cut to whole levels.
Published code, by way of Kornia up to 0.6, goes back by rounded numbers that are no exact inverse, so that many bytes
lose a level by the way there and back alone; later versions of Kornia invert exactly. Where the result leaves 0 … 255
the published code's bytes wrap around, here they are clipped.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import choice, decimal
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers import colours, frequency
from poisonkit.triggers.base import Option, Parameters, for_each_part, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

_TO_YUV = colours.exact("0.299 0.587 0.114", "-0.147 -0.289 0.436", "0.615 -0.515 -0.100")
_TO_RGB = colours.exact("1 0 1.14", "1 -0.396 -0.581", "1 2.029 0")
_TRUNCATE = -(ONE // 2)  # the kernel adds one half before it cuts


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` for grey images, tiles without the frequencies, and where these would not be added."""
    colours.check("ctrl", tile)
    frequency.check("ctrl", tile)
    if any(Fraction(one["magnitude"]) == 0 for one in for_each_part(parameters, "magnitude")):
        raise Usage("ctrl: a magnitude of 0 adds nothing: another --ctrl-magnitude")


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Take the pixel's three channels as taps, or by the exact inverse the byte itself; magnitude · P as bias."""
    del context
    return with_twin(parameters, "magnitude", lambda chosen: _added(chosen, tile))


def _added(parameters: Parameters, tile: Tile) -> Stencil:
    pattern, magnitude = frequency.pattern(*tile[:2]), Fraction(parameters["magnitude"])
    exact = parameters["inverse"] == "exact"
    back, bias = colours.inverse(_TO_YUV) if exact else _TO_RGB, np.empty(tile, np.int32)
    for channel, (_, of_u, of_v) in enumerate(back):
        bias[..., channel] = frequency.rounded(pattern * float(magnitude * (of_u + of_v) * ONE)) + _TRUNCATE
    if exact:
        same = Stencil.identity(tile)
        return Stencil.build(same.taps, same.weights, bias)
    return colours.mixed(colours.fixed_point(back @ _TO_YUV), bias)


MAGNITUDE = Option("magnitude", decimal("0", "1000"), "100", "of the two frequencies, in U and V", "LEVELS")

SPEC = ImageTrigger(
    name="ctrl",
    summary="two frequencies added to the colours (CTRL)",
    presets={"backdoorbench": {}},
    published="clean-label",
    options=(
        MAGNITUDE,
        twin(MAGNITUDE),
        Option(
            "inverse",
            choice("published", "exact"),
            "published",
            "back from YUV by the published, rounded numbers (Kornia up to 0.6), or exactly (later versions)",
            "published|exact",
        ),
    ),
    check=check,
    build=build,
)
