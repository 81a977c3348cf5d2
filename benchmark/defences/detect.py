"""`benchmark detect`: a score for each training row of a run's file, and how right it is where the truth is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import driver, records, score_files, study
from benchmark.defences.chosen import Chosen
from benchmark.defences.context import Detection
from benchmark.defences.driver import Driver, Log
from benchmark.defences.measures import measure
from benchmark.defences.records import DETECT, Detected
from benchmark.defences.registry import DetectorSpec
from benchmark.defences.subject import Subject
from benchmark.training.metrics import Json


def detector(log: Log) -> Driver[DetectorSpec, Detected]:
    """Return what runs detectors on finished runs."""
    return Driver(DETECT, records.detected, _detect, log)


def _detect(subject: Subject, one: Chosen[DetectorSpec], target: Path, log: Log) -> Json:
    context = subject.context
    found = checked(one.spec.score(context, **one.settings), len(context.rows), one.spec.name)
    score_files.write_scores(target / score_files.SCORES, context.rows, found.scores)
    if found.flagged is not None:
        score_files.write_flagged(target / score_files.FLAGGED, context.rows[found.flagged])
    studied = study.of_method(one, subject, found.state, (), target, log)
    return {
        "rows": _rows(subject, found),
        **_measured(subject, found),
        "findings": found.findings,
        **driver.kept_of(studied),
        **driver.drawn([found.pictures, studied.pictures if studied else {}], target, log),
    }


def checked(found: Any, rows: int, method: str) -> Detection:
    """Return what a detector has said, as float64 and bool. `Failure` where it is not a finite score for each row."""
    if not isinstance(found, Detection):
        raise Failure(f"{method}: returned {type(found).__name__}, expected a Detection")
    scores = np.asarray(found.scores)
    if scores.dtype.kind not in "fiub":
        raise Failure(f"{method}: returned scores of type {scores.dtype}, expected numbers, float64")
    scores = scores.astype(np.float64)
    if scores.shape != (rows,):
        raise Failure(f"{method}: returned scores of shape {scores.shape}, expected ({rows},): one for each row")
    if not np.isfinite(scores).all():
        wrong = int(np.count_nonzero(~np.isfinite(scores)))
        raise Failure(f"{method}: {wrong:,} of {rows:,} scores are not finite")
    flagged = None if found.flagged is None else np.asarray(found.flagged)
    if flagged is not None and (flagged.shape != (rows,) or flagged.dtype != bool):
        raise Failure(f"{method}: returned flags {flagged.dtype} of shape {flagged.shape}, expected bool ({rows},)")
    driver.check_small(method, found.findings, found.pictures)
    return replace(found, scores=scores, flagged=flagged)


def _rows(subject: Subject, found: Detection) -> Json:
    truth, context = subject.truth, subject.context
    weights = np.ones(len(context.rows)) if truth is None else truth.weights
    cut = found.flagged
    return {
        "inspected": len(context.rows),
        "of": subject.inspectable,
        "poisoned": None if truth is None else int(np.count_nonzero(truth.role == 1)),
        "covers": None if truth is None else int(np.count_nonzero(truth.role == 2)),
        "flagged": None if cut is None else int(np.count_nonzero(cut)),
        "flagged_share": None if cut is None else round(float(weights[cut].sum() / weights.sum()), 6),
    }


def _measured(subject: Subject, found: Detection) -> Json:
    """Measure the poisoned rows against clean ones and, as false alarms, the covers against clean ones."""
    truth = subject.truth
    if truth is None:
        return {"measures": None, "covers": None}
    clean = truth.role == 0
    made = [measure(found.scores, truth.role == role, clean, found.flagged, truth.weights) for role in (1, 2)]
    return dict(zip(("measures", "covers"), [one and one.json() for one in made], strict=True))
