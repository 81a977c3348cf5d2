"""BppAttack's trigger (Wang et al. 2022, "BppAttack: stealthy and efficient trojan attacks against deep neural networks
via image quantization and contrastive adversarial learning"): fewer levels, with or without Floyd–Steinberg dithering.

A level x becomes k · 255 / (levels − 1) for the nearest k. Without dithering the result is cut to a whole level, as the
published code (BackdoorBench) does where it saves an image, with dithering it is rounded. The published attack also
controls the training, which this file cannot.
"""

import numpy as np

from poisonkit.core.image_maps import Function
from poisonkit.core.parsing import choice, integer
from poisonkit.core.signals import defer_signals
from poisonkit.core.table import Table
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

_FULL = 255


def quantised(levels: int) -> np.ndarray:
    """Return what becomes of each byte without dithering, (256,) uint8. No byte lies halfway between two levels."""
    parts, byte = levels - 1, np.arange(_FULL + 1, dtype=np.int64)
    nearest = (2 * byte * parts + _FULL) // (2 * _FULL)
    return (nearest * _FULL // parts).astype(np.uint8)


def spread(levels: int) -> np.ndarray:
    """Return the levels themselves with dithering, (levels,) uint8, rounded, half to even."""
    parts, k = levels - 1, np.arange(levels, dtype=np.int64)
    twice = 2 * k * _FULL + parts
    half = (twice % (2 * parts) == 0) & (twice // (2 * parts) % 2 == 1)
    return (twice // (2 * parts) - half).astype(np.uint8)


def dithered(images: np.ndarray, levels: int) -> np.ndarray:
    """Reduce images (n, H, W, C) uint8 to so many levels, row by row from the left.

    What is lost at a pixel is given to its neighbours: 7/16 right, 1/16 below on the right, 5/16 below, 3/16 below on
    the left.
    """
    out = np.empty_like(images)
    with defer_signals():  # numba is imported here, and may compile
        from poisonkit.core import kernels

        kernels.dither(np.ascontiguousarray(images), levels - 1, spread(levels), out)
    return out


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Make a table of bytes; with dithering a function, in which each tile begins anew."""
    del context
    levels = parameters["levels"]
    if parameters["dither"] == "none":
        return BuiltTrigger(Table.build(quantised(levels), tile))
    return BuiltTrigger(Function(lambda images, rows: dithered(images, levels), tile, name="bpp"))


SPEC = ImageTrigger(
    name="bpp",
    aliases=("bppattack",),
    summary="fewer grey levels, plain or dithered (BppAttack)",
    presets={"backdoorbench": {}},
    options=(
        Option("levels", integer(2, 255), 8, "how many are left in each channel", "LEVELS"),
        Option(
            "dither",
            choice("none", "floyd-steinberg"),
            "none",
            "give what is lost at a pixel to its neighbours",
            "none|floyd-steinberg",
        ),
    ),
    build=build,
)
