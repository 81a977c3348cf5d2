"""What may be done while a network trains: callbacks, each told of every row, loss and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.core.errors import Failure


@dataclass(frozen=True)
class Epoch:
    """An epoch (from 1) of a training: mean loss, BA and ASR in percent after it (ASR None without triggered rows), the
    seconds that training and scoring took, and the number of rows trained on. A row of history.csv."""

    epoch: int
    loss: float
    ba: float | None
    asr: float | None
    seconds: float
    score_seconds: float
    images: int


class Callback:
    """Told how a training goes; does nothing. Override what is of interest."""

    def on_rows(self, count: int) -> None:
        """Be told that `count` more training rows are done."""

    def on_loss(self, epoch: int, loss: float) -> None:
        """Be told the mean loss of an epoch (from 1) before it is scored; raise to end the training."""

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        """Be told that an epoch is trained and scored, with the predictions by set of rows."""


class Callbacks(Callback):
    """Several callbacks as one, told in the given order."""

    def __init__(self, callbacks: Sequence[Callback]):
        self._callbacks = tuple(callbacks)

    def on_rows(self, count: int) -> None:
        for callback in self._callbacks:
            callback.on_rows(count)

    def on_loss(self, epoch: int, loss: float) -> None:
        for callback in self._callbacks:
            callback.on_loss(epoch, loss)

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        for callback in self._callbacks:
            callback.on_epoch(epoch, predicted)


class StopOnDivergence(Callback):
    """End the training with a `Failure` as soon as the loss is no longer a finite number."""

    def on_loss(self, epoch: int, loss: float) -> None:
        if not np.isfinite(loss):
            raise Failure(f"the loss is {loss} in epoch {epoch}: try a smaller --learning-rate")


class LastPredictions(Callback):
    """Keep the predictions of the last epoch, in `predicted`; empty before the first one."""

    def __init__(self) -> None:
        self.predicted: dict[str, np.ndarray] = {}

    def on_epoch(self, epoch: Epoch, predicted: dict[str, np.ndarray]) -> None:
        self.predicted = predicted
