"""What a person sees while a run trains: a bar within the epoch, with images per second and when the run will end; a
line for each epoch; an early estimate."""

import sys
import time

from tqdm import tqdm

from benchmark.core.duration import duration
from benchmark.core.text_tables import printable
from benchmark.nn import engines
from benchmark.runs.train import RunCallback
from benchmark.training.common import Common
from benchmark.training.settings import Settings

LONG = 1800  # seconds; a run longer than this is told of --preset small
CPU_RATE = 550  # images a second, one core, width 1 (measured on an EPYC of 2022); only for a first guess


def cost(width: int) -> float:
    """How much longer than at width 1 an image takes on a CPU, roughly (30 at width 10, as measured)."""
    return width**1.48


def _guess(settings: Common, rows: int) -> float:
    """Seconds of training on this many rows on a CPU; 0 of a network that was not measured."""
    return rows * cost(settings.width) / (CPU_RATE * settings.threads) if isinstance(settings, Settings) else 0


class Progress(RunCallback):
    """Progress of one run on stderr; `quiet` shows nothing."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.epochs_done = 0
        self._bar: tqdm | None = None
        self._blocks = self._timed = self._row = 0
        self._spent = self._last = 0.0
        self._scoring: float | None = None  # seconds, after an epoch
        self._told = False

    def on_start(self, run, training, history):
        self.settings = run.settings
        self.epochs_done = len(history)
        data, self._rows = training.data, len(training.rows)
        self._scored = sum(len(rows) for rows in (data.test, data.triggered, data.others) if rows)
        self._left = self._rows * (self.settings.epochs - len(history))
        if self.quiet:
            return
        device, settings = engines.device(), self.settings
        self._noun = f"{settings.MODALITY}s"
        epochs = f"{settings.epochs} epoch{'s' if settings.epochs > 1 else ''}"
        plan = f"{epochs} of {self._rows:,} {self._noun}, {settings.network}, on {device}"
        self.say(f"{run.folder.name}: {plan}" + (f", from epoch {len(history) + 1}" if history else ""))
        guess = _guess(settings, self._left) if device == "cpu" else 0
        if guess > LONG:
            self.say(f"without a GPU this takes about {duration(guess)}{self._advice(guess)}")
        self._bar = tqdm(
            total=self._rows,
            unit={"images": "img"}.get(self._noun, self._noun),
            unit_scale=True,
            dynamic_ncols=True,
            disable=None,  # where stderr is no terminal the lines alone go to the log
            smoothing=0.05,
            desc=f"epoch {len(history) + 1}/{self.settings.epochs}",
        )

    def on_rows(self, count):
        if self._bar is None:
            return
        self._blocks += 1
        self._row += count
        self._left -= count
        now = time.perf_counter()
        if self._row > count:  # the first rows of an epoch wait for what came before: a compilation, a scoring
            self._timed += count
            self._spent += now - self._last
        self._last = now
        ends = self._ends()
        if ends is not None:
            self._bar.set_postfix_str(f"run {duration(ends)} left", refresh=False)
        self._bar.update(count)
        if not self._told and self._blocks > 2 and (self._spent > 2 or self._blocks == 20):
            self._tell()

    def _ends(self) -> float | None:
        """Seconds until the run ends; None before anything was measured."""
        if not self._timed or not self._spent:
            return None
        pace = self._spent / self._timed
        # an image scored costs about a third of one trained on
        scoring = self._scored / 3 * pace if self._scoring is None else self._scoring
        return self._left * pace + scoring * (self.settings.epochs - self.epochs_done)

    def _tell(self) -> None:
        """Print a line on the end of the run, once."""
        self._told = True
        rate, left = self._timed / self._spent, self._ends() or 0.0
        advice = self._advice(left) if left > LONG else ""
        self.say(f"about {duration(left)} at {rate:,.0f} {self._noun}/s{advice}")

    def on_epoch(self, epoch, predicted):
        self.epochs_done = epoch.epoch
        self._row, self._scoring = 0, epoch.score_seconds
        if self._bar is None:
            return
        asr = "" if epoch.asr is None else f"  ASR {epoch.asr:5.1f}"
        spent = duration(epoch.seconds + epoch.score_seconds)
        self.say(
            f"epoch {epoch.epoch:>2}/{self.settings.epochs}  loss {epoch.loss:.4f}  BA {epoch.ba:5.1f}{asr}  {spent}"
        )
        self._bar.set_postfix_str("", refresh=False)
        if epoch.epoch < self.settings.epochs:
            self._bar.reset()
            self._bar.set_description(f"epoch {epoch.epoch + 1}/{self.settings.epochs}")

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        if not self.quiet:
            tqdm.write(printable(line), file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal in order."""
        if self._bar is not None:
            self._bar.close()

    def _advice(self, seconds: float) -> str:
        """Return what --preset small would take instead, if the run is not small already."""
        settings = self.settings
        if not isinstance(settings, Settings):
            return ""
        left = settings.epochs - self.epochs_done
        small = seconds * 8 / left / cost(settings.width)
        return f"; --preset small takes about {duration(small)}" if small < seconds / 2 else ""
