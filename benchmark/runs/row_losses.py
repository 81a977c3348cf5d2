"""The loss of each training row after each of the first epochs, `losses.npz` in a run's folder.

`epochs` (k,) int64 says after which epochs, `losses` (k, n) float16 has the cross-entropy of all n training rows of
the file, on the label that was trained (of a poisoned row the attacker's), by the network in evaluation mode; NaN in
rows that were not trained on. Defences learn from it which rows are learnt first.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.runs.run import Run
from benchmark.training.callbacks import Callback, Epoch
from benchmark.training.methods import Method

NAME = "losses.npz"
EPOCHS = 5
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class RowLosses:
    """`epochs` (k,) int64, ascending from 1, and `losses` (k, n) float16, as the module says."""

    epochs: np.ndarray
    losses: np.ndarray

    def up_to(self, epoch: int) -> "RowLosses":
        """Return those after epochs up to one."""
        early = self.epochs <= epoch
        return RowLosses(self.epochs[early], self.losses[early])

    def with_epoch(self, epoch: int, losses: np.ndarray) -> "RowLosses":
        """Return them with those after one more epoch, (n,)."""
        return RowLosses(np.append(self.epochs, epoch), np.concatenate([self.losses, losses[None]]))


def read(folder: Path, rows: int) -> RowLosses:
    """Return what a run has recorded of a file with that many training rows.

    Raises
    ------
    Failure
        If there is none: the run was made by an earlier version, or its file was removed.
    Damaged
        If it is not what this program writes.
    """
    path = Path(folder) / NAME
    if not files.there(path):
        raise Failure(f"{path}: there is none: this run did not record the losses of its rows; train it again")
    try:
        arrays = files.read_npz(path)
        epochs, losses = arrays["epochs"], arrays["losses"]
        expected = (np.dtype(np.int64), np.dtype(np.float16), (len(epochs), rows))
        rising = np.all(epochs[:1] >= 1) and np.all(epochs[1:] > epochs[:-1])  # (differences could wrap round)
        if (epochs.dtype, losses.dtype, losses.shape) != expected or not rising:
            raise ValueError(f"not the losses of {rows} rows")
        if np.any(np.isinf(losses)):
            raise ValueError("a loss without end")
    except Exception as error:
        raise Damaged(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    return RowLosses(epochs, losses)


class RecordLosses(Callback):
    """Record the losses after each of the first epochs. What an earlier process has recorded stays, up to the `done`
    epochs that it finished; a damaged file is put aside."""

    def __init__(self, run: Run, training: Method, engine: Any, done: int):
        self._folder, self._rows, self._engine = run.folder, np.asarray(training.rows), engine
        self._count = len(training.data.train)
        self._found = RowLosses(np.empty(0, np.int64), np.empty((0, self._count), np.float16))
        if done:
            self._found = self._earlier().up_to(done)
        if lacking := sorted(set(range(1, min(done, EPOCHS) + 1)) - set(self._found.epochs.tolist())):
            logging.getLogger("benchmark").warning(
                "%s: lacks the losses of rows after epoch %s, which an earlier process did not record",
                run.folder / NAME, ", ".join(map(str, lacking)),
            )  # fmt: skip

    def _earlier(self) -> RowLosses:
        try:
            return read(self._folder, self._count)
        except Damaged as error:
            files.put_aside(self._folder / NAME, error)
        except Failure:  # said below
            pass
        return self._found

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        if epoch.epoch > EPOCHS:
            return
        losses = np.full(self._count, np.nan, np.float16)
        losses[self._rows] = np.minimum(self._engine.losses(self._rows), LARGEST)
        self._found = self._found.with_epoch(epoch.epoch, losses)
        files.write_npz(self._folder / NAME, {"epochs": self._found.epochs, "losses": self._found.losses})
