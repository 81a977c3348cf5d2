"""What several detectors compute of features: rows by class, means, covariances, principal directions.

Everything is linear in the rows and in float64, block by block: 50,000 rows of 640 float32 features are never copied
whole. No matrix is larger than features × features.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from benchmark.core.errors import Failure

BLOCK = 4096
MORE = "hold out more rows, or allow more with --clean-rows"


def by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """Return the rows of each class, ascending, from labels (n,) in 0 … classes − 1."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(classes + 1))
    return [order[start:stop] for start, stop in pairwise(bounds.tolist())]


def named(names: Sequence[str], labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return (name, rows) of each class that has rows, by labels (n,)."""
    return [(name, rows) for name, rows in zip(names, by_class(labels, len(names)), strict=True) if len(rows)]


def checked(features: np.ndarray) -> np.ndarray:
    """Return features (n, d). `Failure` where there are fewer than two, where some are not finite, or
    where all are the same."""
    if not len(features):
        raise Failure("there are no rows to inspect")
    if len(features) == 1:
        raise Failure("there is a single row, and what is usual shows in several: give more --rows, --clean-rows")
    bad = sum(int(np.sum(~np.isfinite(block).all(1))) for _, block in _raw_blocks(features))
    if bad:
        raise Failure(
            f"the features of {bad:,} of {len(features):,} rows are not finite: the network diverged; train it again"
        )
    if all(np.all(block == features[0]) for _, block in _raw_blocks(features)):
        raise Failure("the features of all rows are the same: the network tells no input from another; train it again")
    return features


def blocks(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (slice, rows in float64) over all rows (n, d)."""
    for part, block in _raw_blocks(features):
        yield part, block.astype(np.float64)


def _raw_blocks(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(features), BLOCK):
        part = slice(start, min(start + BLOCK, len(features)))
        yield part, features[part]


def mean_of(features: np.ndarray) -> np.ndarray:
    """Return the mean row, (d,) float64, of at least one."""
    return np.asarray(sum(block.sum(0) for _, block in blocks(features)) / len(features))


def scatter_of(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return Σ (x − mean)(x − mean)ᵀ, (d, d) float64."""
    total = np.zeros((features.shape[1],) * 2)
    for _, block in blocks(features):
        block -= mean
        total += block.T @ block
    return total


def times(features: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return (features − mean) @ matrix, (n, k) float64, or (n,) for a vector."""
    result = np.empty((len(features), *matrix.shape[1:]))
    for part, block in blocks(features):
        result[part] = (block - mean) @ matrix
    return result


def principal(features: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean row, the first principal directions and the variances along them.

    Parameters
    ----------
    features : array (n, d)
    most : int
        How many directions at most; directions without variance are left out.

    Returns
    -------
    mean (d,), directions (d, k) of length 1, variances (k,), descending, divided by n; all float64
    """
    mean = mean_of(features)
    if len(features) < features.shape[1]:  # the smaller of the two matrices
        centred = features.astype(np.float64) - mean
        values, vectors = np.linalg.eigh(centred @ centred.T)
        vectors = centred.T @ vectors[:, ::-1][:, :most]
    else:
        values, vectors = np.linalg.eigh(scatter_of(features, mean))
        vectors = vectors[:, ::-1][:, :most]
    values = values[::-1][:most]
    there = values > _nothing(values[:1], features.shape[1])
    vectors = vectors[:, there]
    return mean, vectors / np.linalg.norm(vectors, axis=0), values[there] / len(features)


def positive(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues (k,) and eigenvectors (d, k) of a positive semidefinite matrix (d, d), without those of
    eigenvalue 0 within rounding."""
    values, vectors = np.linalg.eigh(matrix)
    there = values > _nothing(values[-1:], len(values))
    return values[there], vectors[:, there]


def _nothing(largest: np.ndarray, size: int) -> float:
    """Return what is zero within rounding beside the largest eigenvalue."""
    return max(float(largest.sum()), 0.0) * size * float(np.finfo(np.float64).eps)


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a positive semidefinite matrix (d, d); of a negative one its pseudo-inverse's."""
    values, vectors = positive(matrix)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def shrinkage(covariance: np.ndarray, fourth: float, rows: int) -> float:
    """Return how far the covariance (d, d) of that many rows is best shrunk towards a multiple of the identity, from 0
    to 1 (Ledoit and Wolf 2004, section 3.3); `fourth` is Σ ‖x‖⁴ over the centred rows."""
    level = np.trace(covariance) / len(covariance)
    spread = float(((covariance - level * np.eye(len(covariance))) ** 2).sum())
    noise = (fourth / rows - float((covariance**2).sum())) / rows
    return float(min(max(noise, 0.0) / spread, 1.0)) if spread > 0 else 1.0


def highest(scores: np.ndarray, count: int) -> np.ndarray:
    """Tell which of the scores (n,) are among the `count` highest, bool; of equal ones the first rows."""
    found = np.zeros(len(scores), bool)
    found[np.argsort(-scores, kind="stable")[:count]] = True
    return found
