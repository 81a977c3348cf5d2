"""How unusual a text's similarities are beside clean texts of similar length (docs/heads.md, "What is measured").

F = L·H similarities a text, layer by layer. The reference statistics are those of the untouched model on its held-out
rows.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NEAREST = 200
SOFTENING = 1e-3
RIDGE = 0.1
HEADS = 8


@dataclass(frozen=True)
class Reference:
    """The similarities `values` (m, F) of the held-out rows, and their `lengths` (m,) in tokens."""

    values: np.ndarray
    lengths: np.ndarray
    nearest: int = NEAREST

    def statistics(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation, (F,) each, over the rows nearest in length (of ties the first)."""
        rows = self._nearest(length)[: self.nearest]
        return self.values[rows].mean(0), self.values[rows].std(0)

    def standardised(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return (values − mean) / (deviation + 1e-3) for other rows, (n, F)."""
        lengths = np.asarray(lengths)
        result = np.empty(values.shape)
        for length in np.unique(lengths):
            mean, deviation = self.statistics(length)
            rows = lengths == length
            result[rows] = (values[rows] - mean) / (deviation + SOFTENING)
        return result

    @cached_property
    def own(self) -> np.ndarray:
        """The same for the held-out rows themselves, each beside the others alone, (m, F)."""
        result = np.empty(self.values.shape)
        for length in np.unique(self.lengths):
            order = self._nearest(length)[: self.nearest + 1]
            for row in np.flatnonzero(self.lengths == length):
                others = self.values[order[order != row][: self.nearest]]
                result[row] = (self.values[row] - others.mean(0)) / (others.std(0) + SOFTENING)
        return result

    def _nearest(self, length: int) -> np.ndarray:
        return np.argsort(np.abs(self.lengths - length), kind="stable")

    @cached_property
    def _spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of `own`, and the inverse of its covariance + 0.1·I."""
        mean = self.own.mean(0)
        centred = self.own - mean
        covariance = centred.T @ centred / len(centred)
        return mean, np.linalg.inv(covariance + RIDGE * np.eye(len(covariance)))

    def mahalanobis(self, z: np.ndarray) -> np.ndarray:
        """Return the distances (n,) of standardised rows (n, F) from the held-out rows."""
        mean, inverse = self._spread
        centred = z - mean
        return np.sqrt(np.maximum(((centred @ inverse) * centred).sum(1), 0))


def greatest(z: np.ndarray) -> np.ndarray:
    """Return max |z| of each row, (n,)."""
    return np.abs(z).max(1)


def over_heads(z: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return the mean |z| over the contaminated heads alone, (n,): the second pass."""
    return np.abs(z[:, heads]).mean(1)


def first(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of the `count` highest scores, highest first; of equal scores the first row first."""
    return np.argsort(-scores, kind="stable")[:count]


def contaminated(z: np.ndarray, count: int = HEADS, threshold: float | None = None) -> np.ndarray:
    """Return the heads of the largest |median z| over flagged rows `z` (n, F), largest first, of equals the first.

    The first `count` of them; with a threshold all that reach it, possibly none.
    """
    size = np.abs(np.median(z, axis=0))
    order = np.argsort(-size, kind="stable")
    return order[:count] if threshold is None else order[size[order] >= threshold]
