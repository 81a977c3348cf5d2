"""What a probe found."""

from collections.abc import Sized
from dataclasses import dataclass, field

import numpy as np

NONE = np.empty(0, np.int64)
FILE, SOURCE = "file", "source"


@dataclass(frozen=True)
class Finding:
    """One probe's result: its `name`, what it saw in words, the training rows that it takes for changed, (k,) int64.

    `sure`: whether those rows count as found. What is only unusual does not: such rows exist in untouched data.
    `team`: who could do it, whoever has the file (`FILE`) or whoever has the public source too (`SOURCE`). `scores`,
    where the probe ranks rows: of the `tried` rows (None: of all), more being more suspicious.
    """

    name: str
    text: str
    rows: np.ndarray = field(default_factory=lambda: NONE)
    sure: bool = True
    team: str = FILE
    scores: np.ndarray | None = None
    tried: np.ndarray | None = None

    def ranking(self, count: int) -> tuple[np.ndarray, np.ndarray] | None:
        """(scores, rows that they are of) among `count` rows: those of the probe, else 1 for the rows that it names;
        None where it has neither."""
        if self.scores is not None:
            return self.scores, np.arange(count) if self.tried is None else self.tried
        if not len(self.rows):
            return None
        named = np.zeros(count)
        named[self.rows] = 1.0
        return named, np.arange(count)


def count(rows: Sized, what: str) -> str:
    """Say ``3 rows with another label``."""
    return f"{len(rows):,} row{'' if len(rows) == 1 else 's'} {what}"
