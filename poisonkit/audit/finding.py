"""What a probe found."""

from dataclasses import dataclass, field

import numpy as np

NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Finding:
    """One probe's result: its `name`, what it saw in words, the training rows that it takes for changed, (k,) int64.

    `sure`: whether those rows count as found. What is only unusual does not: such rows exist in untouched data.
    """

    name: str
    text: str
    rows: np.ndarray = field(default_factory=lambda: NONE)
    sure: bool = True


def count(rows: np.ndarray, what: str) -> str:
    """``3 rows with another label``."""
    return f"{len(rows):,} row{'' if len(rows) == 1 else 's'} {what}"
