"""What a trigger of images is: a function that builds a stencil, a table or a function for one tile, and what it is
given for that."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.image_maps import ImageMap
from poisonkit.core.modality import IMAGE, Modality
from poisonkit.core.stencil import Stencil
from poisonkit.triggers.base import Parameters, TriggerSpec, for_each_part
from poisonkit.triggers.picture_set import PictureSet

Tile = tuple[int, int, int]
"""Height, width and channels of what a trigger is built for: the image, or one patch of it."""


@dataclass(frozen=True)
class RowStream:
    """What is drawn for each row: raw words that depend on the row's number alone, so that a row gets the same at every
    rate. Its name belongs into `BuiltTrigger.streams`."""

    seed: int
    name: str

    def words(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Draw `count` raw words for each of these rows, (len(rows), count) uint64; a row that stands there twice gets
        the same twice."""
        once, back = np.unique(rows, return_inverse=True)
        return random_streams.row_words(self.seed, self.name, once, count)[back]

    def between(self, rows: np.ndarray, low: int, high: int, count: int = 1) -> np.ndarray:
        """Draw whole numbers from low to high, both included, (len(rows), count) int32."""
        return random_streams.between(self.words(rows, count), low, high)

    def uniform(self, rows: np.ndarray, count: int = 1) -> np.ndarray:
        """Draw numbers in [0, 1), (len(rows), count) float64."""
        return random_streams.uniform(self.words(rows, count))


@dataclass(frozen=True)
class ImageContext:
    """What a build may draw on: the recipe's seed, which occurrence of this trigger it is (so that two warps differ),
    the user's picture, (h, w, C) uint8, or (h, w, C + 1) with its opacity, if there is one, or a folder of them, and
    what another file of the user's holds (`UserFile.read`)."""

    seed: int
    occurrence: int = 0
    picture: np.ndarray | None = None
    pictures: PictureSet | None = None
    given: Any = None

    def stream_name(self, purpose: str) -> str:
        """Return the name of a random stream; that of a trigger's first occurrence does not depend on the others."""
        return f"{purpose}-{self.occurrence}" if self.occurrence else purpose

    def noise(self, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        """Draw uniform ±1 noise of a shape, float64, from the stream for that purpose."""
        return random_streams.signed_noise(self.seed, self.stream_name(purpose), shape)

    def row_stream(self, purpose: str, test: bool = False) -> RowStream:
        """Return the stream of what is drawn for each training row, or for each test row."""
        name = self.stream_name(purpose)
        return RowStream(self.seed, f"{name}-test" if test else name)


@dataclass(frozen=True)
class Jitter:
    """How a trigger is put on a cover row with noise of that row's own: `apply(images, rows)` takes (n, H, W, C) uint8
    and the numbers of these training rows, and draws from `stream`, for each row by its number."""

    stream: str
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BuiltTrigger:
    """What a trigger does to a training row of one tile, poisoned or cover, what else goes into the file's `trigger/`
    group, the streams that were drawn from, and its noise mode, if it has one. `test`: what it does to a test row,
    where that is something else."""

    train: ImageMap
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    jitter: Jitter | None = None
    test: ImageMap | None = None

    @property
    def stencil(self) -> Stencil:
        """The stencil of a trigger that is one."""
        if isinstance(self.train, Stencil):
            return self.train
        raise TypeError(f"the trigger is a {type(self.train).__name__}, not a stencil")

    def on(self, part: str) -> ImageMap:
        """Return what it does to rows of `train` or `test`."""
        return self.train if part == "train" or self.test is None else self.test

    def tile(self, height: int, width: int) -> "BuiltTrigger":
        """Repeat it on every tile of a larger image."""
        test = None if self.test is None else self.test.tile(height, width)
        return replace(self, train=self.train.tile(height, width), test=test)

    def told(self, part: str) -> dict[str, np.ndarray]:
        """Return what a file has of it for rows of `train` or `test`, by name: the arrays of a stencil or a table;
        nothing where only the recipe can repeat it. A file that has those of training rows alone would be read as
        saying the same of test rows, so it has none then."""
        if part == "train":
            return self.train.arrays() if self.on("test").arrays() else {}
        arrays = {} if self.test is None else self.test.arrays()
        return {f"test_{name}": array for name, array in arrays.items()}

    def mask(self) -> np.ndarray:
        """(H, W, C) uint8: 1 where it can change a training row or a test row."""
        return self.train.mask() if self.test is None else self.train.mask() | self.test.mask()


def with_twin(parameters: Parameters, key: str, make: Callable[[Parameters], ImageMap], **others: Any) -> BuiltTrigger:
    """Build a trigger from what `make` makes of its parameters: once more of those of test rows, where the strength
    `key` has a twin (`base.twin`) of another value. `others` are further fields of `BuiltTrigger`."""
    train, *test = map(make, for_each_part(parameters, key))
    return BuiltTrigger(train, test=test[0] if test else None, **others)


def by_row(
    context: ImageContext, purpose: str, make: Callable[[RowStream], ImageMap], extras: dict[str, np.ndarray]
) -> BuiltTrigger:
    """Build a trigger that is drawn for each row: `make` takes the stream of training rows, and that of test rows."""
    streams = [context.row_stream(purpose, test) for test in (False, True)]
    train, test = map(make, streams)
    return BuiltTrigger(train, extras, tuple(stream.name for stream in streams), test=test)


def fits_any_tile(parameters: Parameters, tile: Tile) -> None:
    """Accept every tile: the `check` of a trigger whose parameters fit any."""


@dataclass(frozen=True, kw_only=True)
class ImageTrigger(TriggerSpec):
    """A trigger of images.

    Attributes
    ----------
    build : callable
        ``build(parameters, tile, context)`` makes the `BuiltTrigger` for one tile.
    check : callable
        ``check(parameters, tile)`` raises `Usage` for parameters that do not fit a tile.
    picture : "opaque", "alpha", "folder" or None
        Whether it takes a picture (`--NAME-image`), and whether the picture's transparency counts; or a folder of them
        (`--NAME-images`).
    picture_help : str
        What its picture is, or its pictures are, in the help.
    jitter : bool
        Whether it has a noise mode for cover rows, as `--cover-jitter` asks for.
    whole : str or None
        Why it has no per-patch form, in a few words, where it has none.
    alone : str or None
        Why it cannot be put on images other than its own rows, in a few words, where it cannot.
    """

    modality: ClassVar[Modality] = IMAGE
    build: Callable[[Parameters, Tile, ImageContext], BuiltTrigger]
    check: Callable[[Parameters, Tile], None] = fits_any_tile
    picture: Literal["opaque", "alpha", "folder"] | None = None
    picture_help: str = "the picture, resized to image or patch"
    jitter: bool = False
    whole: str | None = None
    alone: str | None = None
