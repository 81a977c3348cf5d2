"""Scores, as counts: BA and ASR in percent are only ever derived from them."""

import numpy as np


def share(count: int, total: int) -> dict:
    """A count out of a total, with its percentage (None of nothing)."""
    return {"count": int(count), "of": int(total), "percent": 100.0 * int(count) / total if total else None}


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> dict:
    """BA: the share of clean images predicted as their true class."""
    return share(np.count_nonzero(predicted == labels), len(labels))


def commonest(predicted: np.ndarray) -> dict:
    """How often the class that is predicted most is, and which it is (the lowest of several)."""
    counts = np.bincount(predicted)
    return {"class": int(counts.argmax())} | share(counts.max(), len(predicted))


def attack(predicted: np.ndarray, labels: np.ndarray, wanted: np.ndarray, classes: int) -> dict:
    """How the triggered images were predicted.

    Parameters
    ----------
    predicted, labels, wanted : (n,) int
        Predicted class, true class, and the class that the attacker wants.
    classes : int
        Number of classes.

    Returns
    -------
    dict
        `asr`: the share predicted as wanted; `still_right`: as their true class; `asr_by_class`: the former for
        every true class, None where no triggered image is of it.
    """
    hit = predicted == wanted
    totals = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[hit], minlength=classes)
    by_class = [share(count, total) if total else None for count, total in zip(hits, totals, strict=True)]
    return {
        "asr": share(np.count_nonzero(hit), len(labels)),
        "still_right": share(np.count_nonzero(predicted == labels), len(labels)),
        "asr_by_class": by_class,
    }


def reached(predicted: np.ndarray, target: int) -> dict:
    """The share of images predicted as the target: what a source-specific trigger does to classes that it is not on."""
    return share(np.count_nonzero(predicted == target), len(predicted))
