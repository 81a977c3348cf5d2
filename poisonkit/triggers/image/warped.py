"""WaNet's elastic warp (Nguyen & Tran 2021), as BadPatches uses it (section 3.3.3), and the variant of the paper's
published notebooks.

Uniform ±1 noise on a k × k grid, divided by its mean magnitude, is upsampled to the tile and moves every pixel's
sampling place by s·noise / height in coordinates that run from −1 to 1 over the tile. All float64, elementwise and in a
fixed order, so that every machine computes the same bits.

In WaNet's noise mode a cover row is warped by the same field and, on top, by noise of its own, ±1 / height for each
pixel, so that a network learns that field and no other.
"""

import numpy as np

from poisonkit.core import random_streams as streams
from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import joined, tiled
from poisonkit.core.parsing import choice, decimal, integer
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Jitter, Tile

_PIXELS_AT_ONCE = 1 << 14


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the tile is too small to be warped."""
    del parameters
    if min(tile[:2]) < 2:
        raise Usage(f"warped: expected a tile of at least 2×2 pixels, got {tile[0]}×{tile[1]}")


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel with parameter a."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _resampling(k: int, size: int, upsample: str) -> tuple[np.ndarray, np.ndarray]:
    """For each of `size` outputs the four grid points that it is made of and their weights, both (size, 4)."""
    i = np.arange(size, dtype=np.float64)
    where = i * (k - 1) / (size - 1) if upsample == "aligned" else (i + 0.5) * k / size - 0.5
    points = np.floor(where).astype(np.int64)[:, None] + np.arange(-1, 3)
    weights = _cubic(where[:, None] - points, -0.75 if upsample == "aligned" else -0.5)
    if upsample == "half-pixel":  # as tf.image.resize: points outside are dropped, the rest renormalised
        weights = np.where((points >= 0) & (points < k), weights, 0.0)
        weights = weights / _sum4(weights)[:, None]
    return points.clip(0, k - 1), weights


def _sum4(terms: np.ndarray) -> np.ndarray:
    """Sum over a last axis of four, in one order on every machine."""
    return ((terms[..., 0] + terms[..., 1]) + terms[..., 2]) + terms[..., 3]


def _upsample(noise: np.ndarray, height: int, width: int, upsample: str) -> np.ndarray:
    """(2, k, k) → (2, height, width), bicubic, along rows first."""
    k = noise.shape[-1]
    columns, column_weights = _resampling(k, width, upsample)
    rows, row_weights = _resampling(k, height, upsample)
    wide = _sum4(noise[:, :, columns] * column_weights)
    return _sum4(wide[:, rows].transpose(0, 1, 3, 2) * row_weights[:, None, :])


def source_coordinates(
    noise: np.ndarray, parameters: Parameters, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a tile looks: column and row coordinates, (height, width) float64 each, in pixels.

    `noise` is (2, k, k) uniform ±1 before it is divided by its mean magnitude, horizontal first.
    """
    total = 0.0
    for value in np.abs(noise).reshape(-1).tolist():  # one order of summation on every machine
        total += value
    field = _upsample(noise / (total / noise.size), height, width, parameters["upsample"])
    shift = float(parameters["s"]) * field / height
    # clip(identity + shift, −1, 1) in pixels; added to whole pixels, so that a shift of 0 is exactly none
    x = np.clip(np.arange(width) + shift[0] * ((width - 1) / 2), 0, width - 1)
    y = np.clip(np.arange(height)[:, None] + shift[1] * ((height - 1) / 2), 0, height - 1)
    return x, y


def fixed_point(weights: np.ndarray) -> np.ndarray:
    """(…, K) float weights that sum to 1 → int32 that sum to exactly 32768: the largest takes the remainder."""
    rounded = np.floor(weights * ONE + 0.5).astype(np.int32)
    largest = rounded.argmax(-1)[..., None]
    remainder = ONE - rounded.sum(-1, keepdims=True, dtype=np.int32)
    np.put_along_axis(rounded, largest, np.take_along_axis(rounded, largest, -1) + remainder, -1)
    return rounded


def _taps(x: np.ndarray, y: np.ndarray, sampling: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixel numbers (…, height, width, K) and fixed-point weights for coordinates (…, height, width)."""
    height, width = x.shape[-2:]
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    if sampling == "truncate":
        return (y0 * width + x0)[..., None], np.full((*x.shape, 1), ONE, np.int32)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    pixels = np.stack([y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1], -1)
    weights = np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], -1)
    return pixels, fixed_point(weights)


def jittered(images: np.ndarray, noise: np.ndarray, flow: np.ndarray, sampling: str) -> np.ndarray:
    """Images warped by a tile's field and by noise of their own.

    Parameters
    ----------
    images : (n, H, W, C) uint8
    noise : (n, 2, H, W) float64
        Uniform ±1, horizontal first; it moves a pixel's sampling place by noise / the tile's height, in coordinates
        from −1 to 1 over the tile.
    flow : (height, width, 2) float64
        How far each pixel of the tile looks, in pixels, horizontal first, as the file has it.
    """
    height, width = flow.shape[:2]
    own = tiled(noise.transpose(0, 2, 3, 1), height, width) / height
    x = np.clip((flow[..., 0] + np.arange(width)) + own[..., 0] * ((width - 1) / 2), 0, width - 1)
    y = np.clip((flow[..., 1] + np.arange(height)[:, None]) + own[..., 1] * ((height - 1) / 2), 0, height - 1)
    pixels, weights = _taps(x, y, sampling)
    tiles = tiled(images, height, width)
    flat = tiles.reshape(len(tiles), height * width, -1)
    total = np.full(flat.shape, ONE // 2, np.int32)
    for k in range(pixels.shape[-1]):
        looked = np.take_along_axis(flat, pixels[..., k].reshape(len(tiles), -1, 1), 1)
        total += looked * weights[..., k].reshape(len(tiles), -1, 1)
    return joined((total >> 15).clip(0, 255).astype(np.uint8).reshape(tiles.shape), images.shape)


def _noise_mode(parameters: Parameters, flow: np.ndarray, context: ImageContext) -> Jitter:
    """`jittered` with the noise of each row's own stream, for the tile's (height, width, 2) flow."""
    stream = context.stream_name("jitter")

    def apply(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        result, shape = np.empty_like(images), (2, *images.shape[1:3])
        step = max(1, _PIXELS_AT_ONCE // (shape[1] * shape[2]))
        for first in range(0, len(images), step):
            subset = slice(first, first + step)
            noise = np.stack([streams.signed_noise(context.seed, stream, shape, int(row)) for row in rows[subset]])
            result[subset] = jittered(images[subset], noise, flow, parameters["sampling"])
        return result

    return Jitter(stream, apply)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Four taps with bilinear weights for each pixel, the same in every channel."""
    height, width, channels = tile
    noise = context.noise("flow", (2, parameters["k"], parameters["k"]))
    x, y = source_coordinates(noise, parameters, height, width)
    pixels, weights = _taps(x, y, parameters["sampling"])
    taps = pixels[:, :, None, :] * channels + np.arange(channels)[:, None]
    stencil = Stencil.build(
        taps, np.repeat(weights[:, :, None, :], channels, axis=2), np.zeros((height, width, channels), np.int32)
    )
    flow = np.stack([x - np.arange(width), y - np.arange(height)[:, None]], -1)
    return BuiltTrigger(stencil, {"flow": flow}, (context.stream_name("flow"),), _noise_mode(parameters, flow, context))


SPEC = ImageTrigger(
    name="warped",
    aliases=("wanet",),
    summary="a smooth elastic warp (WaNet)",
    jitter=True,
    presets={
        "notebook": {"k": 2, "s": "0.25", "upsample": "half-pixel", "sampling": "truncate"},
        "wanet": {"k": 4, "s": "0.5", "upsample": "aligned", "sampling": "bilinear"},
    },
    make_presets={"wanet": {"cover_rate": "2x", "cover_jitter": True}},
    options=(
        Option("k", integer(2, 64), 4, "side of the grid of noise", "POINTS"),
        Option("s", decimal("0", "100"), "0.5", "strength of the warp", "FACTOR"),
        Option(
            "upsample",
            choice("aligned", "half-pixel"),
            "aligned",
            "bicubic from grid to tile: aligned corners, A = −0.75 (WaNet); or half-pixel, Keys, A = −0.5 (notebook)",
            "aligned|half-pixel",
        ),
        Option(
            "sampling",
            choice("bilinear", "truncate"),
            "bilinear",
            "bilinear (WaNet), or coordinates cut to whole pixels (notebook)",
            "bilinear|truncate",
        ),
    ),
    check=check,
    build=build,
)
