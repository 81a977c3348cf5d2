"""`poisonkit grade`: a team's submission against the answer that a sealed file committed to."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.blind import authenticity, keys, unseal
from poisonkit.core import numbers, roc
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader
from poisonkit.format.manifest import KeyManifest, SealedManifest

LONGEST_LINE = 1000
PERCENT = 1


@dataclass(frozen=True)
class Submission:
    """The rows that a team named, (n,) int64, and the score of each, (n,) float64; None where rows alone were given."""

    rows: np.ndarray
    scores: np.ndarray | None


def read(path: Path, count: int) -> Submission:
    """Read a CSV of `row,score` or of `row` alone, header or not, for a training set of `count` rows; `-` is standard
    input.

    Raises `Failure` with the number of the line that is wrong.
    """
    if str(path) == "-":
        return _parse("standard input", sys.stdin, count)
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            return _parse(str(path), file, count)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None


def _parse(name: str, file, count: int) -> Submission:
    lines: dict[int, int] = {}
    scores: list[float] = []
    width, number = 0, 0  # of a line, in fields: 0 before the first
    while text := file.readline(LONGEST_LINE):
        number += 1
        fields = [field.strip() for field in text.removeprefix("\ufeff" if number == 1 else "").split(",")]
        if fields == [""]:
            continue
        where = f"{name}: line {number}"
        if number == 1 and _header(fields):
            width = len(fields)
            continue
        if width not in (0, len(fields)) or len(fields) > 2:
            expected = {1: "row", 2: "row,score"}.get(width, "row,score or row alone")
            raise Failure(f"{where}: has {len(fields)} field(s), expected {expected}")
        width = len(fields)
        row = _row(fields[0], count, where)
        if row in lines:
            raise Failure(f"{where}: row {row} was on line {lines[row]} already")
        lines[row] = number
        if width == 2:
            scores.append(_score(fields[1], where))
    if not width:
        raise Failure(f"{name}: is empty: expected row,score in each line, or row alone (the line `row` lists none)")
    rows = np.fromiter(lines, np.int64, len(lines))
    if width == 1:
        return Submission(rows, None)
    if len(rows) < count:
        missing = int(np.setdiff1d(np.arange(count), rows)[0])
        raise Failure(
            f"{name}: {count - len(rows):,} of {count:,} rows have no score, row {missing} first: "
            "every training row needs one (or leave the scores out, and list the rows you suspect)"
        )
    return Submission(rows, np.array(scores))


def _header(fields: list[str]) -> bool:
    return [field.strip('"').lower() for field in fields] in (["row"], ["row", "score"])


def _row(text: str, count: int, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Failure(f"{where}: {text!r:.40} is not a row number: expected a whole number from 0 to {count - 1}")
    if int(text) >= count:
        raise Failure(f"{where}: there is no row {text}: the training rows are 0 … {count - 1}")
    return int(text)


def _score(text: str, where: str) -> float:
    try:
        return numbers.real(text)
    except ValueError:
        raise Failure(f"{where}: {text!r:.40} is not a score: expected a finite number") from None


def grade(path: Path, key: Path | None, submission: Path, threshold: float | None = None) -> dict:
    """Grade a submission; return the scores by their JSON keys.

    Raises `Failure` where the key is not the one that the file committed to, or the submission is not in order; `Usage`
    for a threshold on rows without scores.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise Usage(f"--threshold: expected a finite number, got {threshold}")
    with reader.reading(path, SealedManifest) as challenge:
        sealed = challenge.manifest
    with reader.reading(key or keys.find_or_fail(path, sealed.name), KeyManifest) as held:
        answer = unseal.check(sealed, held)
        authenticity.check(path, held)
    count = sealed.rows("train/labels")
    truth = np.zeros(count, bool)
    truth[answer.rows] = True
    given = read(submission, count)
    if given.scores is None and threshold is not None:
        raise Usage("--threshold: the submission lists rows without scores, so there is nothing to threshold")
    graded = {
        "challenge": sealed.name,
        "commitment": sealed.commitment,
        "rows": count,
        "changed": len(answer.rows),
        "poisoned": int((answer.role == 1).sum()),
        "cover": int((answer.role == 2).sum()),
        "submitted": len(given.rows),
    }
    return graded | measures(given, truth, threshold)


def measures(given: Submission, truth: np.ndarray, threshold: float | None = None) -> dict:
    """Compute every measure of a submission against the truth (n,) bool; None where it is not defined."""
    scores = np.zeros(len(truth))
    scores[given.rows] = 1.0 if given.scores is None else given.scores
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
    changed = f"{graded['changed']:,} of {graded['rows']:,} rows were changed"
    if graded["cover"]:
        changed += f" ({graded['poisoned']:,} poisoned, {graded['cover']:,} cover)"
    rows = [
        ("challenge", f"{graded['challenge']}; the key's answer is the one committed to"),
        ("answer", changed),
        ("AUROC", _number(graded["auroc"])),
        ("average precision", _number(graded["average_precision"])),
        (f"TPR at {PERCENT} % FPR", _number(graded["tpr_at_1_percent_fpr"])),
    ]
    for name, key in (("F1, best", "best_f1"), ("F1, at threshold", "at_threshold"), ("F1, rows listed", "listed")):
        if graded[key] is not None:
            rows.append((name, _cut(graded[key])))
    return [f"{name:20}{value}" for name, value in rows]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cut(one: dict) -> str:
    text = f"{_number(one['f1'])} (precision {_number(one['precision'])}, recall {_number(one['recall'])}"
    text += f"; {one['hits']:,} of {one['taken']:,} rows right"
    return text + (f"; threshold {one['threshold']:.6g})" if "threshold" in one else ")")
