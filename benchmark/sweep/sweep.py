"""Make every run of a set of files that is missing.

An engine (`processes.Processes`, `dask.Cluster`) starts `benchmark train`, one process for each run. Stopped at any
moment, the same sweep goes on with what is missing: a finished run is skipped, one that was stopped goes on from its
last epoch, and one that another process is working on is waited for.

Where the time is limited, each process is told when it starts how much is left, and ends by itself after the last epoch
that fits: no signal can get lost, and none has to be caught. One whose epoch outlasts the time ends in the middle of
it, and goes on from its last checkpoint in the next sweep.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.runs import position
from benchmark.runs.stopping import SPARE
from benchmark.sweep import processes
from benchmark.sweep.estimates import Estimates
from benchmark.sweep.plan import Task, is_complete

UNFINISHED = "ended without a result"
TICK = 0.2  # seconds between two looks at what runs


@dataclass(frozen=True)
class Allocation:
    """The time that a sweep has: `seconds` from `start`, by the clock that the sweep looks at."""

    seconds: float
    start: float

    def left(self, now: float) -> float:
        """Seconds that are left, negative afterwards."""
        return self.start + self.seconds - now


def _busy(folder: Path) -> bool:
    """Return whether a process works on this run. A lock that is a link, or no file, is reported when the run's turn
    comes."""
    try:
        return files.busy(folder)
    except Failure:
        return False


class Sweep:
    """Missing tasks on their way through an engine.

    Parameters
    ----------
    tasks : sequence of Task
        What is to be made, the most wanted first.
    engine
        What starts and ends them.
    watch : Overall
        Told what happens.
    allocation : Allocation, optional
        The time there is; None: as long as it takes.
    estimates : Estimates, optional
        What is known of how long runs take.
    clock, sleep : callable
        As in `time`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        engine: Any,
        watch: Any,
        allocation: Allocation | None = None,
        estimates: Estimates | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.engine, self.watch = engine, watch
        self.allocation, self.estimates = allocation, estimates or Estimates()
        self.clock, self.sleep = clock, sleep
        self.tasks = {task.folder: task for task in tasks}
        self.waiting = dict(self.tasks)
        self.open = set(self.tasks)
        self.made: set[Path] = set()  # finished, and waiting for the clean run that they are compared with
        self.left: list[Task] = []
        self.failed: dict[str, list[str]] = {}

    def go(self) -> dict[str, list[str]]:
        """Make them all; the names of those that failed, with the problem and the last lines of the log. What there was
        no time for is then in `left`."""
        try:
            while self.open:
                for task, problem in self.engine.ended():
                    self._ended(task, problem)
                self._start()
                self._look()
                if self._over():
                    break
                if self.open:
                    self.sleep(TICK)
        finally:
            self.engine.stop()
        self.left = [
            task for task in self.tasks.values() if task.folder in self.open | {one.folder for one in self.left}
        ]
        return self.failed

    def _look(self) -> None:
        """See how far the runs are."""
        now, running = self.clock(), self.engine.running
        for task in running:
            self.estimates.look(task, now)
        self.watch.expect({task.folder: self.estimates.left(task, now) for task in running})
        self.watch.tick(running)

    def _over(self) -> bool:
        """Is the time up? What still runs then is killed."""
        if self.allocation is None:
            return False
        running = list(self.engine.running)
        if not running:
            return not any(self._fits(task) and not self._waits(task) for task in self.waiting.values())
        if self.allocation.left(self.clock()) > 0:
            return False
        self.engine.stop()
        for task in running:
            position.remove(task.folder)
            if self._finished_elsewhere(task):
                self._close(task)
            else:
                self._stopped(task)
        return True

    def _fits(self, task: Task) -> bool:
        """Would it end in time?

        So does one of which nobody knows how long it takes: it is stopped after an epoch. One that no such time would
        hold from beginning to end goes on piece by piece, as long as an epoch fits.
        """
        if self.allocation is None:
            return True
        left = self.allocation.left(self.clock())
        needed = self.estimates.needed(task)
        if needed is None:
            return left > (self.estimates.start_up() or 0.0)
        if needed > self.allocation.seconds:
            needed = self.estimates.needed(task, epochs=1) or 0.0
        return needed <= left

    def _waits(self, task: Task) -> bool:
        """Return whether it waits for its clean run: not for one that there is no time for, it is compared later."""
        if task.after is None or task.after not in self.open:
            return False
        return task.after not in self.waiting or self._fits(self.tasks[task.after])

    def _start(self) -> None:
        for task in list(self.waiting.values()):
            if not self.engine.room():
                return
            if self._waits(task) or _busy(task.folder) or not self._fits(task):
                continue
            del self.waiting[task.folder]
            try:
                if self._finished(task):
                    self._finish(task)
                    continue
                task.run.create()
                files.busy(task.folder, create=True)  # where the file system has no locks a line says so, once
                position.remove(task.folder)
                self.estimates.begun(task, self.clock())
                self.engine.start(self._limited(task))
            except Failure as error:
                self._close(task, [str(error)])

    def _limited(self, task: Task) -> Task:
        """Return the task whose process knows how much time is left."""
        if self.allocation is None:
            return task
        left = f"--stop-after={max(0.1, self.allocation.left(self.clock()) - SPARE):.1f}s"
        return dataclasses.replace(task, arguments=(*task.arguments, left))

    def _ended(self, task: Task, problem: str | None) -> None:
        position.remove(task.folder)
        if problem is None:
            problem = self._unsound(task)
        self.estimates.ended(task, self.clock(), problem is None)
        if problem is None:
            self._finish(task)
        elif problem == UNFINISHED and self.allocation is not None:
            self._stopped(task)
        elif _busy(task.folder) or self._finished_elsewhere(task):  # another sweep was quicker
            self.waiting[task.folder] = self.tasks[task.folder]
        else:
            self._close(task, [problem, *processes.tail(task.folder)])

    @staticmethod
    def _unsound(task: Task) -> str | None:
        """Return what is wrong with what a process that did what it should has left; None where nothing is."""
        try:
            return UNFINISHED if task.run.result is None else None
        except Failure as error:
            return str(error)

    def _finished(self, task: Task) -> bool:
        """Is it complete? A damaged result is not: `train` puts it aside."""
        try:
            return is_complete(task)
        except Damaged:
            self.watch.say(f"{task.name}: {task.problem()}")
            return False

    def _finished_elsewhere(self, task: Task) -> bool:
        try:
            return is_complete(task)
        except Failure:
            return False

    def _finish(self, task: Task) -> None:
        """Close a run that has its result, unless the clean run that it is compared with is still to come."""
        if task.baseline is None or task.baseline not in self.open:
            self._close(task)
        elif task.folder not in self.made:
            self.made.add(task.folder)
            self.watch.done(task)

    def _stopped(self, task: Task) -> None:
        """Leave a run to the next sweep."""
        self.open.discard(task.folder)
        self.left.append(task)
        self.watch.stopped(task)
        self._release(task.folder)

    def _close(self, task: Task, lines: list[str] | None = None) -> None:
        self.open.discard(task.folder)
        if lines is not None:
            self.failed[task.name] = lines
            self.watch.failed(task, lines)
        elif task.folder not in self.made:
            self.watch.done(task)
        self._release(task.folder)

    def _release(self, clean: Path) -> None:
        """Let those go on that are finished and waited for a clean run, which has now ended somehow."""
        for folder in [folder for folder in self.made & self.open if self.tasks[folder].baseline == clean]:
            if self._finished_elsewhere(self.tasks[folder]):
                self._close(self.tasks[folder])
            else:
                self.waiting[folder] = self.tasks[folder]
