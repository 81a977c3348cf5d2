"""`poisonkit grade` of several submissions: a ranking, with what chance may have done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.blind import submissions
from poisonkit.blind.grade import Truth, measures
from poisonkit.blind.submissions import Entry, Submission
from poisonkit.core import intervals, roc
from poisonkit.core.errors import Failure
from poisonkit.core.intervals import Interval, Placements, Top

PERCENTS = (1, 5)


@dataclass(frozen=True)
class Step:
    """By how much the AUROC of a submission is below that of the one before it in the ranking, with the 95 % interval
    of the difference."""

    difference: float
    interval: Interval

    @property
    def within_noise(self) -> bool:
        """Whether the difference may well be none: its interval holds 0."""
        return self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Ranked:
    """One submission in a ranking. Intervals are 95 %; None stands where a measure is not defined.

    Attributes
    ----------
    rank : int or None
        From 1; equal AUROCs share a rank.
    name, path, baseline
        Its name, its file, and whether it is a baseline.
    submitted : int
        The lines that it has.
    auroc, average_precision : float
        Of rows alone, the AUROC is the balanced accuracy: the mean of the shares of changed and of other rows that were
        told right.
    auroc_without_cover : float
        The same of the poisoned rows against those that were not changed; None where the challenge has no cover rows.
    tpr_at_1_percent_fpr, tpr_at_5_percent_fpr : float
        The share of the changed rows that is found where at most so many percent of the others are taken. None of rows
        alone: whoever handed them in has chosen the cut.
    best_f1, listed : dict
        The cut of the greatest F1; and of rows alone, what they come to, with the intervals of precision and recall.
    behind : Step
        The difference from the one before it in the ranking.
    """

    rank: int | None
    name: str
    path: Path
    baseline: bool
    submitted: int
    auroc: float | None
    auroc_interval: Interval | None
    auroc_without_cover: float | None
    average_precision: float | None
    tpr_at_1_percent_fpr: float | None
    tpr_at_1_percent_fpr_interval: Interval | None
    tpr_at_5_percent_fpr: float | None
    tpr_at_5_percent_fpr_interval: Interval | None
    best_f1: dict[str, Any] | None
    listed: dict[str, Any] | None
    behind: Step | None

    def record(self) -> dict[str, Any]:
        """Return it by its JSON keys."""
        found = {field.name: getattr(self, field.name) for field in fields(self)} | {"path": str(self.path)}
        if self.behind:
            step = self.behind
            behind = {"difference": step.difference, "interval": step.interval, "within_noise": step.within_noise}
            found["behind"] = behind
        return found


@dataclass(frozen=True)
class Chance:
    """What scores that say nothing come to: the mean, and the range in which 95 % of them fall."""

    auroc: float
    auroc_range: Interval
    average_precision: float
    tpr_at_1_percent_fpr: float
    tpr_at_1_percent_fpr_range: Interval
    tpr_at_5_percent_fpr: float
    tpr_at_5_percent_fpr_range: Interval


@dataclass(frozen=True)
class Failed:
    """A submission that is not in order, and what is wrong with it."""

    name: str
    path: Path
    baseline: bool
    problem: str


@dataclass(frozen=True)
class Ranking:
    """Submissions to a blind exercise, the best first; as text, what ``poisonkit grade`` prints of them.

    Attributes
    ----------
    challenge, commitment : str
        The challenge's name, and what was committed to.
    rows, changed, poisoned, cover : int
        Its training rows; those that were changed, which are the answer, and the two kinds that these are of.
    submissions : tuple of Ranked
        By falling AUROC, baselines among them.
    chance : Chance or None
        None where no row was changed, or every one.
    failed : tuple of Failed
        Those that were not in order.
    """

    challenge: str
    commitment: str
    rows: int
    changed: int
    poisoned: int
    cover: int
    submissions: tuple[Ranked, ...]
    chance: Chance | None
    failed: tuple[Failed, ...]

    def __iter__(self) -> Iterator[Ranked]:
        return iter(self.submissions)

    def __len__(self) -> int:
        return len(self.submissions)

    def __str__(self) -> str:
        from poisonkit.blind import ranking_table

        return "\n".join(ranking_table.lines(self))

    def record(self) -> dict[str, Any]:
        """Return all of it by its JSON keys."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        failed = [vars(one) | {"path": str(one.path)} for one in self.failed]
        chance = self.chance and vars(self.chance)
        return found | {
            "ranked_by": "auroc",
            "submissions": [one.record() for one in self],
            "chance": chance,
            "failed": failed,
        }


@dataclass(frozen=True)
class _Graded:
    """A submission with its measures, and what intervals and differences are computed from.

    `placements` are None where the truth has rows of one kind alone; so are `tprs`, one for each of PERCENTS, and
    `top`, also where rows alone were given.
    """

    entry: Entry
    submitted: int
    measures: dict[str, Any]
    without_cover: float | None
    placements: Placements | None
    tprs: tuple[float | None, ...]
    top: Top | None

    @classmethod
    def of(cls, entry: Entry, given: Submission, truth: Truth) -> "_Graded":
        """Measure a submission."""
        changed, scores = truth.changed, given.dense(len(truth.changed))
        both, steps = changed.any() and not changed.all(), roc.curve(scores, changed)
        cut = bool(both and given.scores is not None)
        without = None
        if truth.cover.any():
            without = roc.auroc(roc.curve(scores[~truth.cover], changed[~truth.cover]))
        return cls(
            entry,
            len(given.rows),
            measures(given, changed),
            without,
            Placements.of(scores, changed) if both else None,
            tuple(roc.tpr_at_fpr(steps, percent) if cut else None for percent in PERCENTS),
            Top.of(scores, changed, max(PERCENTS)) if cut else None,
        )


def rank(path: Path, key: Path | None, entries: Sequence[Entry]) -> Ranking:
    """Grade submissions and rank them by AUROC, whatever the order in which they are given.

    A changed row is right whether it is a poisoned or a cover row: both are what the exercise asks for. One that is not
    in order is among the `failed`, and loses the others nothing. Time and memory are linear in the rows and in the
    submissions, but for sorting. Raises `Failure` where the key is not the one that the file committed to; `Usage`
    where two submissions have one name.
    """
    entries = submissions.distinct(entries)
    truth = Truth.open(path, key)
    graded, failed = [], []
    for entry in entries:
        try:
            given = submissions.read(entry.path, len(truth.changed))
        except Failure as error:
            failed.append(Failed(entry.name, entry.path, entry.baseline, str(error)))
        else:
            graded.append(_Graded.of(entry, given, truth))
    ranked, chance = tuple(_in_order(graded, truth.changed)), _chance(truth.changed)
    names, count = (truth.challenge, truth.commitment), truth.counts()
    counts = count["rows"], count["changed"], count["poisoned"], count["cover"]
    return Ranking(*names, *counts, ranked, chance, tuple(failed))


def _in_order(graded: list[_Graded], changed: np.ndarray) -> Iterator[Ranked]:
    """Yield the submissions, the best first."""
    tops = {one.entry.name: one.top for one in graded if one.top is not None}
    variances = intervals.tpr_variances(list(tops.values()), changed, PERCENTS) if tops else ()
    of_name = dict(zip(tops, variances, strict=True))
    before, rank = None, 0
    for place, one in enumerate(sorted(graded, key=lambda one: (-(one.measures["auroc"] or 0), one.entry.name)), 1):
        behind = _step(before, one)
        rank = rank if behind and not behind.difference else place
        yield _ranked(rank, one, behind, of_name.get(one.entry.name), int(changed.sum()))
        before = one


def _step(before: _Graded | None, one: _Graded) -> Step | None:
    if before is None or before.placements is None or one.placements is None:
        return None
    difference = before.measures["auroc"] - one.measures["auroc"]
    return Step(difference, intervals.of_difference(before.placements, one.placements))


def _ranked(rank: int, one: _Graded, behind: Step | None, variances: np.ndarray | None, positives: int) -> Ranked:
    tprs: dict[str, Any] = {}
    for place, (percent, tpr) in enumerate(zip(PERCENTS, one.tprs, strict=True)):
        interval = None
        if tpr is not None and variances is not None:
            interval = intervals.of_tpr(tpr, positives, float(variances[place]))
        tprs |= {f"tpr_at_{percent}_percent_fpr": tpr, f"tpr_at_{percent}_percent_fpr_interval": interval}
    return Ranked(
        rank if one.placements else None,
        one.entry.name,
        one.entry.path,
        one.entry.baseline,
        one.submitted,
        one.measures["auroc"],
        intervals.of_auroc(one.placements) if one.placements else None,
        one.without_cover,
        one.measures["average_precision"],
        best_f1=one.measures["best_f1"],
        listed=_with_intervals(one.measures["listed"], positives),
        behind=behind,
        **tprs,
    )


def _with_intervals(listed: dict[str, Any] | None, positives: int) -> dict[str, Any] | None:
    if listed is None:
        return None
    shares = {"precision": listed["taken"], "recall": positives}
    return listed | {f"{name}_interval": intervals.wilson(listed[name], of) if of else None
                     for name, of in shares.items()}  # fmt: skip


def _chance(changed: np.ndarray) -> Chance | None:
    positives, rows = int(changed.sum()), len(changed)
    if positives in (0, rows):
        return None
    tprs = [intervals.chance_of_tpr(positives, rows - positives, percent) for percent in PERCENTS]
    area = intervals.chance_of_auroc(positives, rows - positives)
    return Chance(0.5, area, positives / rows, *tprs[0], *tprs[1])
