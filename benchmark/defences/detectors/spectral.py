"""Spectral signatures (Tran et al. 2018): suspicious is a row whose features lie far from its class's mean along the
class's first principal direction."""

import numpy as np

from benchmark.defences import statistics


def class_scores(features: np.ndarray, centred: bool = True) -> np.ndarray:
    """Return the scores (n,) of the rows (n, d) of one class: (v · (h − mean))², v the first principal direction.

    With `centred=False` |v · h|, as published code has it. 0 where the features do not vary.
    """
    if len(features) < 2:
        return np.zeros(len(features))
    mean, directions, _ = statistics.principal(features, 1)
    if not directions.shape[1]:
        return np.zeros(len(features))
    along = statistics.times(features, mean if centred else np.zeros_like(mean), directions[:, 0])
    return along**2 if centred else np.abs(along)


def scores(features: np.ndarray, labels: np.ndarray, classes: int, centred: bool = True) -> np.ndarray:
    """Return `class_scores` of every row within its own class, (n,) float64 (Tran et al. 2018, algorithm 1).

    Parameters
    ----------
    features : array (n, d)
    labels : int array (n,), 0 … classes − 1
    classes : int
    centred : bool
        Whether the mean is subtracted before the projection, as in the paper.
    """
    result = np.zeros(len(labels))
    for rows in statistics.by_class(labels, classes):
        result[rows] = class_scores(features[rows], centred)
    return result


def budgets(labels: np.ndarray, classes: int, expected: float) -> np.ndarray:
    """Return how many rows each class loses, (classes,) int64: 1.5 × the expected poisons, at most half of it."""
    sizes = np.bincount(labels, minlength=classes)
    return np.minimum(int(1.5 * expected * len(labels)), sizes // 2).astype(np.int64)


def cut(
    scores: np.ndarray, labels: np.ndarray, classes: int, expected: float, percentile: float | None = None
) -> np.ndarray:
    """Tell which rows are removed, (n,) bool: of each class the highest by `budgets`, or with a `percentile` those
    above it. A score of 0 is never removed."""
    flagged = np.zeros(len(labels), bool)
    counts = budgets(labels, classes, expected)
    for rows, count in zip(statistics.by_class(labels, classes), counts, strict=True):
        if percentile is None:
            flagged[rows] = statistics.highest(scores[rows], int(count))
        elif len(rows):
            flagged[rows] = scores[rows] > np.percentile(scores[rows], percentile)
    return flagged & (scores > 0)
