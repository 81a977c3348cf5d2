"""What the trigger modules share: how a parameter is declared, what a build is given and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.stencil import Stencil


@dataclass(frozen=True)
class Option:
    """One parameter: its key in the recipe, how its text becomes the recipe's value, its default there.

    `parse` takes the text and raises ValueError with what was expected. Recipe values are integers, strings (decimals
    among them) and lists of integers, never floats. A `late` parameter came after files had been made without it: the
    recipe records it only where it is not the default, so that their bytes and names stay what they are.
    """

    key: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    metavar: str
    late: bool = False


@dataclass(frozen=True)
class Context:
    """What a build may draw on: the recipe's seed, which trigger of its kind it is (so that two warps differ), and the
    user's picture, (h, w, C) uint8, or (h, w, C + 1) with its opacity, if there is one."""

    seed: int
    serial: int = 0
    picture: np.ndarray | None = None

    def purpose(self, name: str) -> str:
        """The name of a random stream: that of the first trigger of a kind does not depend on the others."""
        return f"{name}-{self.serial}" if self.serial else name

    def noise(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform ±1 noise from the stream of that name."""
        return random_streams.signed_noise(self.seed, self.purpose(name), shape)


@dataclass(frozen=True)
class Jitter:
    """How a trigger is put on a cover row with noise of that row's own: `apply(images, rows)` takes (n, H, W, C) uint8
    and the numbers of these training rows, and draws from `stream`, for each row by its number."""

    stream: str
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Built:
    """A stencil for one tile, what else goes into the file's `trigger/` group, the streams that were drawn from, and
    its noise mode, if it has one."""

    stencil: Stencil
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    jitter: Jitter | None = None
