"""Networks that predict one class whatever they are shown: their ASR of 100 and CAD of 0 say nothing of an attack.

A network has collapsed if it predicts one class on 99 % or more of the clean test rows. Results before 2026-11-27 did
not record how often the most predicted class was predicted: of those it is only known whether BA is what such a network
has.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from benchmark.core import archives, files
from benchmark.core.errors import Failure
from benchmark.runs.result import RunResult
from benchmark.training.metrics import MostPredicted, Scores

SHARE = 99  # percent of the clean test rows
SURE, PERHAPS = "†", "†?"
WORDS = {
    SURE: f"{SURE} collapsed: one class is predicted on {SHARE} % or more of the clean test rows",
    PERHAPS: f"{PERHAPS} may have collapsed: BA is that of always predicting one class; these results, of an earlier "
    "version, do not record what was predicted",
}


def mark(result: RunResult) -> str:
    """Judge a result by its scores: SURE, PERHAPS or nothing."""
    scores = result.scores
    if scores.most_predicted is not None:
        return by_counts(scores)
    near = scores.ba.of * (100 - SHARE)  # rows, times 100, by which the BA of a collapsed network differs at most
    return PERHAPS if any(100 * abs(scores.ba.count - size) <= near for size in _class_sizes(result)) else ""


def by_counts(scores: Scores) -> str:
    """Judge scores that say how often the most predicted class was predicted: SURE or nothing."""
    most = scores.most_predicted
    return SURE if most is not None and 100 * most.count >= SHARE * most.of else ""


def _class_sizes(result: RunResult) -> set[float]:
    """Numbers of test rows of those classes of which it is known, and the mean over all classes."""
    dataset, scores = result.dataset, result.scores
    rows, sizes = scores.ba.of, set[float]()
    if len(dataset.classes) > 1:
        sizes.add(rows / len(dataset.classes))
    sizes |= {share.of for share in scores.asr_by_class if share is not None}
    if scores.asr is not None and dataset.recipe.label_mode == "all-to-one":
        sizes.add(rows - scores.asr.of)  # the target's own rows are not triggered
    return sizes - {0}


def completed(folder: Path, result: RunResult) -> RunResult:
    """Add what an old result does not say of what was predicted, where that matters and the predictions are still
    beside it."""
    if mark(result) != PERHAPS:
        return result
    try:
        predicted = files.read_npz(folder / "predictions.npz", files.MOST)["test"]
        if predicted.ndim != 1 or predicted.dtype.kind not in "iu":
            return result
        commonest = MostPredicted.among(predicted)
    except (*archives.BROKEN, Failure, KeyError, TypeError, MemoryError):
        return result
    if commonest.of != result.scores.ba.of or not 0 <= commonest.label < max(1, len(result.dataset.classes)):
        return result
    return result.with_scores(dataclasses.replace(result.scores, most_predicted=commonest))


def notes(marks: Iterable[str]) -> list[str]:
    """Explain the marks that occur, one line each."""
    marks = set(marks)
    return [WORDS[one] for one in (SURE, PERHAPS) if one in marks]
