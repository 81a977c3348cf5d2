"""Train a run to its end, from its checkpoint if it has one, and record the result."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmark.core import environment, files
from benchmark.core.errors import Failure
from benchmark.format.dataset import Dataset
from benchmark.nn import engines
from benchmark.runs.checkpoint import Checkpoint, History
from benchmark.runs.result import RunResult
from benchmark.runs.row_losses import RecordLosses
from benchmark.runs.run import Run
from benchmark.training import loop
from benchmark.training.callbacks import Callback, Callbacks, Epoch, LastPredictions, StopOnDivergence
from benchmark.training.methods import Method, method

LOOKED_AT = 256
"""Training rows of which the loss is looked at once more, in the end."""


class RunCallback(Callback):
    """A callback that is also told which run begins; this one does nothing."""

    def on_start(self, run: Run, training: Method, history: History) -> None:
        """Be told that a training begins, after the epochs that `history` has."""


class KeepEpochs(Callback):
    """Save the network after each epoch in the run's folder `epochs`."""

    def __init__(self, run: Run, model: Any):
        self._folder, self._model = run.folder / "epochs", model

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        from benchmark.nn import model_files

        files.make_folder(self._folder)
        model_files.save(self._model, self._folder / f"epoch-{epoch.epoch:03d}.keras")


def train(
    run: Run,
    data: Dataset,
    callbacks: Sequence[RunCallback] = (),
    log: Callable[[str], None] = lambda line: None,
    keep_epochs: bool = False,
) -> RunResult:
    """Train a run to its end, from its checkpoint if it has one. A finished run is not trained again.

    The backend of the run's settings must be active (`engines.activate`).

    Parameters
    ----------
    run, data : Run, Dataset
        What is trained, and on what.
    callbacks : sequence of RunCallback
        Told of the progress, after an epoch has been saved.
    log : callable
        Given a line of what the user should know.
    keep_epochs : bool
        Save the network after each epoch.
    """
    unmade = not files.there(run.folder / "result.json")
    training = method(data, run.settings, log) if unmade else None  # what it refuses leaves no folder
    run.create()
    with files.locked(run.folder) as held:
        result = run.sound_result()
        if result is None:
            result = _train(run, training or method(data, run.settings, log), callbacks, keep_epochs)
            files.write_json(run.folder / "result.json", result.raw)
        run.checkpoint.unlink(missing_ok=True)  # also one that a kill between the two left behind
        if held:  # without a lock they may be another's
            files.remove_temporary(run.folder)
    return result


def _train(run: Run, training: Method, callbacks: Sequence[RunCallback], keep_epochs: bool) -> RunResult:
    from benchmark.nn import model_files

    training.save(run.folder)
    data = training.data
    engine = engines.engine(training.model, training.optimizer, data.train.inputs, data.train.labels)
    checkpoint, last = Checkpoint(run, engine), LastPredictions()
    history = checkpoint.history
    for callback in callbacks:
        callback.on_start(run, training, history)
    kept = [KeepEpochs(run, training.model)] if keep_epochs else []
    losses = RecordLosses(run, training, engine, len(history))  # written before the checkpoint that goes past them
    loop.fit(engine, training, history, Callbacks([StopOnDivergence(), last, losses, *kept, checkpoint, *callbacks]))
    _check_sound(engine, np.asarray(training.rows))
    predicted = last.predicted or loop.score(engine, data)  # none: killed after the last epoch's checkpoint
    files.write_npz(run.folder / "predictions.npz", predicted)
    checkpoint.write_history()
    model_files.save(training.model, run.folder / "model.keras")
    return RunResult(run_record(run, data, history, predicted) | training.record)


def _check_sound(engine: Any, rows: np.ndarray) -> None:
    """Raise `Failure` where a network diverged in the last steps of its training, which no loss tells of any more: NaN
    counts as the largest of all, so that it would predict class 0 of everything, and an attack on that succeed."""
    if np.isnan(engine.losses(rows[:LOOKED_AT])).any():
        raise Failure("the network diverged in the last epoch, what it computes is NaN: try a smaller --learning-rate")


def run_record(run: Run, data: Dataset, history: History, predicted: dict[str, np.ndarray]) -> dict[str, Any]:
    """Make the JSON of a result, but for what the training method adds."""
    seconds = sum(epoch.seconds for epoch in history)
    images = sum(epoch.images for epoch in history)
    return score_record(run, data, predicted) | {
        "final_loss": history[-1].loss,
        "seconds": {"training": seconds, "scoring": sum(epoch.score_seconds for epoch in history)},
        "images_per_second": images / seconds,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }


def score_record(run: Run, data: Dataset, predicted: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what every result begins with, wherever its network was trained: what was scored, and how well."""
    return {
        "result_version": 1,
        "name": run.folder.name,
        "dataset": dataset_record(data),
        "config": run.config.raw,
        "preset": run.settings.preset,
        "scores": loop.scores(data, predicted).json(),
    }


def dataset_record(data: Dataset) -> dict[str, Any]:
    """Return what a result says of the file that was trained on."""
    manifest = data.manifest
    return {
        "name": manifest.name,
        "kind": manifest.kind,
        "digest": data.digest,
        "path": files.path_text(data.path),
        "base": files.path_text(data.base) if data.base else None,
        "source": manifest.source.name,
        **({} if manifest.source.label == manifest.source.name else {"label": manifest.source.label}),
        "source_digest": data.source_digest,
        "classes": data.classes,
        "recipe": manifest.recipe.raw,
        "pictures": manifest.raw.get("pictures", {}),
        "counts": manifest.counts,
    }
