"""The state of a training after its last whole epoch: all variables, and the history so far."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import files, numbers
from benchmark.core.errors import Damaged, Failure
from benchmark.runs.run import Run
from benchmark.training.callbacks import Callback, Epoch

History = list[Epoch]


class Checkpoint(Callback):
    """Save the state of a run after every epoch, then its history.csv; restore what an earlier process saved.

    `history`: the epochs so far, as `loop.fit` appends them.
    """

    def __init__(self, run: Run, engine):
        self._run, self._engine = run, engine
        self.history: History = self._restored()

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        from keras.ops import convert_to_numpy

        variables = self._engine.variables()
        arrays = {f"{number:04d}": convert_to_numpy(variable.value) for number, variable in enumerate(variables)}
        arrays["history"] = np.frombuffer(json.dumps(list(map(asdict, self.history))).encode(), np.uint8)
        files.write_npz(self._run.checkpoint, arrays)
        self.write_history()

    def write_history(self) -> None:
        """Write history.csv."""
        files.write_csv(self._run.folder / "history.csv", list(map(asdict, self.history)))

    def _restored(self) -> History:
        """Put a checkpoint's variables in place; the history up to it. Empty where there is none; `Failure` where it
        cannot be read."""
        path = self._run.checkpoint
        if not files.there(path):
            return []
        from keras.ops import convert_to_numpy

        variables = self._engine.variables()
        try:
            arrays = files.read_npz(path)
            values = [arrays[f"{number:04d}"] for number in range(len(variables))]
            history = history_of(arrays["history"].tobytes(), self._run.settings.epochs)
            expected = [(tuple(variable.shape), convert_to_numpy(variable.value).dtype) for variable in variables]
            if [(value.shape, value.dtype) for value in values] != expected or len(arrays) != len(values) + 1:
                raise ValueError("of another network")
        except Exception as error:
            raise Failure(f"{path}: damaged ({error}); delete it to train the run from its start") from None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return history


def read_history(folder: Path) -> History:
    """Read the epochs of a run from its history.csv; none where there is no such file. `Damaged` where it cannot be
    read."""
    path = folder / "history.csv"
    try:
        return _checked([_epoch(row) for row in files.read_csv(path)]) if files.there(path) else []
    except (ValueError, KeyError) as error:
        raise Damaged(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None


def _epoch(row: dict[str, str]) -> Epoch:
    figures = {name: None if row[name] == "" else numbers.real(row[name]) for name in ("ba", "asr")}
    whole = {name: _whole(row[name]) for name in ("epoch", "images")}
    rest = {name: numbers.real(row[name]) for name in ("loss", "seconds", "score_seconds")}
    return Epoch(**whole, **figures, **rest)  # type: ignore[arg-type]


def _whole(text: str) -> int:
    value = numbers.real(text)
    if value != int(value):
        raise ValueError(f"expected a whole number, got {text!r:.40}")
    return int(value)


def history_of(text: bytes, epochs: int) -> History:
    """Parse the epochs so far, as `loop.fit` appends them. ValueError or TypeError where they are none."""
    entries = numbers.loads(text)
    if not isinstance(entries, list) or len(entries) > epochs:
        raise ValueError(f"its history is not one of at most {epochs} epochs")
    return _checked([Epoch(**entry) for entry in entries])


def _checked(history: History) -> History:
    """Return a history whose epochs are numbered from 1, all figures in their ranges. ValueError for any other."""
    for number, one in enumerate(history, 1):
        figures: list[Any] = [one.loss, one.ba, one.seconds, one.score_seconds, one.images]
        figures += [one.asr] * (one.asr is not None)
        sound = all(numbers.is_real(figure) and 0 <= figure < 1e12 for figure in figures)
        if one.epoch != number or not sound or max(one.ba or 0, one.asr or 0) > 100:
            raise ValueError(f"epoch {number} is not what this program writes")
    return history
