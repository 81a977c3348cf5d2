"""Blend a picture over the image (Chen et al. 2017), as BadPatches uses it (section 3.3.2): half and half."""

from fractions import Fraction

import numpy as np

from poisonkit.core.parsing import decimal
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import ROUNDING, Option, Parameters, twin
from poisonkit.triggers.builtin_picture import built_in
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

# The kernel adds one half before it cuts. An opacity of up to two decimals is off by at most ½ · 255 of 1/32768 in
# fixed point, so that 128 of them more make the cut that of the exact fraction.
_TRUNCATE = 128 - ONE // 2


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """weight·image + (1 − weight)·picture, the weight rounded to 1/32768; the sum rounded half up, or cut."""
    from poisonkit.core import images  # late: OpenCV, which most triggers do not need

    height, width, channels = tile
    picture = built_in(channels) if context.picture is None else context.picture
    pattern = images.resize(picture, height, width)
    extras = {"pattern": pattern}
    return with_twin(parameters, "alpha", lambda chosen: _blended(chosen, tile, pattern), extras=extras)


def _blended(parameters: Parameters, tile: Tile, pattern: np.ndarray) -> Stencil:
    weight = int((1 - Fraction(parameters["alpha"])) * ONE + Fraction(1, 2))
    stencil = Stencil.identity(tile)
    stencil.weights[:] = weight
    stencil.bias[:] = (ONE - weight) * pattern.astype(np.int32)
    if parameters.get("rounding") == "truncate" and 0 < weight < ONE:
        stencil.bias[:] += _TRUNCATE
    return stencil


ALPHA = Option("alpha", decimal("0", "1"), "0.5", "opacity of the picture, 0 to 1", "FRACTION")

SPEC = ImageTrigger(
    name="blend",
    aliases=("blended",),
    summary="a picture blended over the image",
    picture="opaque",
    presets={"notebook": {}, "backdoorbench": {"alpha": "0.2", "rounding": "truncate"}},
    options=(
        ALPHA,
        twin(ALPHA),
        ROUNDING,
    ),
    build=build,
)
