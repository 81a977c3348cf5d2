"""Adap-Patch (Qi et al. 2023): each training row gets one of several patches, half transparent, drawn for the row; a
test row gets some of them, one after the other."""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.core.opacity import resize
from poisonkit.core.parsing import decimal, integer, several
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers import picture_set
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.builtin_picture import cut_out
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

SMALLEST = 8
TEST = [1, 3]
"""The patches on test rows, where nothing else is chosen."""


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the tile is too small for the patches, or test rows are given too few opacities."""
    if min(tile[:2]) < SMALLEST:
        raise Usage(f"adaptive-patch: expected a tile of at least {SMALLEST}×{SMALLEST}, got {tile[0]}×{tile[1]}")
    numbers, alphas = parameters["test"], parameters["test-alphas"]
    if len(alphas) not in (1, len(numbers)):
        raise Usage(f"adaptive-patch: expected one opacity for all {len(numbers)} test patches or one for each, got "
                    f"{len(alphas)}")  # fmt: skip


def drawn(tile: Tile) -> np.ndarray:
    """Draw the four patches that are used where the user gives none, (4, h, w, C + 1) uint8: the frog in the lower
    right, rings in the upper left, a chequer of 3×3 in the lower left, stripes in the upper right."""
    height, width, channels = tile
    high, wide = height // 4, width // 4
    found = np.zeros((4, height, width, channels + 1), np.uint8)
    found[0, height - high :, width - wide :] = resize(cut_out(channels), high, wide)
    rows, columns = np.ogrid[:high, :wide]
    away = np.maximum(abs(2 * rows - high + 1), abs(2 * columns - wide + 1)) // 2
    found[1, :high, :wide, :-1] = np.where(away % 2 == 0, 230, 30)[..., None]
    found[1, :high, :wide, -1] = 255
    chequer = (np.add.outer(np.arange(3), np.arange(3)) % 2 == 0)[..., None]
    found[2, height - 3 :, :3] = np.concatenate([np.repeat(chequer, channels, -1) * 255, chequer * 0 + 255], -1)
    found[3, :high, width - wide :, :-1] = np.where((rows + columns) % 3 == 0, 250, 60)[..., None]
    found[3, :high, width - wide :, -1] = 255
    return found


def covers(picture: np.ndarray, alpha: str) -> np.ndarray:
    """Return how much a picture with opacity covers each byte, fixed point, (h, w, 1) int64."""
    opacity = int(Fraction(alpha) * ONE + Fraction(1, 2)) * picture[..., -1:].astype(np.int64)
    return (2 * opacity + 255) // 510


def over(tile: Tile, pictures: np.ndarray, numbers: list[int], alphas: list[str]) -> Stencil:
    """Put pictures of those numbers onto a tile, one after the other; their maps are joined before anything is rounded
    to bytes."""
    weights, bias = np.full((*tile[:2], 1), ONE, np.int64), np.zeros(tile, np.int64)
    for i, number in enumerate(numbers):
        cover = covers(pictures[number], alphas[i % len(alphas)])
        weights = (weights * (ONE - cover) + ONE // 2) >> 15
        bias = ((bias * (ONE - cover) + ONE // 2) >> 15) + cover * pictures[number][..., :-1]
    stencil = Stencil.identity(tile)
    stencil.weights[:] = weights[..., None]
    stencil.bias[:] = bias
    return stencil


def one_each(images: np.ndarray, rows: np.ndarray, maps: list[Stencil], which: np.ndarray) -> np.ndarray:
    """Put on each image the map of its number, (n,)."""
    out = np.empty_like(images)
    for number, stencil in enumerate(maps):
        mine = np.flatnonzero(which == number)
        out[mine] = stencil.put(images[mine], rows[mine])
    return out


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """One of the patches, drawn for each training row; those of `test` for test rows."""
    own = context.pictures is not None
    pictures = picture_set.fitted(context.pictures, tile) if context.pictures is not None else drawn(tile)
    if max(parameters["test"]) > len(pictures):
        by_default = "" if parameters["test"] != TEST else " (by default, which is for four)"
        raise Usage(
            f"adaptive-patch: test rows get the patches {' and '.join(map(str, parameters['test']))}{by_default}, "
            f"{len(pictures)} of them are there: choose theirs with --adaptive-patch-test, from 1 to {len(pictures)}"
        )
    alphas = parameters["alphas"]
    maps = [over(tile, pictures, [number], [alphas[number % len(alphas)]]) for number in range(len(pictures))]
    test = over(tile, pictures, [number - 1 for number in parameters["test"]], parameters["test-alphas"])
    stream = context.row_stream("adaptive-patch")

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return one_each(images, rows, maps, stream.between(rows, 0, len(maps) - 1)[:, 0])

    reach = np.bitwise_or.reduce([stencil.mask() for stencil in maps])
    train = Function(run, tile, reach=reach, name="adaptive-patch")
    return BuiltTrigger(train, {"pictures": pictures} if own else {}, (stream.name,), test=test)


SPEC = ImageTrigger(
    name="adaptive-patch",
    summary="one of four patches on each training row, two of them on test rows, with covers (Adap-Patch)",
    picture="folder",
    picture_help="the patches on whole images, and mask_NAME for their opacity",
    aliases=("adap-patch",),
    make_defaults={"cover_rate": "2x"},
    presets={"backdoor-toolbox": {}},
    make_presets={"backdoor-toolbox": {"rate": "0.003", "cover_rate": "2x"}},
    options=(
        Option(
            "alphas",
            several(decimal("0", "1")),
            ["0.5", "0.2", "0.5", "0.3"],
            "their opacity on training rows, by the order of their names",
            "FRACTION,…",
        ),
        Option("test", several(integer(1, 10_000)), TEST, "the patches on test rows, one after another", "N,…"),
        Option("test-alphas", several(decimal("0", "1")), ["1"], "their opacity on test rows", "FRACTION,…"),
    ),
    check=check,
    build=build,
)
