"""How well scores separate poisoned rows from clean ones: higher should mean poisoned."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from benchmark.core import random_streams

FIRST = 100
RESAMPLES = 200


def auroc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Return the probability that a positive has the higher score, ties counting half: exact. None of empty sets."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below = int(np.searchsorted(ordered, positive, "left").sum())
    upto = int(np.searchsorted(ordered, positive, "right").sum())
    return (below + upto) / (2 * len(positive) * len(negative))


def tpr(positive: np.ndarray, negative: np.ndarray, rate: str) -> float | None:
    """Return the greatest share of positives flagged by a threshold that flags at most that share of negatives."""
    if not len(positive) or not len(negative):
        return None
    allowed = math.floor(Fraction(rate) * len(negative))
    if allowed >= len(negative):
        return 1.0
    bound = np.sort(negative)[len(negative) - 1 - allowed]  # a threshold that flags this one flags one too many
    return int(np.count_nonzero(positive > bound)) / len(positive)


def precision(positive: np.ndarray, negative: np.ndarray, count: int = FIRST) -> float | None:
    """Return the share of positives among the `count` highest scores; of rows that tie at the end, their mean share."""
    if not len(positive) or not len(negative):
        return None
    count = min(count, len(positive) + len(negative))
    bound = np.sort(np.concatenate([positive, negative]))[-count]
    above, tied = np.count_nonzero(positive > bound), np.count_nonzero(positive == bound)
    room = count - above - np.count_nonzero(negative > bound)
    return float(above + room * tied / (tied + np.count_nonzero(negative == bound))) / count


FIGURES: dict[str, Callable] = {
    "auroc": auroc,
    "tpr_1": lambda positive, negative: tpr(positive, negative, "0.01"),
    "tpr_5": lambda positive, negative: tpr(positive, negative, "0.05"),
    "precision_100": precision,
}


def figures(positive: np.ndarray, negative: np.ndarray) -> dict[str, float | None]:
    """Return all of FIGURES. `ValueError` where a score is not a finite number."""
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise ValueError("a score is not a finite number")
    return {name: figure(positive, negative) for name, figure in FIGURES.items()}


def intervals(positive, negative, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, list[float]]:
    """Bootstrap: the 2.5 and 97.5 percentiles of each figure over resamples of the positives and of the negatives."""
    if not len(positive) or not len(negative):
        return {}
    values: dict[str, list[float | None]] = {name: [] for name in FIGURES}
    for number in range(resamples):
        words = random_streams.words(seed, f"bootstrap {number}", len(positive) + len(negative))
        uniform = (words >> np.uint64(11)) * 2.0**-53
        some = positive[(uniform[: len(positive)] * len(positive)).astype(np.int64)]
        others = negative[(uniform[len(positive) :] * len(negative)).astype(np.int64)]
        for name, value in figures(some, others).items():
            values[name].append(value)
    percentiles = {name: np.percentile(np.array(one, float), (2.5, 97.5)) for name, one in values.items()}
    return {name: [float(bound) for bound in bounds] for name, bounds in percentiles.items()}


def by_head(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Return the AUROC of every column by itself, (F,) float64, of (n, F) and (m, F).

    Below a half, the positives' values fall.
    """
    pairs = zip(positive.T, negative.T, strict=True)
    return np.array([np.nan if (value := auroc(*pair)) is None else value for pair in pairs])
