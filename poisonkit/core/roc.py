"""How well scores pick out rows, in plain NumPy. Tied scores are one step: no order among them is made up."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Every place at which scores can be cut: at the distinct `thresholds`, falling, (T,) float64, the rows that score
    at least that much are `hits` of the `positives` and `false` of the `negatives`, (T,) int64."""

    thresholds: np.ndarray
    hits: np.ndarray
    false: np.ndarray
    positives: int
    negatives: int


def curve(scores: np.ndarray, truth: np.ndarray) -> Curve:
    """Return the curve of scores (n,), more being more suspicious, against the truth (n,) bool."""
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], truth[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, np.int64)
    hits, taken = np.cumsum(right)[last], last + 1
    return Curve(ranked[last], hits.astype(np.int64), taken - hits, int(truth.sum()), int((~truth).sum()))


def auroc(steps: Curve) -> float | None:
    """Return the chance that a positive scores above a negative, ties counting half; None without either."""
    if not steps.positives or not steps.negatives:
        return None
    hits, false = (np.concatenate([[0], counts]) for counts in (steps.hits, steps.false))
    twice = int((np.diff(false) * (hits[1:] + hits[:-1])).sum())  # trapezia, in whole numbers
    return twice / (2 * steps.positives * steps.negatives)


def average_precision(steps: Curve) -> float | None:
    """Σ (recall gained at a step) · (precision there); None without positives."""
    if not steps.positives:
        return None
    gained = np.diff(np.concatenate([[0], steps.hits]))
    return float((gained * (steps.hits / (steps.hits + steps.false))).sum() / steps.positives)


def tpr_at_fpr(steps: Curve, percent: int) -> float | None:
    """Return the greatest share of positives found where at most so many percent of the negatives are taken; None
    without either."""
    if not steps.positives or not steps.negatives:
        return None
    fits = steps.false * 100 <= percent * steps.negatives
    return float(steps.hits[fits].max(initial=0) / steps.positives)


def cut(hits: int, taken: int, positives: int) -> dict[str, Any]:
    """Precision, recall and F1 of a choice of rows: `taken` rows, of which `hits` are positives. None of nothing."""
    total = taken + positives
    return {
        "taken": int(taken),
        "hits": int(hits),
        "precision": hits / taken if taken else None,
        "recall": hits / positives if positives else None,
        "f1": 2 * hits / total if total else None,
    }


def best_f1(steps: Curve) -> dict[str, Any] | None:
    """Return the cut of the greatest F1, the highest threshold on a tie, with its `threshold`; None without
    positives."""
    if not steps.positives or not len(steps.thresholds):
        return None
    taken = steps.hits + steps.false
    best = int(np.argmax(2 * steps.hits / (taken + steps.positives)))
    return {"threshold": float(steps.thresholds[best])} | cut(int(steps.hits[best]), int(taken[best]), steps.positives)
