"""Make a run of what a network that was trained elsewhere predicts: scored as ours are, compared as ours are."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import environment, files
from benchmark.core.errors import Failure
from benchmark.core.hashing import digest
from benchmark.format import dataset, predictions
from benchmark.format.dataset import Dataset
from benchmark.runs import baseline
from benchmark.runs.result import Comparison, RunResult
from benchmark.runs.run import Run
from benchmark.runs.train import score_record
from benchmark.training.metrics import Share
from benchmark.training.predicted import PredictedSettings

Given = str | os.PathLike[str] | Mapping[str, Any]
"""Predictions: the path of a file, or arrays by the names of their sets."""


def score(
    file: Path,
    given: Given,
    name: str,
    seed: int = 0,
    runs: Path = Path("runs"),
    base: Path | None = None,
    named: Path | None = None,
    verify: bool = True,
) -> tuple[Run, RunResult]:
    """Score predictions on a data set, and keep them as a run.

    Parameters
    ----------
    file : path-like
        The data set that the network was trained on.
    given : path-like or mapping
        See `format.predictions.read`, and `checked` for arrays.
    name : str
        The network's; runs of the same name are compared and averaged.
    seed : int
        Its training seed.
    runs : path-like
        The folder of all runs.
    base, named : path-like, optional
        A delta's clean file; the clean run that CAD is against.
    verify : bool
        Recompute the digests of the arrays.

    Raises
    ------
    Usage
        If the name is not a printable one.
    Failure
        If anything cannot be read, does not fit, or a run of that name, data set and seed has other predictions.
        Nothing is written then.
    """
    manifest = dataset.peek(file)
    settings = PredictedSettings(label=name, modality=manifest.modality, seed=seed)
    run = Run.of(runs, manifest, settings)
    data = dataset.load(file, verify, manifest, base)
    predicted = _predicted(given, data)
    by_clean = predicted.pop(predictions.BY_CLEAN, None)
    existing = run.sound_result()
    if existing is not None and existing.raw.get("predictions") != _digests(predicted):
        raise Failure(
            f"{run.folder}: holds other predictions of {name!r} with seed {seed} on this data set: give another "
            "--name or --seed, or remove that folder"
        )
    result = _made(run, data, predicted) if existing is None else existing
    clean = None if named is None else baseline.usable(result, Path(named))
    if existing is not None and clean is None and by_clean is None:
        return run, existing
    comparison = baseline.compare(result, baseline.finished(runs).values(), clean)
    if by_clean is not None:
        comparison = _with_clean_asr(comparison, by_clean, data)
    with _created(run):
        if existing is None:
            files.write_npz(run.folder / "predictions.npz", predicted)
        result = result.with_baseline(comparison) if comparison else result
        files.write_json(run.folder / "result.json", result.raw)
    return run, result


def _predicted(given: Given, data: Dataset) -> dict[str, np.ndarray]:
    """Return the predicted classes of every set that the data set has, in the order in which ours are kept."""
    rows = {name: len(part) for name, part in data.scored.items()}
    if isinstance(given, Mapping):
        found = predictions.checked(given, rows, len(data.classes))
    else:
        found = predictions.read(given, rows, len(data.classes))
    return {name: found[name] for name in (*rows, predictions.BY_CLEAN) if name in found}


def _with_clean_asr(comparison: Comparison | None, by_clean: np.ndarray, data: Dataset) -> Comparison:
    """Add the clean network's ASR to a comparison with its run. `Failure` where there is no such run."""
    if comparison is None:
        raise Failure(
            f"{predictions.BY_CLEAN}: of a clean network that has no run here: score its predictions on the clean file "
            "first, under the same --name, or name its run with --baseline"
        )
    hit = data.hits(by_clean)
    assert hit is not None  # the reader lets it through beside triggered rows alone
    return dataclasses.replace(comparison, asr=Share.where(hit))


def _digests(predicted: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return a digest of the predicted classes of each set, by which two files of the same predictions are the same."""
    return {name: digest(classes.tolist()) for name, classes in predicted.items()}


def _made(run: Run, data: Dataset, predicted: dict[str, np.ndarray]) -> RunResult:
    return RunResult(
        score_record(run, data, predicted)
        | {
            "predictions": _digests(predicted),
            "environment": environment.record(),
            "finished": environment.now(),
        }
    )


@contextlib.contextmanager
def _created(run: Run) -> Iterator[None]:
    """Hold the run's folder for this process; one that is made now and not finished is removed again."""
    fresh = not files.there(run.folder)
    try:
        run.create()
        with files.locked(run.folder):
            yield
    except BaseException:
        if fresh and files.is_folder(run.folder) and not files.there(run.folder / "result.json"):
            for path in run.folder.iterdir():
                path.unlink()
            run.folder.rmdir()
        raise
