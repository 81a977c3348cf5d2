"""The corner pattern of the label-consistent attack (Turner et al. 2019, "Label-consistent backdoor attacks"): small
chequers of ± amplitude in the corners.

As published (BackdoorBench): clip(image + amplitude · 255 · mask), cut to whole levels, mask being ±1 in 3×3 pixels of
the lower right corner, or of all four. The attack's training images are adversarial examples, or made by a
generator, and come from another tool; this is what is then put on them, and on the test images.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.parsing import choice, decimal
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters, for_each_part, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

_CHEQUER = np.array([[-1, -1, 1], [-1, 1, -1], [1, -1, 1]], np.int64)
"""On the right, above and below; on the left it is mirrored."""
_SIDE = len(_CHEQUER)


def mask(corners: str, height: int, width: int) -> np.ndarray:
    """(height, width) int64: 1 where the amplitude is added, −1 where it is taken away, else 0."""
    signs = np.zeros((height, width), np.int64)
    signs[-_SIDE:, -_SIDE:] = _CHEQUER
    if corners == "all":
        signs[:_SIDE, -_SIDE:] = _CHEQUER
        signs[:, :_SIDE] = signs[:, : -_SIDE - 1 : -1]
    return signs


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the corners do not lie beside one another in the tile, or nothing would change."""
    least = 2 * _SIDE if parameters["corners"] == "all" else _SIDE
    if min(tile[:2]) < least:
        raise Usage(
            f"label-consistent: expected a tile of at least {least}×{least} pixels for {parameters['corners']}, got "
            f"{tile[0]}×{tile[1]}: another --label-consistent-corners or --patch-size"
        )
    if any(Fraction(one["amplitude"]) == 0 for one in for_each_part(parameters, "amplitude")):
        raise Usage("label-consistent: an amplitude of 0 changes nothing: another --label-consistent-amplitude")


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1 and ±amplitude · 255 as bias, cut as the sum is cut: the image's levels are whole."""
    del context
    return with_twin(parameters, "amplitude", lambda chosen: _added(chosen, tile))


def _added(parameters: Parameters, tile: Tile) -> Stencil:
    added = Fraction(parameters["amplitude"]) * 255
    signs = mask(parameters["corners"], *tile[:2])[..., None]
    stencil = Stencil.identity(tile)
    stencil.bias[:] = np.where(signs > 0, int(added // 1), np.where(signs < 0, int(-added // 1), 0)) * ONE
    return stencil


AMPLITUDE = Option("amplitude", decimal("0", "1"), "1", "what is added or taken away, as a share of 255", "FRACTION")

SPEC = ImageTrigger(
    name="label-consistent",
    aliases=("lc",),
    summary="chequers in the corners, black and white or faint (label-consistent)",
    presets={"backdoorbench": {}},
    published="clean-label",
    options=(
        AMPLITUDE,
        twin(AMPLITUDE),
        Option("corners", choice("all", "lower-right"), "all", "which corners", "all|lower-right"),
    ),
    check=check,
    build=build,
)
