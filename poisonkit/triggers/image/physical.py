"""A sticker as it is seen in the world (Gu et al. 2017, section 5; Li et al. 2021, "Backdoor attack in the physical
world"): on each row, training or test, turned, larger or smaller, displaced, lighter or darker and of another tint, all
drawn for the row.

Whole numbers throughout: angles in tenths of a degree, lengths in 1/256 pixel, sizes and colours in 1/256.
"""

import functools
from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.core.opacity import resize, with_opacity
from poisonkit.core.parsing import integer
from poisonkit.core.random_streams import between
from poisonkit.core.sines import sine
from poisonkit.triggers import position
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.builtin_picture import cut_out
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, RowStream, Tile, by_row

DRAWS = 8  # angle, size, down, across, light, tint of each channel
ONE = 256


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the sticker, before anything is drawn, does not lie inside the tile."""
    _upper_left(parameters, tile)
    if parameters["position"] == position.RANDOM:
        raise Usage("--physical-position: expected a place, around which --physical-shift moves it, got 'random'")


def _upper_left(parameters: Parameters, tile: Tile) -> tuple[int, int]:
    return position.upper_left("physical", parameters["position"], (parameters["size"],) * 2, tile)


@functools.cache
def turn(tenths: int) -> tuple[int, int]:
    """(cosine, sine) of an angle in tenths of a degree, in 1/65536."""
    angle = Fraction(tenths, 3600)
    values = (sine(angle + Fraction(1, 4)), sine(angle))
    cosine, other = (int((2 * value * 65536 + 1) // 2) for value in values)
    return cosine, other


def drawn(parameters: Parameters, words: np.ndarray) -> dict[str, np.ndarray]:
    """Return what raw words (n, 8) make of each row: `angle` in tenths of a degree, `size` in 1/256, `shift` (n, 2) in
    1/256 pixel, `colour` (n, 3) in 1/256, all int64."""

    def around(column: int, most: int) -> np.ndarray:
        return between(words[:, column], -most, most).astype(np.int64)

    light = around(4, ONE * parameters["light"] // 100)
    tints = [around(5 + channel, ONE * parameters["tint"] // 100) for channel in range(3)]
    return {
        "angle": around(0, 10 * parameters["angle"]),
        "size": ONE + around(1, ONE * parameters["scale"] // 100),
        "shift": np.stack([around(column, ONE * parameters["shift"]) for column in (2, 3)], 1),
        "colour": np.stack([ONE + light + tint for tint in tints], 1),
    }


def put(images: np.ndarray, picture: np.ndarray, centre: tuple[int, int], how: dict[str, np.ndarray]) -> np.ndarray:
    """Put a sticker (s, s, C + 1) uint8 onto images (n, h, w, C) uint8, its middle at `centre`, in half pixels, and
    what is drawn for each: see `drawn`.

    Every pixel of the image looks where on the sticker it lies and takes the four pixels around that, bilinearly, each
    by its opacity; beyond the sticker there is none.
    """
    height, width = images.shape[1:3]
    side, channels = picture.shape[0], images.shape[-1]
    turns = np.array([turn(angle) for angle in how["angle"].tolist()], np.int64)
    cosine, other = (turns[:, i, None, None] * ONE // how["size"][:, None, None] for i in (0, 1))  # 1/65536
    down = (ONE * np.arange(height) + ONE // 2)[None, :, None] - (ONE // 2 * centre[0] + how["shift"][:, :1, None])
    across = (ONE * np.arange(width) + ONE // 2)[None, None, :] - (ONE // 2 * centre[1] + how["shift"][:, 1:, None])
    middle = ONE // 2 * (side - 1)  # of the sticker, in 1/256, where the middle of its first pixel is 0
    y = ((cosine * down + other * across + (1 << 15)) >> 16) + middle
    x = ((cosine * across - other * down + (1 << 15)) >> 16) + middle
    padded = np.zeros((side + 2, side + 2, channels + 1), np.int64)
    opacity = picture[..., -1:].astype(np.int64)
    padded[1:-1, 1:-1] = np.concatenate([picture[..., :-1] * opacity, opacity], -1)
    seen = np.flatnonzero(((y > -ONE) & (y < ONE * side) & (x > -ONE) & (x < ONE * side)).reshape(-1))
    y, x = y.reshape(-1)[seen] + ONE, x.reshape(-1)[seen] + ONE
    top, left, b, d = y >> 8, x >> 8, (y & 255)[:, None], (x & 255)[:, None]
    upper = (ONE - d) * padded[top, left] + d * padded[top, left + 1]
    lower = (ONE - d) * padded[top + 1, left] + d * padded[top + 1, left + 1]
    mixed = (ONE - b) * upper + b * lower  # colours · opacity and opacity, times 65536
    row = seen // (height * width)
    colour = mixed[:, :-1] * how["colour"][row][:, :channels] >> 8
    out = images.reshape(-1, channels).copy()
    whole = 255 << 16
    total = np.minimum(colour, 255 * mixed[:, -1:]) + out[seen] * (whole - mixed[:, -1:])
    out[seen] = (2 * total + whole) // (2 * whole)
    return out.reshape(images.shape)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Put the sticker on each training row and each test row as is drawn for it."""
    picture = cut_out(tile[2]) if context.picture is None else context.picture
    pattern = resize(with_opacity(picture, tile[2]), parameters["size"], parameters["size"])
    row, column = _upper_left(parameters, tile)
    centre = 2 * row + parameters["size"], 2 * column + parameters["size"]

    def work(stream: RowStream) -> Function:
        def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return put(images, pattern, centre, drawn(parameters, stream.words(rows, DRAWS)))

        return Function(run, tile, name="physical", at_once=64)

    return by_row(context, "physical", work, {} if context.picture is None else {"pattern": pattern})


SPEC = ImageTrigger(
    name="physical",
    summary="a sticker turned, scaled, displaced and lit in another way on each row",
    picture="alpha",
    picture_help="the sticker, its transparency too, resized to --physical-size",
    options=(
        Option("size", integer(1, 4096), 8, "side of the sticker in pixels", "PIXELS"),
        Option("position", position.parse, "lower-right", position.HELP_FIXED, "PLACE"),
        Option("angle", integer(0, 180), 15, "turned by up to so many degrees", "DEGREES"),
        Option("scale", integer(0, 90), 20, "larger or smaller by up to so many percent", "PERCENT"),
        Option("shift", integer(0, 4096), 2, "displaced by up to so many pixels, down and across", "PIXELS"),
        Option("light", integer(0, 100), 20, "lighter or darker by up to so many percent", "PERCENT"),
        Option("tint", integer(0, 100), 5, "each channel, on top of that, by so many percent", "PERCENT"),
    ),
    check=check,
    build=build,
)
