"""Stop a training in time: at the end of the last epoch that fits, saved, so that the same command goes on later."""

import time
from collections.abc import Callable

from benchmark.runs.train import RunCallback

SPARE = 1.0  # seconds before the end of an allocation at which its processes have to be over
MARGIN = 1.05  # an epoch may take so much longer than the one before


class OutOfTime(Exception):
    """A training was stopped because its next epoch would not have ended in time; `epoch` is the last saved, 0: none.

    No error: the run's checkpoint is whole, and the same command goes on from it.
    """

    def __init__(self, epoch: int):
        super().__init__(f"stopped after epoch {epoch}")
        self.epoch = epoch


class StopInTime(RunCallback):
    """End a training with `OutOfTime` at the end of an epoch after which no other would end within `seconds` from now.

    How long the next one takes is known from the last; of the first of a process, which compiles the network, what came
    before its first rows is not counted. A run that is over after its last epoch is never stopped. Tell it of an epoch
    after the checkpoint has been.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds that are left, negative afterwards."""
        return self._end - self._clock()

    def on_start(self, run, training, history):
        self._rows, self._epochs = len(training.rows), run.settings.epochs
        if len(history) < self._epochs and self.left() <= 0:
            raise OutOfTime(len(history))
        self._begin()

    def _begin(self) -> None:
        """Remember when an epoch begins."""
        self._began = self._trained = self._clock()
        self._first: tuple[float, int] | None = None  # when the first rows were done, and how many

    def on_rows(self, count):
        self._trained = self._clock()
        if self._first is None:
            self._first = self._trained, count

    def on_epoch(self, epoch, predicted):
        if epoch.epoch < self._epochs and self.left() < MARGIN * self._needed():
            raise OutOfTime(epoch.epoch)
        self._begin()

    def _needed(self) -> float:
        """Seconds that the next epoch will take: as the last, without what only its first rows had to wait for."""
        whole = self._clock() - self._began
        if self._first is None:
            return whole
        since, count = self._first
        if count >= self._rows:
            return whole
        trained = (self._trained - since) * self._rows / (self._rows - count)
        return min(whole, trained + self._clock() - self._trained)
