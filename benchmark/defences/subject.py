"""A finished run, opened for defences: its context without the truth, and beside it the truth, for the driver alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.core import random_streams
from benchmark.defences.context import DefenceContext
from benchmark.format.dataset import Dataset, Rows
from benchmark.nn import engines
from benchmark.runs import agreement, hints
from benchmark.runs.context import open_data
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.training import texts


@dataclass(frozen=True)
class Asked:
    """What the user asks of every method alike.

    Parameters
    ----------
    file, base : path-like or None
        The data set that the run was trained on (None: where it was then), and a delta's clean file.
    clean_rows : int or None
        How many clean rows to use at most; None: `hints.CLEAN_SHARE` of the training rows.
    rows : int or None
        How many training rows to inspect, drawn at random, all poisoned ones among them where it is known which they
        are; None: all.
    """

    file: Path | None = None
    base: Path | None = None
    clean_rows: int | None = None
    rows: int | None = None

    def elsewhere(self) -> "Asked":
        """Return the same for another run, whose data set lies where it was."""
        return replace(self, file=None, base=None)


@dataclass(frozen=True)
class Truth:
    """What is known of the inspected rows: `role` (n,) uint8, 0 as in the source, 1 poisoned, 2 a cover; and how many
    rows each stands for, `weights` (n,)."""

    role: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Subject:
    """A run and what is done with it.

    Attributes
    ----------
    context : DefenceContext
        For the methods.
    truth : Truth or None
        None where nobody knows it.
    scored : Dataset
        Whose test rows a repaired network is scored on; `written`: the same as it is in the file, texts as text.
    clean_are : str
        Where its clean rows come from.
    twin : Run or None
        The clean run that it is compared with.
    compared : bool
        Is this run itself the clean one, that another is compared with?
    inspectable : int
        How many training rows could be inspected: those of the context, and those that were not drawn.
    tested : (n,) int64 or None
        Which of the file's test rows it is scored on; None: all.
    """

    run: Run
    trained: RunResult
    context: DefenceContext
    truth: Truth | None
    scored: Dataset
    written: Dataset
    clean_are: str
    twin: Run | None = None
    compared: bool = False
    inspectable: int = 0
    tested: np.ndarray | None = None

    def check_network(self) -> None:
        """`Failure` where the network is not the one that was trained here; a warning where that cannot be told."""
        agreement.check(self.run, self.scored.scored, self.context.predictor(), self.tested)


def job_at(folder: Path, kind: str) -> Run:
    """Return the run in a folder. `Failure` where `kind`, a command, cannot work on it: it is not finished, was trained
    elsewhere, or is of code of its own that the user has not named."""
    job = Run.at(folder)
    job.finished()
    job.needs_network(kind)
    job.needs_code()
    return job


def open_subject(job: Run, asked: Asked, log: Callable[[str], None]) -> Subject:
    """Open a finished run and activate its backend.

    Raises
    ------
    Failure
        If it is not finished, its data set is not there, or its network was trained elsewhere.
    """
    trained = job.finished()
    contents = open_data(job, trained, asked.file, asked.base)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    inspected, clean, tested, clean_are = _rows(job, contents, asked.clean_rows)
    truth = _truth(contents)
    rows = _drawn(inspected, asked.rows, truth)
    weights = np.ones(len(rows))
    if truth is not None and len(rows) < len(inspected):
        others = truth[rows] == 0
        weights[others] = np.count_nonzero(truth[inspected] == 0) / max(int(np.count_nonzero(others)), 1)
    written, taken = _blind(contents), _as_the_network_takes_it(job, contents)
    # without training rows, so that these are not tokenized again
    alone = replace(written, train=_taken(written.train, np.arange(0)), test=clean)
    tokens = _as_the_network_takes_it(job, alone).test
    name = _name_of(clean_are, len(clean))
    context = DefenceContext(job, _blind(taken), rows, tokens, name, log, (written, clean))
    known = None if truth is None else Truth(truth[rows], weights)
    if tested is not None:
        taken, contents = (replace(one, test=_taken(one.test, tested)) for one in (taken, contents))
    return Subject(job, trained, context, known, taken, contents, clean_are, inspectable=len(inspected),
                   tested=tested)  # fmt: skip


def _rows(job: Run, contents: Dataset, count: int | None) -> tuple[np.ndarray, Rows, np.ndarray | None, str]:
    """Return the training rows that are inspected, the clean rows, the test rows to score on (None: all), and what is
    clean.

    Of a sealed file any training row may be poisoned, so the clean ones are a seeded half of the test set, and the
    network is scored on the other half.
    """
    everything, hold_out = np.arange(len(contents.train)), job.settings.hold_out
    most = count or max(1, round(hints.CLEAN_SHARE * len(contents.train)))
    if contents.manifest.kind.sealed:
        test = np.arange(len(contents.test))
        clean = random_streams.some(test, len(test) // 2, "clean half of the test set")
        rest = np.setdiff1d(test, clean)
        some = random_streams.some(clean, most, "clean rows")
        return everything, _taken(contents.test, some), rest, "test"
    if not hold_out:
        nothing = np.arange(0)
        return everything, _taken(contents.train, nothing), None, "none"
    held = contents.held_out(hold_out)
    some = random_streams.some(np.arange(len(held)), most, "clean rows")
    return contents.kept(hold_out), _taken(held, some), None, "held out"


def _taken(rows: Rows, chosen: np.ndarray) -> Rows:
    return Rows(rows.inputs[chosen], rows.labels[chosen])


def _truth(contents: Dataset) -> np.ndarray | None:
    """Return each training row's role, (N,) uint8; None where nobody knows it."""
    if contents.manifest.kind.sealed:
        return None
    role = np.zeros(len(contents.train), np.uint8)
    if contents.truth_rows is not None and contents.truth_role is not None:
        role[contents.truth_rows] = contents.truth_role
    return role


def _drawn(rows: np.ndarray, count: int | None, truth: np.ndarray | None) -> np.ndarray:
    """Return at most that many rows, ascending: all that are known to be changed, and others at random."""
    if count is None or count >= len(rows):
        return rows
    changed = rows[truth[rows] > 0] if truth is not None else rows[:0]
    others = np.setdiff1d(rows, changed)
    room = max(count - len(changed), min(len(others), 1))
    return np.union1d(changed, random_streams.some(others, room, "inspected rows"))


def _blind(contents: Dataset) -> Dataset:
    """Return the data set without the truth, and without triggered rows."""
    return replace(
        contents,
        triggered=None,
        wanted=None,
        truth=None,
        truth_rows=None,
        truth_role=None,
        others=None,
        triggered_rows=None,
        others_rows=None,
        mask=None,
        insertions={},
    )


def _as_the_network_takes_it(job: Run, contents: Dataset) -> Dataset:
    """Return the data set with tokens for texts."""
    from benchmark.nn import tokenizers

    if job.settings.MODALITY == "image":
        return contents
    return texts.tokenized(contents, tokenizers.load(job.folder))


def _name_of(clean_are: str, count: int) -> str:
    return f"clean-{clean_are.replace(' ', '-')}-{count}"
