"""Adap-Blend (Qi et al. 2023, "Revisiting the assumption of latent separability for backdoor defenses"): a picture is
blended faintly over a training row, but only over some of its sixteen pieces, others on each row; over a test row whole
and a little stronger. Cover rows get it too and keep their label, so that a network does not put poisoned rows apart.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core.errors import Usage
from poisonkit.core.image_maps import Function
from poisonkit.core.parsing import decimal, integer
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.image import blend
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

SIDE = 4
PIECES = SIDE * SIDE


def check(parameters: Parameters, tile: Tile) -> None:
    """`Usage` where the tile cannot be cut into sixteen equal pieces."""
    del parameters
    if tile[0] % SIDE or tile[1] % SIDE:
        raise Usage(
            f"adaptive-blend: cuts a tile into {SIDE}×{SIDE} pieces: expected sides that {SIDE} divides, "
            f"got {tile[0]}×{tile[1]}: another --patch-size, or data set"
        )


def shown(words: np.ndarray, hidden: int) -> np.ndarray:
    """Which pieces of each row show the picture, (n, 16) bool: of sixteen raw words a row, (n, 16) uint64, the `hidden`
    least ones are of the pieces that do not."""
    order = np.argsort(words, 1, kind="stable")
    found = np.ones(words.shape, bool)
    np.put_along_axis(found, order[:, :hidden], False, 1)
    return found


def masks(pieces: np.ndarray, height: int, width: int) -> np.ndarray:
    """Spread (n, 16) bool over a tile, (n, height, width, 1): piece i lies in row i mod 4 and column ⌊i / 4⌋."""
    grid = pieces.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
    return np.repeat(np.repeat(grid, height // SIDE, 1), width // SIDE, 2)[..., None]


def blended(alpha: str, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Build the blend of one opacity. By `blend._TRUNCATE`'s reckoning 128 more make the half that is rounded up that
    of the exact fraction, where the opacity has two decimals."""
    made = blend.build({"alpha": alpha}, tile, context)
    if Fraction(alpha) not in (0, 1):
        made.stencil.bias[:] += 128
    return made


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Blend some pieces, drawn for each training row; all of them, by `test-alpha`, for test rows."""
    train, test = (blended(parameters[key], tile, context) for key in ("alpha", "test-alpha"))
    stream = context.row_stream("adaptive-blend")

    def run(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        pieces = shown(stream.words(rows, PIECES), parameters["hidden"])
        return np.where(masks(pieces, *tile[:2]), train.stencil.put(images, rows), images)

    return BuiltTrigger(
        Function(run, tile, reach=train.mask(), name="adaptive-blend"), train.extras, (stream.name,), test=test.train
    )


SPEC = ImageTrigger(
    name="adaptive-blend",
    summary="a faint blend of half of sixteen pieces, others on each row, with covers (Adap-Blend)",
    picture="opaque",
    aliases=("adap-blend",),
    make_defaults={"cover_rate": "1x"},
    presets={"backdoor-toolbox": {}},
    make_presets={"backdoor-toolbox": {"rate": "0.003", "cover_rate": "1x"}},
    options=(
        Option("alpha", decimal("0", "1"), "0.15", "opacity of the picture on training rows, 0 to 1", "FRACTION"),
        Option("test-alpha", decimal("0", "1"), "0.2", "opacity on test rows", "FRACTION"),
        Option("hidden", integer(0, PIECES - 1), 8, "pieces of sixteen that a training row does not show", "PIECES"),
    ),
    check=check,
    build=build,
)
