"""A run is a folder, named by the hash of its whole configuration; training it is one idempotent command.

    config.json       the configuration: data set digest, network, training, seed, backend, precision, threads
    checkpoint.npz    while it trains: all variables after the last whole epoch, and the history so far
    history.csv       one row an epoch
    predictions.npz   the predicted class of every row scored
    model.keras       the trained network
    epochs/           with `train --keep-epochs`: the network after each epoch
    result.json       written last: where it exists, the run is finished

Killed at any moment, the same command goes on from the last epoch in the checkpoint and ends with the same numbers.
"""

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.core import environment, files, numbers
from benchmark.core.errors import Damaged, Failure
from benchmark.format.dataset import Dataset
from benchmark.nn import engines
from benchmark.runs import records
from benchmark.training import loop
from benchmark.training.settings import Common, config_of, folder_name, settings_of


@dataclass(frozen=True)
class Run:
    """A run's folder and configuration."""

    folder: Path
    config: dict
    given: Common | None = field(default=None, compare=False)  # with where on this machine things are

    @classmethod
    def of(cls, runs: Path, manifest: dict, settings: Common) -> "Run":
        """The run of a data set, given by its manifest, under the given settings, whether it exists yet or not."""
        digest = manifest["dataset_digest"]
        folder = Path(runs) / folder_name(settings, manifest["name"], digest)
        return cls(folder, config_of(settings, digest), settings)

    @classmethod
    def at(cls, folder: Path) -> "Run":
        """The run in an existing folder. `Failure` where there is none."""
        folder = Path(folder)
        if not files.there(folder / "config.json"):
            raise Failure(f"{folder}: not a run (it has no config.json)")
        config = files.read_json(folder / "config.json")
        if not (isinstance(config, dict) and all(isinstance(config.get(key), dict) for key in ("model", "training"))):
            raise Damaged(f"{folder}/config.json: not a run's configuration")
        return cls(folder, config)

    @property
    def settings(self) -> Common:
        """The settings that the configuration was made of."""
        if self.given is not None:
            return self.given
        try:
            return settings_of(self.config)
        except (KeyError, TypeError) as error:
            raise Failure(f"{self.folder}/config.json: not a run's configuration ({error})") from None

    def needs(self, network: str, what: str) -> None:
        """`Failure` where its network is another than the one that `what`, a command, is for."""
        found = self.config.get("model", {}).get("name")
        if found != network:
            raise Failure(f"{self.folder}: {what} is for a run of --model {network}, this one is of {found!r:.60}")

    @property
    def result(self) -> dict | None:
        """The result, None while the run is not finished. Raises as `recorded.read`."""
        return records.read(self.folder)

    @property
    def checkpoint(self) -> Path:
        """Where the state after the last whole epoch lies while the run trains."""
        return self.folder / "checkpoint.npz"

    def create(self) -> None:
        """Make the folder and its config.json; `Failure` if another configuration lies there, or it is a link to a
        folder that is no run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.json"
        if files.there(path):
            if files.read_json(path) != self.config:
                raise Failure(f"{self.folder}: holds a run of another configuration under the same name")
        elif self.folder.is_symlink():
            raise Failure(f"{self.folder}: is a link to a folder that is no run")
        else:
            files.write_json(path, self.config)


class Watch:
    """Hears how a training goes; the command line shows it. This one is silent."""

    def start(self, run: Run, chosen, history: list[dict]) -> None:
        """Training of what `training.method` has chosen begins, after the epochs that `history` has."""

    def images(self, count: int) -> None:
        """So many more training images are done."""

    def epoch(self, entry: dict) -> None:
        """An epoch is done, scored and saved."""

    def say(self, line: str) -> None:
        """Something worth telling the user."""


def train(run: Run, data: Dataset, watch: Watch, keep_epochs: bool = False) -> dict:
    """Train a run to its end, from its checkpoint if it has one; the result. A finished run is not trained again.

    The backend of the run's settings must be active (`engines.activate`). `keep_epochs`: save the network after each.
    """
    run.create()
    with files.locked(run.folder) as held:
        result = _kept(run)
        if result is None:
            result = _train(run, data, watch, keep_epochs)
            files.write_json(run.folder / "result.json", result)
        run.checkpoint.unlink(missing_ok=True)  # also one that a kill between the two left behind
        for leftover in run.folder.glob(".part-*") if held else ():  # without a lock they may be another's
            with contextlib.suppress(OSError):
                leftover.unlink()
    return result


def _kept(run: Run) -> dict | None:
    """The result that is there, None without one; a damaged one is put aside."""
    try:
        return run.result
    except Damaged as error:
        files.put_aside(run.folder / "result.json", error)
        return None


def _train(run: Run, data: Dataset, watch: Watch, keep_epochs: bool) -> dict:
    from benchmark.nn import model_files

    chosen = loop.method(data, run.settings, run.folder, watch.say)
    model, data = chosen.model, chosen.data
    engine = engines.engine(model, chosen.optimizer, data.train.inputs, data.train.labels)
    history = _restore(run, engine)
    watch.start(run, chosen, history)
    predicted = {}

    class Save(Watch):
        """Keeps every epoch, then passes the news on."""

        images = staticmethod(watch.images)

        def epoch(self, entry, scored):
            predicted.update(scored)
            if keep_epochs:
                files.make_folder(run.folder / "epochs")
                model_files.save(model, run.folder / "epochs" / f"epoch-{entry['epoch']:03d}.keras")
            _save(run, engine, history)
            files.write_csv(run.folder / "history.csv", history)
            watch.epoch(entry)

    loop.fit(engine, chosen, history, Save())
    if not predicted:  # killed after the last epoch's checkpoint
        predicted = loop.score(engine, data)
    files.write_npz(run.folder / "predictions.npz", predicted)
    files.write_csv(run.folder / "history.csv", history)
    model_files.save(model, run.folder / "model.keras")
    return _result(run, data, history, predicted) | chosen.said


def _save(run: Run, engine, history: list[dict]) -> None:
    from keras.ops import convert_to_numpy

    arrays = {f"{number:04d}": convert_to_numpy(variable.value) for number, variable in enumerate(engine.variables())}
    arrays["history"] = np.frombuffer(json.dumps(history).encode(), np.uint8)
    files.write_npz(run.checkpoint, arrays)


def _restore(run: Run, engine) -> list[dict]:
    """Put a checkpoint's variables in place; the history up to it. Empty where there is none, or none to read."""
    if not files.there(run.checkpoint):
        return []
    from keras.ops import convert_to_numpy

    variables = engine.variables()
    try:
        arrays = files.read_npz(run.checkpoint)
        values = [arrays[f"{number:04d}"] for number in range(len(variables))]
        history = _history(arrays["history"].tobytes(), run.settings.epochs)
        kinds = [(tuple(variable.shape), convert_to_numpy(variable.value).dtype) for variable in variables]
        if [(value.shape, value.dtype) for value in values] != kinds or len(arrays) != len(values) + 1:
            raise ValueError("of another network")
    except Exception as error:
        raise Failure(f"{run.checkpoint}: damaged ({error}); delete it to train the run from its start") from None
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return history


def _history(text: bytes, epochs: int) -> list[dict]:
    """The epochs so far, as `training.fit` appends them. ValueError or TypeError where they are none."""
    history = numbers.loads(text)
    if not isinstance(history, list) or len(history) > epochs:
        raise ValueError(f"its history is not one of at most {epochs} epochs")
    for number, entry in enumerate(history, 1):
        figures = [entry[key] for key in ("loss", "ba", "seconds", "score_seconds", "images")]
        figures += [entry["asr"]] * (entry["asr"] is not None)
        if entry["epoch"] != number or not all(numbers.is_real(one) and 0 <= one < 1e12 for one in figures):
            raise ValueError(f"epoch {number} is not what this program writes")
    return history


def _result(run: Run, data: Dataset, history: list[dict], predicted: dict) -> dict:
    seconds = sum(entry["seconds"] for entry in history)
    images = sum(entry["images"] for entry in history)
    manifest = data.manifest
    return {
        "result_version": 1,
        "name": run.folder.name,
        "dataset": {
            "name": manifest["name"],
            "kind": manifest["kind"],
            "digest": data.digest,
            "path": str(data.path.absolute()),
            "base": str(data.base.absolute()) if data.base else None,
            "source": manifest["source"]["name"],
            "source_digest": data.source_digest,
            "classes": data.classes,
            "recipe": manifest.get("recipe", {}),
            "pictures": manifest.get("pictures", {}),
            "counts": manifest["counts"],
        },
        "config": run.config,
        "preset": run.settings.preset,
        "scores": loop.scores(data, predicted),
        "final_loss": history[-1]["loss"],
        "seconds": {"training": seconds, "scoring": sum(entry["score_seconds"] for entry in history)},
        "images_per_second": images / seconds,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
