"""How far a run is within an epoch, for who watches it from another process: a small file in the run's folder.

It is there while the run trains, is overwritten about once a second, and nothing depends on it: what a run goes on from
is its checkpoint.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from benchmark.core import files, numbers
from benchmark.core.errors import Failure
from benchmark.runs.train import RunCallback

NAME = "position.json"
EVERY = 1.0  # seconds between two lines
_SIZE = 64  # bytes: always as many, so that one write replaces all there was


class Position(NamedTuple):
    """`epoch`, from 1, is being trained, and `rows` of its `of` training rows are done."""

    epoch: int
    rows: int
    of: int


class Reported(RunCallback):
    """Write the position of a run while it trains."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._file: IO[bytes] | None = None

    def on_start(self, run, training, history):
        self._of, self._path = len(training.rows), run.folder / NAME
        self._epoch, self._rows = len(history) + 1, 0
        with contextlib.suppress(OSError):
            self._file = files.create(self._path)
        self._write()

    def on_rows(self, count):
        self._rows += count
        if self._rows == count or self._clock() - self._written >= EVERY:
            self._write()

    def on_epoch(self, epoch, predicted):
        self._epoch, self._rows = epoch.epoch + 1, 0
        self._write()

    def close(self) -> None:
        """Remove the file: the run is over, or stopped."""
        if self._file is not None:
            self._file.close()
            self._file = None
            remove(self._path.parent)

    def _write(self) -> None:
        """Write it; a full disk is not what a run should end of here."""
        self._written = self._clock()
        line = json.dumps(Position(self._epoch, self._rows, self._of))
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._file.fileno(), f"{line:<{_SIZE - 1}}\n".encode(), 0)


def read(folder: Path) -> Position | None:
    """Return the position of a run; None where there is none, or none that can be read."""
    path = folder / NAME
    try:
        values = numbers.loads(files.read_bytes(path, _SIZE)) if files.is_file(path) else None
    except (Failure, ValueError):
        return None
    if not (isinstance(values, list) and len(values) == 3 and all(type(value) is int for value in values)):
        return None
    epoch, rows, of = values
    return Position(epoch, rows, of) if epoch >= 1 and 0 <= rows <= of else None


def remove(folder: Path) -> None:
    """Remove what a process that has ended left behind."""
    with contextlib.suppress(OSError):
        (folder / NAME).unlink(missing_ok=True)
