"""What a person sees of a whole sweep: one line on its state, a bar for each run, a line for each run that ends."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from benchmark.core.duration import duration
from benchmark.core.numbers import counted
from benchmark.core.text_tables import printable

MOST_BARS = 8  # of runs at a time; more would fill the terminal
_NAME = 40  # characters of a run's name before its bar


class Overall:
    """Progress of a sweep on stderr: one bar over the images of all runs, one line for each run that ends.

    On a terminal each run has a bar of its own within the epoch.
    """

    def __init__(self, tasks: list, total: int, quiet: bool = False):
        self.quiet = quiet
        self._done = {task.folder: task.trained() for task in tasks}
        self._images = sum(task.images for task in tasks)
        self._first, self._since = sum(self._done.values()), time.monotonic()
        self._before, self._all = total - len(tasks), total
        self._ended: set[Path] = set()
        self._bad: set[Path] = set()
        self._left: set[Path] = set()
        self._seconds: Mapping[Path, float | None] = {}
        self._bar = None
        self._within = Within(quiet)
        if not quiet:
            self._bar = tqdm(
                total=self._images,
                initial=self._first,
                unit="img",
                unit_scale=True,
                dynamic_ncols=True,
                disable=None,
                smoothing=0,  # the mean speed, of all runs together
                desc=self._words(),
            )

    def expect(self, seconds: Mapping[Path, float | None]) -> None:
        """Be told when the runs that are going on will end, in seconds from now; None: nobody knows."""
        self._seconds = seconds

    def tick(self, running: list) -> None:
        """Look at how far the runs have got."""
        reached = {task.folder: task.reached() for task in running}
        for task in running:
            self._done[task.folder] = max(self._done[task.folder], reached[task.folder].images(task))
        self._draw()
        self._within.draw({task: reached[task.folder] for task in running}, self._seconds)

    def done(self, task) -> None:
        """Count a run that is finished."""
        self._done[task.folder] = task.images
        self._ended.add(task.folder)
        self._draw()
        scores = task.run.finished().scores
        shares = {"BA": scores.ba, "ASR": scores.asr}
        found = [f"{name} {share.percent:.1f}" for name, share in shares.items() if share is not None and share.of]
        self.say(f"{task.name}: {', '.join(found)}  ({self._words()}{self.left()})")

    def failed(self, task, lines: list[str]) -> None:
        """Count a run that has failed; what is left of it will not be done."""
        self._bad.add(task.folder)
        self._ended.add(task.folder)
        self._give_up(task)
        self.say(f"{task.name}: failed, {lines[0]}  ({self._words()}{self.left()})")

    def stopped(self, task) -> None:
        """Count a run that there was no more time for; what is left of it will not be done now."""
        self._left.add(task.folder)
        self._give_up(task)
        saved = task.saved()
        self.say(f"{task.name}: stopped after epoch {saved} of {task.epochs}  ({self._words()})")

    def left(self) -> str:
        """`, about 4.2 h left`, or nothing before rows are done or after the last."""
        now = sum(self._done.values())
        rate = (now - self._first) / max(time.monotonic() - self._since, 1e-9)
        return f", about {duration((self._images - now) / rate)} left" if rate > 0 and now < self._images else ""

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        if not self.quiet:
            tqdm.write(printable(line), file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal in order."""
        self._within.close()
        if self._bar is not None:
            self._bar.close()

    def _give_up(self, task) -> None:
        self._images -= task.images - self._done[task.folder]
        if self._bar is not None:
            self._bar.total = self._images
        self._draw()

    def _words(self) -> str:
        counts = {"failed": len(self._bad), "stopped": len(self._left)}
        words = [f"{self._before + len(self._ended)} of {counted(self._all, 'run')}"]
        return ", ".join(words + [f"{count} {word}" for word, count in counts.items() if count])

    def _draw(self) -> None:
        if self._bar is not None:
            self._bar.set_description(self._words(), refresh=False)
            self._bar.update(sum(self._done.values()) - self._bar.n)


class Within:
    """A bar for each run that is going on, on a terminal alone: where it is within its epoch, and when it will end."""

    def __init__(self, quiet: bool = False):
        self._shown = not quiet and sys.stderr.isatty()
        self._bars: dict[Path, tqdm] = {}

    def draw(self, reached: Mapping, left: Mapping[Path, float | None]) -> None:
        """Show where these runs are now; the bars of all others go."""
        if not self._shown:
            return
        for folder in self._bars.keys() - {task.folder for task in reached}:
            self._bars.pop(folder).close()
        for task, (epochs, rows) in reached.items():
            bar = self._bars.get(task.folder) or self._new(task)
            if bar is None:
                continue
            bar.set_description_str(
                f"{name_of(task)}  epoch {min(epochs + 1, task.epochs)}/{task.epochs}", refresh=False
            )
            seconds = left.get(task.folder)
            bar.set_postfix_str("" if seconds is None else f"{duration(seconds)} left", refresh=False)
            bar.n = task.rows if epochs == task.epochs else rows
            bar.refresh()

    def close(self) -> None:
        """Take all bars away."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def _new(self, task) -> tqdm | None:
        free = set(range(1, MOST_BARS + 1)) - {-bar.pos for bar in self._bars.values()}
        if not free:
            return None
        self._bars[task.folder] = tqdm(
            total=task.rows,
            position=min(free),
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )
        return self._bars[task.folder]


def name_of(task) -> str:
    """Return as much of a run's name as stands before its bar: its beginning, and the seed and digest at its end."""
    name = printable(task.name)
    return name if len(name) <= _NAME else f"{name[: _NAME - 16]}…{name[-15:]}"
