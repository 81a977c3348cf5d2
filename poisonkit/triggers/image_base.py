"""What a trigger of images is: a function that builds a stencil for one tile, and what it is given for that."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.modality import IMAGE, Modality
from poisonkit.core.stencil import Stencil
from poisonkit.triggers.base import Parameters, TriggerSpec

Tile = tuple[int, int, int]
"""Height, width and channels of what a trigger is built for: the image, or one patch of it."""


@dataclass(frozen=True)
class ImageContext:
    """What a build may draw on: the recipe's seed, which occurrence of this trigger it is (so that two warps differ),
    the user's picture, (h, w, C) uint8, or (h, w, C + 1) with its opacity, if there is one, and what another file of
    the user's holds (`UserFile.read`)."""

    seed: int
    occurrence: int = 0
    picture: np.ndarray | None = None
    given: Any = None

    def stream_name(self, purpose: str) -> str:
        """Return the name of a random stream; that of a trigger's first occurrence does not depend on the others."""
        return f"{purpose}-{self.occurrence}" if self.occurrence else purpose

    def noise(self, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        """Draw uniform ±1 noise of a shape, float64, from the stream for that purpose."""
        return random_streams.signed_noise(self.seed, self.stream_name(purpose), shape)


@dataclass(frozen=True)
class Jitter:
    """How a trigger is put on a cover row with noise of that row's own: `apply(images, rows)` takes (n, H, W, C) uint8
    and the numbers of these training rows, and draws from `stream`, for each row by its number."""

    stream: str
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BuiltTrigger:
    """A stencil for one tile, what else goes into the file's `trigger/` group, the streams that were drawn from, and
    its noise mode, if it has one."""

    stencil: Stencil
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    jitter: Jitter | None = None


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
    picture : "opaque", "alpha" or None
        Whether it takes a picture (`--NAME-image`), and whether the picture's transparency counts.
    jitter : bool
        Whether it has a noise mode for cover rows, as `--cover-jitter` asks for.
    """

    modality: ClassVar[Modality] = IMAGE
    build: Callable[[Parameters, Tile, ImageContext], BuiltTrigger]
    check: Callable[[Parameters, Tile], None] = fits_any_tile
    picture: Literal["opaque", "alpha"] | None = None
    jitter: bool = False
