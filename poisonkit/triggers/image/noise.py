"""A fixed random perturbation with a given L∞ norm, the same on every image: Chen et al. 2017 blend a random pattern,
here it is added within a bound, as universal adversarial perturbations are (Moosavi-Dezfooli et al. 2017)."""

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.parsing import choice, integer
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Built, Context, Option

SUMMARY = "fixed random noise added to the image, bounded in L∞"
PICTURE = False
PRESETS: dict[str, dict] = {}

OPTIONS = (
    Option("linf", integer(1, 255), 8, "largest change of a byte, in grey levels", "LEVELS"),
    Option(
        "distribution",
        choice("uniform", "signs"),
        "uniform",
        "whole numbers from −linf to linf, all alike; or only those two",
        "uniform|signs",
    ),
)


def check(parameters: dict, tile: tuple[int, int, int]) -> None:
    """Any noise fits any tile."""
    del parameters, tile


def perturbation(parameters: dict, words: np.ndarray) -> np.ndarray:
    """Raw words (…) uint64 as levels (…) int32 in [−linf, linf]: the upper 32 bits times the number of levels, over
    2^32."""
    linf = parameters["linf"]
    upper = words >> np.uint64(32)
    if parameters["distribution"] == "signs":
        return np.where(upper >> np.uint64(31), linf, -linf).astype(np.int32)
    return (upper * np.uint64(2 * linf + 1) >> np.uint64(32)).astype(np.int32) - np.int32(linf)


def build(parameters: dict, tile: tuple[int, int, int], context: Context) -> Built:
    """Weight 1 and the noise as bias, drawn for each byte of the tile."""
    stream = context.purpose("noise")
    stencil = Stencil.identity(tile)
    words = random_streams.words(context.seed, stream, stencil.bias.size).reshape(tile)
    stencil.bias[:] = perturbation(parameters, words) * ONE
    return Built(stencil, streams=(stream,))
