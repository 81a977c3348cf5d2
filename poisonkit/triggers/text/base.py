"""What the triggers of texts share: what one is given beside the texts, and how it draws places and words.

A trigger of texts has `MODALITY = "text"`, and instead of `check` and `build`

- `put(parameters, texts, rows, context)`: the texts (n,) object with the trigger in them, a new array, and what was put
  where, (q, 3) int64: number of the text, place, piece, in the order of insertion;
- `cover(parameters, texts, rows, context)`, where it has one: the same for cover rows, which else get `put` too;
- `pieces(parameters)`: what it puts into texts, by the number that the insertions give each; none where that is not
  known before;
- `streams(parameters)`: the names of the streams that it draws from, without the suffixes that `Context.purpose` adds;
- `options` in its `Option`s as any other trigger; values of the recipe may be lists of texts too.

`rows` are the texts' own row numbers in their part, (n,) int64: what is drawn for a row depends on no other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from poisonkit.core import random_streams

TEST = "-test"


@dataclass(frozen=True)
class Context:
    """What a trigger of texts may draw on: the recipe's seed, the part that the rows are of ("train" or "test"), which
    trigger of its kind it is (so that two draw differently), and what the user gave it beside its parameters."""

    seed: int
    part: str
    serial: int = 0
    given: Any = None

    def purpose(self, name: str) -> str:
        """The name of a random stream: test rows have another than training rows of the same number."""
        whole = f"{name}-{self.serial}" if self.serial else name
        return whole + TEST if self.part == "test" else whole

    def words(self, name: str, count: int, row: int) -> list[int]:
        """Raw random words for one row."""
        return random_streams.words(self.seed, self.purpose(name), count, row).tolist()


def below(word: int, count: int) -> int:
    """A whole number from 0 to count − 1 from a raw word."""
    return (word >> 32) * count >> 32


def place_of(where: str, drawn: int, length: int) -> int:
    """The place of an insertion into a text of that many words: "start", "end", or "random", by a raw word."""
    return {"start": 0, "end": length, "random": below(drawn, length + 1)}[where]


def insertions(found: list[tuple[int, int, int]]) -> np.ndarray:
    """Insertions as an array, (q, 3) int64."""
    return np.array(found, np.int64).reshape(-1, 3)
