"""Scores, as counts: BA and ASR in percent are only ever derived from them."""

from typing import Any, SupportsInt

import numpy as np


def share(count: SupportsInt, total: SupportsInt) -> dict[str, Any]:
    """Make a count out of a total, with its percentage (None of nothing)."""
    whole = int(total)
    return {"count": int(count), "of": whole, "percent": 100.0 * int(count) / whole if whole else None}


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Count benign accuracy (BA): the share of clean images predicted as their true class."""
    return share(np.count_nonzero(predicted == labels), len(labels))


def commonest(predicted: np.ndarray) -> dict[str, Any]:
    """Count how often the most predicted class is predicted, and say which it is (the lowest of several)."""
    counts = np.bincount(predicted)
    return {"class": int(counts.argmax())} | share(counts.max(), len(predicted))


def attack(predicted: np.ndarray, labels: np.ndarray, target_labels: np.ndarray, classes: int) -> dict[str, Any]:
    """Count how the triggered rows were predicted.

    Parameters
    ----------
    predicted, labels, target_labels : (n,) int
        Predicted class, true class, and the class that the attacker wants.
    classes : int
        Number of classes.

    Returns
    -------
    dict
        `asr`: the share predicted as wanted; `still_right`: as their true class (robust accuracy); `asr_by_class`:
        `asr` for every true class, None where no triggered row is of it.
    """
    hit = predicted == target_labels
    totals = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[hit], minlength=classes)
    by_class = [share(count, total) if total else None for count, total in zip(hits, totals, strict=True)]
    return {
        "asr": share(np.count_nonzero(hit), len(labels)),
        "still_right": share(np.count_nonzero(predicted == labels), len(labels)),
        "asr_by_class": by_class,
    }


def reached(predicted: np.ndarray, target: int) -> dict[str, Any]:
    """Count the rows predicted as the target: what a source-specific trigger does to classes that it is not on."""
    return share(np.count_nonzero(predicted == target), len(predicted))
