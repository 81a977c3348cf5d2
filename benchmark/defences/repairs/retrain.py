"""Retraining: the network is trained anew, as it was, without the rows that a detector flags."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import naming
from benchmark.core.errors import Failure
from benchmark.defences import records, score_files
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import IMAGES, TRAINING
from benchmark.defences.options import Option
from benchmark.defences.records import DETECT, Detected
from benchmark.defences.registry import DETECTORS, RepairSpec, Size, Work, register
from benchmark.nn import engines
from benchmark.runs import hints
from benchmark.training import loop, methods
from benchmark.training.callbacks import Callback, Callbacks, Epoch, StopOnDivergence
from benchmark.training.metrics import Json


def result_of(folder: Path, detector: str | None) -> tuple[Path, Detected]:
    """Return the result of a detector on the run in a folder, by the method's name or that of the result's folder.

    Raises `Failure`: none was named, there is none, or there are several of that method.
    """
    found = records.in_run(folder, DETECT, records.detected)
    there = ", ".join(dict.fromkeys(result.method for _, result in found)) or "none yet"
    if detector is None:
        first = "" if found else f"; first {hints.detect(folder, 'spectral')}"
        raise Failure(f"needs --detector NAME, one that has scored this run's rows: {there}{first}")
    name = naming.understood(detector, DETECTORS, DETECTORS.aliases) or detector
    matching = [one for one in found if one[0].name == detector]
    matching = matching or [one for one in found if one[1].method in (name, _method_of(detector))]
    if not matching:
        raise Failure(
            f"{detector!r:.60} has not scored this run's rows (there are results of: {there}): "
            f"{hints.detect(folder, name)}"
        )
    if len(matching) > 1:
        names = ", ".join(path.name for path, _ in matching)
        raise Failure(f"there are several results of {name}, name one of them with --detector: {names}")
    return matching[0]


def _method_of(folder: str) -> str:
    """Return the method of a folder's name: another run has it under other digits."""
    return folder.removeprefix(f"{DETECT}-").rpartition("-")[0]


def suspicious(folder: Path, result: Detected, share: float | None, most: int) -> np.ndarray:
    """Return the rows to leave out, ascending, of `most` there are: those that the detector's own cut flags, or with
    `share` that share of those scored, the highest.

    Raises `Failure` where it has no cut, or has scored a sample of the rows only.
    """
    if result.inspected != result.of:
        raise Failure(
            f"{folder.name} has scored {result.inspected:,} of {result.of:,} rows only, and others may be poisoned: "
            "run it without --rows"
        )
    if share is not None:
        rows, scores = score_files.read_scores(folder / score_files.SCORES, most)
        count = max(1, round(share * len(rows)))
        return np.sort(rows[np.argsort(-scores, kind="stable")[:count]])
    if result.flagged is None:
        raise Failure(f"{result.method} has no cut of its own: say with --option retrain.share how many rows go")
    return np.sort(score_files.read_flagged(folder / score_files.FLAGGED, most))


def going(context: DefenceContext, *, detector: str | None, share: float | None) -> tuple[Path, Detected, np.ndarray]:
    """Return the detector's result, its folder first, and the rows that go. Raises as `result_of` and `suspicious`."""
    folder, result = result_of(context.run.folder, detector)
    return folder, result, suspicious(folder, result, share, context.training_rows)


def taken(folder: Path, *, detector: str | None, share: float | None) -> Json:
    """Return what was asked of the detector: with other settings it flags other rows. Raises as `result_of`."""
    _, result = result_of(folder, detector)
    return {"detector": result.asked}


class Progress(Callback):
    """Says how the training goes."""

    def __init__(self, context: DefenceContext, epochs: int):
        self._context, self._epochs = context, epochs

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        self._context.log(f"retrain: epoch {epoch.epoch} of {self._epochs}, loss {epoch.loss:.3f}")


def repair(context: DefenceContext, *, detector: str | None, share: float | None) -> Iterator[Stage]:
    """Yield the network that was trained without the suspicious rows; all else is as in the run."""
    folder, result, left_out = going(context, detector=detector, share=share)
    if not len(left_out):
        context.log(f"retrain: {folder.name} flags no row: the network stays as it is")
        findings = {"detector": result.method, "result": folder.name, "left_out": 0}
        yield Stage(context.network(), "untouched", result.method, findings)
        return
    training = methods.method(context.data_set, context.settings, context.log, left_out)
    if not len(training.rows):
        raise Failure(f"{folder.name} flags every row: nothing is left to train on")
    missing = np.setdiff1d(context.train.labels, context.train.labels[training.rows])
    if len(missing):
        names = ", ".join(context.class_names[one] for one in missing)
        context.log(f"retrain: no row is left of {names}")
    data = training.data
    engine = engines.engine(training.model, training.optimizer, data.train.inputs, data.train.labels)
    history: list[Epoch] = []
    callbacks = Callbacks([StopOnDivergence(), Progress(context, context.settings.epochs)])
    loop.fit(engine, training, history, callbacks)
    findings = {
        "detector": result.method,
        "result": folder.name,
        "left_out": len(left_out),
        "trained_on": len(training.rows),
        "classes_without_rows": missing.tolist(),
        "losses": [epoch.loss for epoch in history],
    }
    yield Stage(training.model, "retrained", result.method, findings)


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(trained=size.rows * size.epochs)


register(
    RepairSpec(
        name="retrain",
        title="Retraining",
        source="the use that every row detector is for",
        summary="Trains the network anew without the rows that a detector flags.",
        repair=repair,
        needs=(IMAGES, TRAINING),
        by_name=True,
        options=(
            Option("detector", "The detector whose result on this run says which rows go: its name, or the folder of "
                   "the result.", str, None),
            Option("share", "Leave out this share of the rows, those of the highest scores  [default: those that the "
                   "detector's own cut flags]", float, None, above=0, below=1),
        ),
        work=_work,
        ready=going,
        depends=taken,
        aliases=("retraining",),
    )
)  # fmt: skip
