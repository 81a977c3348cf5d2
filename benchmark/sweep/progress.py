"""One line on the state of a whole sweep."""

import sys
import time

from tqdm import tqdm

from benchmark.core.duration import duration
from benchmark.core.text_tables import printable


class Overall:
    """Progress of a sweep on stderr: one bar over the images of all runs, one line for each run that ends."""

    def __init__(self, tasks: list, total: int, quiet: bool = False):
        self.quiet = quiet
        self._done = {task.folder: task.trained() for task in tasks}
        self._images = sum(task.images for task in tasks)
        self._first, self._since = sum(self._done.values()), time.monotonic()
        self._ended, self._bad, self._all = total - len(tasks), 0, total
        self._bar = None
        if not quiet:
            self._bar = tqdm(
                total=self._images,
                initial=self._first,
                unit="img",
                unit_scale=True,
                dynamic_ncols=True,
                disable=None,
                smoothing=0,  # the mean speed: images come an epoch at a time
                desc=self._words(),
            )

    def tick(self, running: list) -> None:
        """Look at how far the runs have got."""
        for task in running:
            self._done[task.folder] = max(self._done[task.folder], task.trained())
        self._draw()

    def done(self, task) -> None:
        """Count a run that is finished."""
        self._done[task.folder] = task.images
        self._ended += 1
        self._draw()
        scores = task.run.finished().scores
        shares = {"BA": scores.ba, "ASR": scores.asr}
        found = [f"{name} {share.percent:.1f}" for name, share in shares.items() if share is not None and share.of]
        self.say(f"{task.name}: {', '.join(found)}  ({self._words()}{self.left()})")

    def failed(self, task, lines: list[str]) -> None:
        """Count a run that has failed; what is left of it will not be done."""
        self._images -= task.images - self._done[task.folder]
        self._ended += 1
        self._bad += 1
        if self._bar is not None:
            self._bar.total = self._images
        self._draw()
        self.say(f"{task.name}: failed, {lines[0]}  ({self._words()}{self.left()})")

    def left(self) -> str:
        """`, about 4.2 h left`, or nothing before an epoch is done or after the last."""
        now = sum(self._done.values())
        rate = (now - self._first) / max(time.monotonic() - self._since, 1e-9)
        return f", about {duration((self._images - now) / rate)} left" if rate and now < self._images else ""

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        if not self.quiet:
            tqdm.write(printable(line), file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def _words(self) -> str:
        return f"{self._ended} of {self._all} runs" + (f", {self._bad} failed" if self._bad else "")

    def _draw(self) -> None:
        if self._bar is not None:
            self._bar.set_description(self._words(), refresh=False)
            self._bar.update(sum(self._done.values()) - self._bar.n)
