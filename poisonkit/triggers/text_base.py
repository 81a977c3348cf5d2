"""What a trigger of texts is: a function that puts phrases into texts, what it is given for that, and how places and
words are drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.modality import TEXT, Modality
from poisonkit.triggers.base import Parameters, TriggerSpec

TEST = "-test"


@dataclass(frozen=True)
class TextContext:
    """What a trigger of texts may draw on: the recipe's seed, the part that the rows are of ("train" or "test"), which
    occurrence of this trigger it is (so that two draw differently), and what the user's file holds."""

    seed: int
    part: str
    occurrence: int = 0
    given: Any = None

    def stream_name(self, purpose: str) -> str:
        """Return the name of a random stream: test rows have another than training rows of the same number."""
        whole = f"{purpose}-{self.occurrence}" if self.occurrence else purpose
        return whole + TEST if self.part == "test" else whole

    def raw(self, purpose: str, count: int, row: int) -> list[int]:
        """Draw raw 64-bit words for one row."""
        return random_streams.raw_words(self.seed, self.stream_name(purpose), count, row).tolist()


Inserted = tuple[np.ndarray, np.ndarray]
"""Texts (n,) object with the trigger in them, a new array, and the insertions, (q, 3) int64: number of the text,
position in words, number of the phrase, in the order of insertion."""
Insert = Callable[[Parameters, np.ndarray, np.ndarray, TextContext], Inserted]
"""``insert(parameters, texts, rows, context)``: `texts` (n,) object; `rows` (n,) int64 their row numbers in their part.
What is drawn for a row depends on no other row."""


@dataclass(frozen=True, kw_only=True)
class TextTrigger(TriggerSpec):
    """A trigger of texts.

    Attributes
    ----------
    insert : callable
        Puts the trigger into texts, see `Insert`.
    cover : callable, optional
        The same for cover rows, which else get `insert` too.
    phrases : callable
        ``phrases(parameters)``: what it puts into texts, by the number that the insertions give each; none where that
        is not known beforehand.
    streams : callable
        ``streams(parameters)``: the streams that it draws from, without the suffixes of `TextContext.stream_name`.
    repeated : mapping
        Key of a parameter that is a list → name of an option that may be given several times, for one value each.
    wants_covers : str, optional
        Why it should have cover rows: a warning where a recipe has none.
    """

    modality: ClassVar[Modality] = TEXT
    insert: Insert
    cover: Insert | None = None
    phrases: Callable[[Parameters], list[str]] = lambda _parameters: []
    streams: Callable[[Parameters], tuple[str, ...]] = lambda _parameters: ()
    repeated: dict[str, str] = field(default_factory=dict)
    wants_covers: str | None = None


def below(raw: int, count: int) -> int:
    """Map a raw word to a whole number from 0 to count − 1."""
    return (raw >> 32) * count >> 32


def position_of(where: str, raw: int, length: int) -> int:
    """Find the position of an insertion into a text of `length` words: "start", "end", or "random", by a raw word."""
    return {"start": 0, "end": length, "random": below(raw, length + 1)}[where]


def insertions(made: list[tuple[int, int, int]]) -> np.ndarray:
    """Make an array of insertions, (q, 3) int64."""
    return np.array(made, np.int64).reshape(-1, 3)
