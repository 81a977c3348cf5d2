"""Any array, added to the image: universal perturbations that another tool has made (LF, Zeng et al. 2021; TUAP, Zhao
et al. 2020; Narcissus, Zeng et al. 2023)."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poisonkit.core import array_files, files, hashing
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.opacity import overlaps
from poisonkit.core.parsing import choice, decimal
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.triggers.base import ROUNDING, Option, Parameters, UserFile, twin
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile, with_twin

LARGEST_SIDE = 4096
MOST_BYTES = 8 * 3 * LARGEST_SIDE**2
MOST_LEVELS = 1_000_000
_NEARLY = 2.0**-30
"""A level that is missed by less is reached: what a computed pattern has beside its zeros is no value of its own."""


@dataclass(frozen=True)
class Pattern:
    """The array of a user's file, (h, w, C) float64, or (h, w, 1) for every channel: `where` is the file's name in
    messages."""

    where: str
    values: np.ndarray
    notices: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.values.shape

    def digest(self, _needed: dict[str, np.ndarray], _shape: tuple[int, ...]) -> str:
        """Return the digest of the array, whichever rows get it."""
        return hashing.array_digest(self.values)


def read(path: Path) -> Pattern:
    """Read an array of an .npy or .npz file. `Failure` in one line where it is none that could be added to images."""
    where = files.path_text(path)
    with array_files.opened(path, MOST_BYTES) as file:
        if len(file.names) > 1:
            listed = ", ".join(sorted(file.names)[:8])
            raise Failure(
                f"{where}: holds {len(file.names)} arrays ({listed}), expected one: save that with numpy.save"
            )
        _check_shape(where, file.header(file.names[0]).shape)
        return of_array(where, file.read(file.names[0]))


def accept(value: object) -> Pattern:
    """Take an array instead of a file."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in array_files.KINDS:
        raise Usage(f"--pattern-file: expected a path or an array of numbers, got {value!r:.60}")
    try:
        _check_shape("--pattern-file", value.shape)
        return of_array("--pattern-file", value)
    except Failure as error:
        raise Usage(str(error)) from None


def of_array(where: str, array: np.ndarray) -> Pattern:
    """Return the pattern of an array of numbers, whose shape was checked: of more than one, the first."""
    notices = []
    if array.ndim == 4:
        if len(array) > 1:
            notices.append(f"{where}: holds {len(array):,} arrays, of which the first is taken")
        array = array[0]
    array = array[..., None] if array.ndim == 2 else array
    values = np.ascontiguousarray(array, "<f8")
    if not np.isfinite(values).all():
        found = values[~np.isfinite(values)]
        raise Failure(f"{where}: holds {found[0]} at {len(found):,} places, expected finite numbers")
    return Pattern(where, values, notices)


def _check_shape(where: str, shape: tuple[int, ...]) -> None:
    known = len(shape) in (2, 3, 4) and all(shape) and (len(shape) == 2 or shape[-1] in (1, 3))
    if known and max(shape[-3:] if len(shape) > 2 else shape) <= LARGEST_SIDE:
        return
    first = len(shape) > 2 and shape[-3] in (1, 3)
    hint = f": channels last, numpy.moveaxis(x, {len(shape) - 3}, -1)" if first and not known else ""
    raise Failure(
        f"{where}: is {array_files.times(shape)}, expected height×width, height×width×channels (1 or 3) or several of "
        f"these, of 1 to {LARGEST_SIDE:,} a side{hint}"
    )


def _levels(pattern: Pattern, parameters: Parameters) -> np.ndarray:
    """Return what is added, in grey levels, before it is rounded."""
    with np.errstate(over="ignore"):
        levels = pattern.values * float(parameters["scale"])
    if np.abs(levels).max() > MOST_LEVELS:
        raise Usage(
            f"{pattern.where}: its largest value times --pattern-scale is {np.abs(levels).max():.6g}, expected grey "
            "levels: 255 is from black to white"
        )
    return levels


def _resized(levels: np.ndarray, height: int, width: int, down: bool) -> np.ndarray:
    """Return whole levels, (height, width, C) int64: the mean over the area of each new pixel, in whole numbers, so
    that it is the same on every machine."""
    fixed = np.floor(levels * ONE + 0.5).astype(np.int64)
    summed = np.tensordot(overlaps(levels.shape[0], height), fixed, (1, 0))
    summed = np.tensordot(summed, overlaps(levels.shape[1], width), (1, 1)).transpose(0, 2, 1)
    unit = levels.shape[0] * levels.shape[1] * ONE
    return summed // unit if down else (2 * summed + unit) // (2 * unit)


def added(pattern: Pattern, parameters: Parameters, tile: Tile) -> np.ndarray:
    """Return the whole grey levels that are added to each byte of a tile, (h, w, C) int64.

    An image's bytes are whole numbers, so to round the sum is to round what is added. Raises `Usage` where the array
    does not fit the tile.
    """
    height, width, channels = tile
    levels, down = _levels(pattern, parameters), parameters.get("rounding") == "truncate"
    if levels.shape[-1] not in (1, channels) or (levels.shape[:2] != (height, width) and "resize" not in parameters):
        size = array_files.times(pattern.shape)
        ways = f"give one of {height}×{width} or {height}×{width}×{channels}"
        more = "" if levels.shape[-1] not in (1, channels) else ", or add --pattern-resize yes"
        raise Usage(f"{pattern.where}: is {size}, what it is put on {array_files.times(tile)}: {ways}{more}")
    if levels.shape[:2] != (height, width):
        whole = _resized(levels, height, width, down)
    else:
        whole = np.floor(levels + (_NEARLY if down else 0.5)).astype(np.int64)
    return np.broadcast_to(whole, tile).clip(-255, 255)


def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
    """Weight 1, and the whole levels of the array as bias; the array goes into the file as it was read."""
    pattern: Pattern | None = context.given
    if pattern is None:
        raise Usage("--trigger pattern needs --pattern-file FILE.npy, the array that is added")
    return with_twin(parameters, "scale", lambda chosen: _sum(pattern, chosen, tile), extras={"array": pattern.values})


def _sum(pattern: Pattern, parameters: Parameters, tile: Tile) -> Stencil:
    stencil = Stencil.identity(tile)
    stencil.bias[:] = added(pattern, parameters, tile) * ONE
    return stencil


def advice(parameters: Parameters, given: Pattern | None) -> list[str]:
    """Warn of an array that changes next to nothing, as one in 0 … 1 does."""
    largest = 0.0 if given is None else float(np.abs(_levels(given, parameters)).max())
    if given is None or largest >= 1:
        return []
    wide = float(np.abs(given.values).max()) <= 1 and parameters["scale"] == "1"
    hint = ": an array in -1 … 1 needs --pattern-scale 255" if wide else ""
    return [f"{given.where}: its largest value times --pattern-scale is {largest:.3g}, less than one grey level{hint}"]


SCALE = Option("scale", decimal("-100000", "100000"), "1", "times the array; 255 for one in -1 … 1", "FACTOR")

SPEC = ImageTrigger(
    name="pattern",
    summary="any array of yours, added to the image (LF, TUAP, universal perturbations)",
    presets={"backdoorbench": {"rounding": "truncate"}},
    file=UserFile(
        help=".npy, or .npz with one array: what is added, height×width or height×width×channels, in grey levels",
        read=read,
        recover=of_array,
        accept=accept,
        metavar="ARRAY",
        proof="array whose digest is",
        whole=False,
        attacks=("lf", "low-frequency", "tuap", "uap", "universal-perturbation", "narcissus"),
        brings="the array that is added",
    ),
    options=(
        SCALE,
        twin(SCALE),
        Option(
            "resize",
            choice("no", "yes"),
            "no",
            "resize it to image or patch, by area",
            "no|yes",
            omit_if_default=True,
        ),
        ROUNDING,
    ),
    build=build,
    advice=advice,
)
