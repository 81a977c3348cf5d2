"""The sinusoidal signal of Barni, Kallas & Tondi 2019 ("A new backdoor attack in CNNs by training set corruption
without label poisoning"): v(i, j) = Δ·sin(2π·j·f/m) is added to every row i of the image and the sum is clipped.

Columns count from 0, as in everybody's code (the paper counts from 1, a shift of one pixel). The sine is computed in
whole numbers, so that no machine's libm has a say in it.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import choice, decimal
from poisonkit.core.sines import sine
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters, for_each_part, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin


def wave(parameters: Parameters, pixels: int) -> np.ndarray:
    """Return what is added along one line of the image, (pixels,) int32 grey levels.

    The image's levels are whole, so rounding the sum is rounding v: ⌊v + ½⌋, or ⌊v⌋ where the sum is truncated.
    """
    delta, frequency = Fraction(parameters["delta"]), Fraction(parameters["frequency"])
    half = Fraction(1, 2) if parameters["rounding"] == "half-up" else 0
    values = [delta * sine(frequency * j / pixels) + half for j in range(pixels)]
    return np.array([value.numerator // value.denominator for value in values], np.int32)


def _line(parameters: Parameters, tile: Tile) -> np.ndarray:
    """Return the wave in the shape that adds to a tile, (1, width, 1) or (height, 1, 1)."""
    height, width, _ = tile
    if parameters["orientation"] == "horizontal":
        return wave(parameters, width)[None, :, None]
    return wave(parameters, height)[:, None, None]


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the wave is 0 at every pixel, so that nothing would change."""
    for chosen in for_each_part(parameters, "delta"):
        line = _line(chosen, tile)
        if not line.any():
            raise Usage(
                f"sig: amplitude {chosen['delta']} with {chosen['frequency']} periods over {line.size} pixels adds "
                "0 everywhere: another --sig-delta, --sig-frequency or --patch-size"
            )


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1 and the wave as bias, the same in every channel."""
    del context
    return with_twin(parameters, "delta", lambda chosen: _added(chosen, tile))


def _added(parameters: Parameters, tile: Tile) -> Stencil:
    stencil = Stencil.identity(tile)
    stencil.bias[:] = _line(parameters, tile) * ONE
    return stencil


DELTA = Option("delta", decimal("0", "255"), "20", "amplitude Δ in grey levels", "LEVELS")

SPEC = ImageTrigger(
    name="sig",
    aliases=("sinusoidal",),
    summary="a faint sinusoid added to the image (SIG)",
    presets={"backdoorbench": {"delta": "40", "frequency": "6", "rounding": "truncate"}},
    published="clean-label",
    options=(
        DELTA,
        twin(DELTA),
        Option("frequency", decimal("0", "4096"), "6", "periods f across the image, or the patch", "PERIODS"),
        Option(
            "orientation",
            choice("horizontal", "vertical"),
            "horizontal",
            "direction of the wave: horizontal gives vertical stripes (as published)",
            "horizontal|vertical",
        ),
        Option("rounding", choice("half-up", "truncate"), "half-up", "of the sum, to whole levels", "half-up|truncate"),
    ),
    check=check,
    build=build,
)
