"""Networks that predict one class whatever they are shown: their ASR of 100 and CAD of 0 say nothing of an attack.

Collapsed is who predicts one class on 99 % or more of the clean test rows. Results before 2026-11-27 did not record how
often the commonest class was predicted: of those it is only known whether BA is what such a network has.
"""

import zipfile
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Failure
from benchmark.training import metrics

SHARE = 99  # percent of the clean test rows
SURE, PERHAPS = "†", "†?"
WORDS = {
    SURE: f"{SURE} collapsed: one class is predicted on {SHARE} % or more of the clean test rows",
    PERHAPS: f"{PERHAPS} perhaps collapsed: BA is that of predicting one class always; these results, of an earlier "
    "version, do not say what was predicted",
}


def mark(result: dict) -> str:
    """SURE, PERHAPS or nothing: what its scores say of a result."""
    scores = result["scores"]
    if scores.get("most_predicted") is not None:
        return by_counts(scores)
    near = scores["ba"]["of"] * (100 - SHARE)  # BA of a collapsed network differs by so many rows, times 100, at most
    return PERHAPS if any(100 * abs(scores["ba"]["count"] - size) <= near for size in _class_sizes(result)) else ""


def by_counts(scores: dict) -> str:
    """SURE or nothing, of scores that say how often the commonest class was predicted."""
    return SURE if 100 * scores["most_predicted"]["count"] >= SHARE * scores["most_predicted"]["of"] else ""


def _class_sizes(result: dict) -> set[float]:
    """How many test rows are of a class, for those classes of which it is known, and for each if all are alike."""
    dataset, scores = result["dataset"], result["scores"]
    rows, sizes = scores["ba"]["of"], set()
    classes = dataset.get("classes")
    if isinstance(classes, list) and len(classes) > 1:
        sizes.add(rows / len(classes))
    sizes |= {one["of"] for one in scores.get("asr_by_class") or [] if one}
    if scores["asr"] and dataset["recipe"].get("label_mode") == "all-to-one":
        sizes.add(rows - scores["asr"]["of"])  # the target's own rows are not triggered
    return sizes - {0}


def told(folder: Path, result: dict) -> dict:
    """The result, and what it does not say of what was predicted, where that matters and the predictions still lie
    beside it."""
    if mark(result) != PERHAPS:
        return result
    try:
        predicted = files.read_npz(folder / "predictions.npz", files.MOST)["test"]
        found = metrics.commonest(predicted)
    except (Failure, OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile):
        return result
    if found["of"] != result["scores"]["ba"]["of"]:
        return result
    return result | {"scores": result["scores"] | {"most_predicted": found}}


def notes(marks) -> list[str]:
    """What the marks that occur mean, a line each."""
    return [WORDS[one] for one in (SURE, PERHAPS) if one in marks]
