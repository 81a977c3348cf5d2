"""`poisonkit grade`: a team's submission against the answer that a sealed file committed to."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.blind import authenticity, keys, unseal
from poisonkit.blind.submissions import Submission, read
from poisonkit.core import roc
from poisonkit.core.errors import Usage
from poisonkit.format import reader
from poisonkit.format.manifest import KeyManifest, SealedManifest
from poisonkit.poisoning.selection import COVER

PERCENT = 1


@dataclass(frozen=True)
class Truth:
    """What a sealed file committed to: its name and commitment, and of each training row whether it was `changed`,
    (n,) bool, and whether it is a `cover` row among those, (n,) bool."""

    challenge: str
    commitment: str
    changed: np.ndarray
    cover: np.ndarray

    @classmethod
    def open(cls, path: Path, key: Path | None) -> "Truth":
        """Read it from the key of the sealed file at `path`. `Failure` where the key is not the one committed to."""
        with reader.reading(path, SealedManifest) as challenge:
            sealed = challenge.manifest
        with reader.reading(key or keys.find_or_fail(path, sealed.name), KeyManifest) as held:
            answer = unseal.check(sealed, held)
            authenticity.check(path, held)
        changed, cover = np.zeros((2, sealed.rows("train/labels")), bool)
        changed[answer.rows] = True
        cover[answer.rows[answer.role == COVER]] = True
        return cls(sealed.name, sealed.commitment, changed, cover)

    def counts(self) -> dict[str, int]:
        """Count the rows, the changed ones, and the two kinds of these, by their JSON keys."""
        changed, cover = int(self.changed.sum()), int(self.cover.sum())
        return {"rows": len(self.changed), "changed": changed, "poisoned": changed - cover, "cover": cover}


def grade(path: Path, key: Path | None, submission: Path, threshold: float | None = None) -> dict:
    """Grade a submission; return the scores by their JSON keys.

    Raises `Failure` where the key is not the one that the file committed to, or the submission is not in order; `Usage`
    for a threshold on rows without scores.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise Usage(f"--threshold: expected a finite number, got {threshold}")
    truth = Truth.open(path, key)
    given = read(submission, len(truth.changed))
    if given.scores is None and threshold is not None:
        raise Usage("--threshold: the submission lists rows without scores, so there is nothing to threshold")
    graded = {"challenge": truth.challenge, "commitment": truth.commitment} | truth.counts()
    return graded | {"submitted": len(given.rows)} | measures(given, truth.changed, threshold)


def measures(given: Submission, truth: np.ndarray, threshold: float | None = None) -> dict:
    """Compute every measure of a submission against the truth (n,) bool; None where it is not defined."""
    scores = given.dense(len(truth))
    steps = roc.curve(scores, truth)
    chosen = scores >= (1.0 if given.scores is None else math.inf if threshold is None else threshold)
    at = roc.cut(int((chosen & truth).sum()), int(chosen.sum()), int(truth.sum()))
    return {
        "auroc": roc.auroc(steps),
        "average_precision": roc.average_precision(steps),
        "tpr_at_1_percent_fpr": roc.tpr_at_fpr(steps, PERCENT),
        "best_f1": None if given.scores is None else roc.best_f1(steps),
        "at_threshold": None if threshold is None else {"threshold": threshold} | at,
        "listed": at if given.scores is None else None,
    }


def lines(graded: dict) -> list[str]:
    """Lay out the table for people."""
    rows = [
        *head(graded),
        ("AUROC", _number(graded["auroc"])),
        ("average precision", _number(graded["average_precision"])),
        (f"TPR at {PERCENT} % FPR", _number(graded["tpr_at_1_percent_fpr"])),
    ]
    for name, key in (("F1, best", "best_f1"), ("F1, at threshold", "at_threshold"), ("F1, rows listed", "listed")):
        if graded[key] is not None:
            rows.append((name, _cut(graded[key])))
    return [f"{name:20}{value}" for name, value in rows]


def head(graded: dict) -> list[tuple[str, str]]:
    """Return what is said of the challenge before any score, name and text of each line."""
    changed = f"{graded['changed']:,} of {graded['rows']:,} rows were changed"
    if graded["cover"]:
        changed += f" ({graded['poisoned']:,} poisoned, {graded['cover']:,} cover)"
    return [("challenge", f"{graded['challenge']}; the key's answer is the one committed to"), ("answer", changed)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cut(one: dict) -> str:
    text = f"{_number(one['f1'])} (precision {_number(one['precision'])}, recall {_number(one['recall'])}"
    text += f"; {one['hits']:,} of {one['taken']:,} rows right"
    return text + (f"; threshold {one['threshold']:.6g})" if "threshold" in one else ")")
