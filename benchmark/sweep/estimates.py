"""How long a run takes, learned from those of its kind: how long until it trains, how fast it then goes, how long it
takes to end.

Nothing here waits or looks at a clock: who knows says when.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import environment, numbers
from benchmark.runs.result import RunResult
from benchmark.sweep.plan import Task, kind_of

START_UP = 10.0  # seconds until a process trains, before any was seen; of an earlier run it was not recorded


@dataclass
class _Seen:
    """A process that trains or has trained: when it began, was first seen to have trained, and last, each with the work
    done by then; and when it ended with a result."""

    kind: str
    begun: tuple[float, float]
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None
    ended: float | None = None

    def start_up(self) -> float | None:
        """Seconds until it trained."""
        return None if self.first is None else self.first[0] - self.begun[0]

    def trained(self) -> tuple[float, float]:
        """Seconds that it was seen to train, and the work done in them."""
        if self.first is None or self.last is None:
            return 0.0, 0.0
        return self.last[0] - self.first[0], self.last[1] - self.first[1]

    def finish(self) -> float | None:
        """Seconds from the last that was seen of its training to its end."""
        return None if self.ended is None or self.last is None else self.ended - self.last[0]


class Estimates:
    """What is known of each kind of run. `earlier`: seconds for a row trained on, by kind, of runs before this
    sweep."""

    def __init__(self, earlier: Mapping[str, float] | None = None):
        self._earlier = dict(earlier or {})
        self._seen: list[_Seen] = []
        self._now: dict[Path, _Seen] = {}

    def begun(self, task: Task, now: float) -> None:
        """Be told that a run's process has been started."""
        self._now[task.folder] = _Seen(task.kind, (now, task.epoch_work * task.saved()))
        self._seen.append(self._now[task.folder])

    def look(self, task: Task, now: float) -> None:
        """Look at how far a run is whose process lives."""
        seen = self._now.get(task.folder)
        if seen is None:
            return
        work = task.reached().work(task)
        if work > (seen.last or seen.begun)[1]:
            seen.last = now, work
            seen.first = seen.first or seen.last

    def ended(self, task: Task, now: float, whole: bool) -> None:
        """Be told that a run's process has ended: `whole`, with the result of a training."""
        seen = self._now.get(task.folder)
        if seen is None or not whole or seen.begun[1] >= task.work:
            return
        if seen.first is None:  # too quick to be seen: all of it was training
            seen.first, seen.last = seen.begun, (now, task.work)
        seen.ended = now

    def pace(self, kind: str) -> float | None:
        """Seconds for what a row that is trained on costs; None of a kind of which nothing ran yet."""
        pairs = [seen.trained() for seen in self._of(kind)]
        seconds, work = (sum(column) for column in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
        return seconds / work if seconds > 0 and work > 0 else self._earlier.get(kind)

    def start_up(self, kind: str | None = None) -> float | None:
        """Seconds until a process trains: of its kind, else of all; None where none was seen."""
        own = [value for seen in self._of(kind) if (value := seen.start_up()) is not None]
        if own or kind is None:
            return sum(own) / len(own) if own else None
        return self.start_up()

    def needed(self, task: Task, epochs: int | None = None) -> float | None:
        """Seconds from the start of a run's process to its end, or to the end of so many epochs; None: nobody knows."""
        pace = self.pace(task.kind)
        if pace is None:
            return None
        start_up = self.start_up(task.kind)
        whole = task.epochs - task.saved()
        ends = [value for seen in self._of(task.kind) if (value := seen.finish()) is not None]
        end = sum(ends) / len(ends) if ends and epochs is None else 0.0
        work = task.epoch_work * (whole if epochs is None else min(epochs, whole))
        return (START_UP if start_up is None else start_up) + work * pace + end

    def left(self, task: Task, now: float) -> float | None:
        """Seconds until a run ends whose process lives; None: nobody knows."""
        seen, pace = self._now.get(task.folder), self.pace(task.kind)
        if seen is None or seen.last is None or pace is None:
            return None
        return max(0.0, (task.work - seen.last[1]) * pace - (now - seen.last[0]))

    def _of(self, kind: str | None) -> list[_Seen]:
        return [seen for seen in self._seen if kind in (None, seen.kind)]


def earlier(results: Iterable[RunResult], tasks: Iterable[Task], on_gpu: bool) -> dict[str, float]:
    """Return the seconds for a row trained on, by kind of run, of finished runs that were made on a machine like this
    one, on a GPU or not as this sweep is; of several their mean."""
    works = {task.kind: task.work for task in tasks}
    here = environment.record()
    found: dict[str, list[float]] = defaultdict(list)
    for result in results:
        kind, made = kind_of(result.config, result.dataset.source_digest), result.raw.get("environment", {})
        like = all(made.get(key) == here[key] for key in ("platform", "cpus"))
        if kind not in works or not like or result.device is None or (result.device != "cpu") != on_gpu:
            continue
        seconds = [result.raw.get("seconds", {}).get(part) for part in ("training", "scoring")]
        if all(numbers.is_real(part) and part >= 0 for part in seconds) and sum(seconds) > 0:
            found[kind].append(sum(seconds) / works[kind])
    return {kind: sum(values) / len(values) for kind, values in found.items()}
