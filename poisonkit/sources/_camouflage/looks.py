"""The steps of a camouflage that change levels: colour, and sharpness. Each row is changed by words of its own.

They hide what a trigger leaves in an image as a whole: the paler contrast of a blend, the lost detail of a warp.
"""

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.signals import defer_signals

SHAPES = 8  # of an overlay's picture, its ground among them
PATCH = 8  # pixels a side, as triggers per patch have by default


def colour(images: np.ndarray, words: np.ndarray, percent: int) -> np.ndarray:
    """Contrast about the middle, for all channels and for each, and brightness for each, by up to `percent`."""
    size = images.shape[3]
    part = random_streams.between(words, -256 * percent // 100, 256 * percent // 100)  # in 1/256
    gain = 256 + (part[:, :1] + part[:, 1 : 1 + size] // 2)
    offset = part[:, 1 + size : 1 + 2 * size] >> 1
    levels = images.astype(np.int32) - 128
    changed = (levels * gain[:, None, None, :] + 128 >> 8) + 128 + offset[:, None, None, :]
    return changed.clip(0, 255).astype(np.uint8)


def blur(images: np.ndarray, words: np.ndarray, percent: int) -> np.ndarray:
    """Blurred, or sharpened, by its own amount of up to `percent` of a 3 × 3 binomial's."""
    amount = random_streams.between(words, -(4096 * percent // 100), 4096 * percent // 100)[:, :1, None, None]
    wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge").astype(np.int32)
    wide = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    wide = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]  # sixteenfold
    levels = images.astype(np.int32)
    changed = levels + ((wide - 16 * levels) * amount + (1 << 15) >> 16)
    return changed.clip(0, 255).astype(np.uint8)


def overlay(images: np.ndarray, words: np.ndarray, percent: int) -> np.ndarray:
    """Blend a random picture over each image, of a ground and some ellipses in random colours, by up to `percent`."""
    alphas = random_streams.between(words[:, 0], 0, 256 * percent // 100)
    return _painted(images, _pictures(words[:, 1:], images.shape[1:]), alphas)


def tiles(images: np.ndarray, words: np.ndarray, percent: int) -> np.ndarray:
    """Return a small picture of its own, drawn as an overlay's, blended over every patch by up to `percent`: what
    repeats in the patches of an image says little when in every image something does. Patches are of the usual side,
    or, in one image of four, of half or twice that."""
    count, height, width, channels = images.shape
    alphas = random_streams.between(words[:, 0], 0, 256 * percent // 100)[:, None, None, None]
    pictures, chosen, out = words[:, 2:], words[:, 1] >> np.uint64(61), np.empty_like(images)
    for side, those in ((PATCH // 2, chosen == 0), (PATCH, chosen > 1), (2 * PATCH, chosen == 1)):
        shape = (int(those.sum()), side, side, channels)
        full = np.full(len(images), 256, np.int32)[those]
        small = _painted(np.zeros(shape, np.uint8), _pictures(pictures[those], shape[1:]), full)
        whole = np.tile(small, (1, -(-height // side), -(-width // side), 1))[:, :height, :width].astype(np.int32)
        levels = images[those].astype(np.int32)
        out[those] = levels + ((whole - levels) * alphas[those] + 128 >> 8)
    return out


def _pictures(words: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Ellipses as `kernels.overlay` takes them, (n, SHAPES, 4 + C) int32, of random places, radii and colours."""
    height, width, channels = shape
    drawn = words.reshape(len(words), SHAPES, 2)
    pictures = np.empty((len(words), SHAPES, 4 + channels), np.int32)
    places = drawn[..., :1].astype("<u8").view("<u2").reshape(len(words), SHAPES, 4).astype(np.int64)
    side = np.array([height, width])
    pictures[..., :2] = places[..., :2] * (8 * side) >> 16
    pictures[..., 2:4] = 8 + (places[..., 2:] * (4 * side) >> 16)  # radii up to half a side
    colours = drawn[..., 1:].astype("<u8").view("<u1").reshape(len(words), SHAPES, 8)
    pictures[..., 4:] = colours[..., np.arange(channels) % 8]
    return pictures


def _painted(images: np.ndarray, pictures: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Pictures blended over images, by alphas (n,) int32 in 1/256."""
    out = np.empty_like(images, order="C")
    with defer_signals():  # numba is imported here, and may compile
        from poisonkit.core import kernels

        kernels.overlay(np.ascontiguousarray(images), pictures, alphas, out)
    return out
