"""A fixed random perturbation with a given L∞ norm, the same on every image: Chen et al. 2017 blend a random pattern,
here it is added within a bound, as universal adversarial perturbations are (Moosavi-Dezfooli et al. 2017)."""

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.parsing import choice, integer
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin


def perturbation(parameters: Parameters, raw: np.ndarray) -> np.ndarray:
    """Map raw words (…) uint64 to levels (…) int32 in [−linf, linf]: the upper 32 bits times the number of levels, over
    2^32."""
    linf = parameters["linf"]
    upper = raw >> np.uint64(32)
    if parameters["distribution"] == "signs":
        return np.where(upper >> np.uint64(31), linf, -linf).astype(np.int32)
    return (upper * np.uint64(2 * linf + 1) >> np.uint64(32)).astype(np.int32) - np.int32(linf)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1 and the noise as bias, drawn for each byte of the tile."""
    stream = context.stream_name("noise")
    raw = random_streams.raw_words(context.seed, stream, int(np.prod(tile))).reshape(tile)
    return with_twin(parameters, "linf", lambda chosen: _added(chosen, raw), streams=(stream,))


def _added(parameters: Parameters, raw: np.ndarray) -> Stencil:
    """Return the stencil that adds the noise of raw words (h, w, C)."""
    stencil = Stencil.identity(raw.shape)
    stencil.bias[:] = perturbation(parameters, raw) * ONE
    return stencil


LINF = Option("linf", integer(1, 255), 8, "largest change of a byte, in grey levels", "LEVELS")

SPEC = ImageTrigger(
    name="noise",
    summary="fixed random noise added to the image, bounded in L∞",
    options=(
        LINF,
        twin(LINF),
        Option(
            "distribution",
            choice("uniform", "signs"),
            "uniform",
            "whole numbers from −linf to linf, all equally likely; or only those two",
            "uniform|signs",
        ),
    ),
    build=build,
)
