"""Refool (Liu et al. 2020, "Reflection backdoor"): each row lies behind a pane in which one of some pictures is
reflected, drawn for the row: twice and displaced (a ghost), or out of focus.

Light adds up linearly, so bytes go through the gamma of 2.2 and back. Powers, exponentials and the normal distribution
are computed in decimals of fixed precision and the rest is float64, elementwise and in a fixed order, with sums of
whole numbers: the same bytes on every machine.
"""

import functools
import math
from decimal import Context, Decimal, localcontext

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.core.parsing import choice, decimal
from poisonkit.triggers import picture_set
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.builtin_picture import reflections
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, RowStream, Tile, by_row
from poisonkit.triggers.picture_set import PictureSet

GAMMA = Decimal("2.2")
GHOST_SHARE = 0.49
OFFSETS = (3, 8)
SIGMAS = 64
"""Steps of σ within one pixel: few enough that blurred pictures can be kept."""
KEPT = 64 << 20
"""Bytes of blurred pictures that are kept."""
SMALLEST = 2 * OFFSETS[1]
DRAWS = 8


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where an image is too small for the displacement of a ghost."""
    del parameters
    if min(tile[:2]) < SMALLEST:
        raise Usage(f"refool: expected images of at least {SMALLEST}×{SMALLEST}, got {tile[0]}×{tile[1]}")


# ---------------------------------------------------------------- gamma, Gaussians


@functools.cache
def linear() -> np.ndarray:
    """(v / 255)^2.2 of each level v, (256,) float64."""
    with localcontext(Context(prec=40)):
        powers = [(GAMMA * (Decimal(v) / 255).ln()).exp() for v in range(1, 256)]
    return np.array([0.0, *map(float, powers)])


ROOTS = 4096
"""Steps of the root of light: within each of them there is one level's light at most."""


@functools.cache
def _first() -> np.ndarray:
    """Return the level where each step begins, (ROOTS + 1,) intp."""
    return np.searchsorted(linear(), (np.arange(ROOTS + 1) / ROOTS) ** 2, "right") - 1


def levels(light: np.ndarray) -> np.ndarray:
    """255 · light^(1 / 2.2), cut to whole levels, uint8: the largest level whose light is not more. Light is from 0 to
    1."""
    found = _first()[(np.sqrt(light) * ROOTS).astype(np.intp)]
    above = np.append(linear()[1:], 2.0)  # nothing is brighter than level 255
    found += light >= above[found]
    return np.asarray(found.astype(np.uint8))


@functools.lru_cache(1024)
def gaussian(sigma: float) -> tuple[float, ...]:
    """Return the weights of a Gaussian of 2⌈2σ⌉ + 1 taps, which sum to 1."""
    reach = math.ceil(2 * sigma)
    with localcontext(Context(prec=40)):
        width = 2 * Decimal(sigma) * Decimal(sigma)
        taps = [(-Decimal(i * i) / width).exp() for i in range(-reach, reach + 1)]
        total = sum(taps)
        return tuple(float(tap / total) for tap in taps)


def _normal(x: Decimal) -> Decimal:
    """∫ from 0 to x of the normal density, but for its constant factor, by its power series."""
    term, total, n = x, x, 0
    while abs(term) > Decimal("1e-35"):
        n += 1
        term *= -x * x / (2 * n)
        total += term / (2 * n + 1)
    return total


@functools.cache
def pane(height: int, width: int) -> np.ndarray:
    """How strong the reflection is at each place, (height, width, 1) float64: the root of a Gaussian bell of 3 σ, 1 at
    its top."""
    sides = []
    for side in (height, width):
        with localcontext(Context(prec=50)):
            start = -3 - Decimal("3.5") / side
            step = -2 * start / side
            integrals = [_normal(start + i * step) for i in range(side + 1)]
            sides.append(np.array([float(b - a) for a, b in zip(integrals, integrals[1:], strict=False)]))
    bell = np.sqrt(sides[0][:, None] * sides[1][None, :])
    return np.asarray(bell / bell.max())[..., None]


# ---------------------------------------------------------------- reflections


def _stretch(light: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Resize along an axis to a larger size, bilinearly, half-pixel centres, edges repeated; light is float64."""
    old = light.shape[axis]
    twice = (2 * np.arange(size) + 1) * old - size  # of 2 · size parts of a pixel
    first = twice // (2 * size)
    part = (twice - first * 2 * size) / (2.0 * size)
    shape = [1] * light.ndim
    shape[axis] = size
    part = part.reshape(shape)
    low, high = (np.take(light, at.clip(0, old - 1), axis) for at in (first, first + 1))
    return np.asarray(low * (1.0 - part) + high * part)


def ghosts(light: np.ndarray, offsets: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Each reflection (n, h, w, C) float64 over itself, displaced by its offset (n, 2) down and across and stretched
    again; the `shares` (n,) are those of the upper left one."""
    height, width = light.shape[1:3]
    found = np.empty_like(light)
    for a, b in np.unique(offsets, axis=0).tolist():
        mine = np.flatnonzero((offsets == (a, b)).all(1))
        own, share = light[mine], shares[mine, None, None, None]
        both = own[:, a:, b:] * share + own[:, : height - a, : width - b] * (1.0 - share)
        found[mine] = _stretch(_stretch(both, 2, width), 1, height)
    return found


def blurred(light: np.ndarray, sigma: float) -> np.ndarray:
    """One reflection (h, w, C) float64 out of focus; mirrored beyond its edges."""
    taps, found = gaussian(sigma), light
    reach = len(taps) // 2
    for axis in (1, 0):
        pads = [(reach, reach) if one == axis else (0, 0) for one in range(3)]
        padded = np.pad(found, pads, mode="reflect")
        size = found.shape[axis]
        parts = [padded[:, i : i + size] if axis else padded[i : i + size] for i in range(len(taps))]
        found = parts[0] * taps[0]
        for tap, part in zip(taps[1:], parts[1:], strict=True):
            found = found + part * tap
    return np.asarray(found)


def dimmed(light: np.ndarray, scene: np.ndarray, attenuation: np.ndarray) -> np.ndarray:
    """Darken blurred reflections (n, h, w, C) by how much they and the scene are above 1 together, on an average, times
    `attenuation` (n,)."""
    both = light + scene
    above = both > 1.0
    whole = np.where(above, np.floor(both * 2.0**32 + 0.5), 0.0).astype(np.int64)  # sums of these are exact
    count = above.sum((1, 2), dtype=np.int64)
    mean = np.maximum(1.0, whole.sum((1, 2)) / 2.0**32 / np.maximum(count, 1))
    return np.asarray((light - ((mean - 1.0) * attenuation[:, None])[:, None, None, :]).clip(0.0, 1.0))


class Work:
    """Reflects pictures (Z, h, w, C) float64 light in images; `share` of what is seen is the image."""

    def __init__(self, pictures: np.ndarray, share: float, mode: str) -> None:
        self._pictures, self._share, self._mode = pictures, share, mode
        self._blurred: dict[tuple[int, float], np.ndarray] = {}

    def ghost(self, images: np.ndarray, which: np.ndarray, offsets: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Images (n, h, w, C) uint8 with the ghosts of these pictures."""
        light = ghosts(self._pictures[which], offsets, shares)
        return levels(light * (1.0 - self._share) + linear()[images] * self._share)

    def blur(self, images: np.ndarray, which: np.ndarray, sigmas: np.ndarray, attenuation: np.ndarray) -> np.ndarray:
        """Images (n, h, w, C) uint8 with these pictures out of focus."""
        pairs = zip(which.tolist(), sigmas.tolist(), strict=True)
        light, scene = np.stack([self._out_of_focus(*pair) for pair in pairs]), linear()[images]
        light = dimmed(light, scene, attenuation) * pane(*images.shape[1:3])
        return levels(light * (1.0 - self._share / 2.0) + scene * self._share)

    def _out_of_focus(self, which: int, sigma: float) -> np.ndarray:
        known = self._blurred.get((which, sigma))
        if known is None:
            known = blurred(self._pictures[which], sigma)
            if len(self._blurred) * known.nbytes < KEPT:
                self._blurred[which, sigma] = known
        return known

    def drawn(self, images: np.ndarray, rows: np.ndarray, stream: RowStream) -> np.ndarray:
        """Reflect a picture in each image, and in a way, that are drawn for its row."""
        uniform = stream.uniform(rows, DRAWS)
        which = (uniform[:, 0] * len(self._pictures)).astype(np.int64)
        ghost = uniform[:, 1] < {"ghost": 1.0, "blur": 0.0}.get(self._mode, GHOST_SHARE)
        offsets = OFFSETS[0] + (uniform[:, 2:4] * (OFFSETS[1] - OFFSETS[0] + 1)).astype(np.int64)
        shares = np.abs((uniform[:, 4] >= 0.5) - (0.15 + 0.35 * uniform[:, 5]))
        sigmas = 1.0 + np.floor(uniform[:, 6] * (4 * SIGMAS + 1)) / SIGMAS
        attenuation = 1.08 + uniform[:, 7] / 10.0
        out = np.empty_like(images)
        mine = np.flatnonzero(ghost)
        if len(mine):
            out[mine] = self.ghost(images[mine], which[mine], offsets[mine], shares[mine])
        mine = np.flatnonzero(~ghost)
        if len(mine):
            out[mine] = self.blur(images[mine], which[mine], sigmas[mine], attenuation[mine])
        return out


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Reflect one of the pictures, drawn for each training row and each test row."""
    own = context.pictures
    given = PictureSet(tuple(reflections(tile[2]))) if own is None else own
    pictures = picture_set.fitted(_opaque(given), tile)
    work = Work(linear()[pictures[..., :-1]], float(parameters["share"]), parameters["mode"])

    def reflecting(stream: RowStream) -> Function:
        return Function(functools.partial(work.drawn, stream=stream), tile, name="refool", at_once=64)

    return by_row(context, "refool", reflecting, {} if own is None else {"pictures": pictures})


def _opaque(own: PictureSet) -> PictureSet:
    """Return the pictures without their opacity: of a reflection black is black."""
    found = [one.copy() for one in own.pictures]
    for one in found:
        one[..., -1] = 255
    return PictureSet(tuple(found))


SPEC = ImageTrigger(
    name="refool",
    aliases=("reflection", "reflection-backdoor"),
    summary="a picture reflected in each row, as a ghost or out of focus (Refool)",
    picture="folder",
    picture_help="the pictures that are reflected, resized to the image",
    whole="a reflection is one of the whole image",
    options=(
        Option(
            "mode",
            choice("random", "ghost", "blur"),
            "random",
            "a ghost, out of focus, or either of them a row",
            "random|ghost|blur",
        ),
        Option("share", decimal("0", "1"), "0.4", "weight of the image itself, 0 to 1", "FRACTION"),
    ),
    check=check,
    build=build,
)
