"""The scores of detectors and repairs over the seeds: mean, standard deviation and 95 % interval, in percent.

Over several seeds it is Student's interval, of one Wilson's over its rows, as for BA and ASR (`core.intervals`); areas
under curves have none then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.defences.measures import Cut, Measures
from benchmark.defences.over_runs import Defended, Entry, Group
from benchmark.defences.records import Detected, Repaired, Step
from benchmark.runs.groups import Cell, Score
from benchmark.training.metrics import Scores, Share

Value = Share | float | None
"""What one result says: a share of rows, percent or points, or nothing."""
TPR_AT_1, TPR_AT_5 = "0.01", "0.05"
LAST = -1
"""The number of a repair's last step."""
POINTS = ("ba_lost", "twin_ba_lost")
"""Differences, in percentage points, which may be below 0."""


def der(before: Scores, after: Scores) -> float | None:
    """Return the defence effectiveness rating (Zhu et al. 2023), from 0 to 1: ½ (max(0, ΔASR) − max(0, ΔBA) + 1), the
    Δ being what was lost; None without an ASR."""
    if before.asr is None or after.asr is None or not before.asr.of or not after.asr.of:
        return None
    attack = before.asr.count / before.asr.of - after.asr.count / after.asr.of
    benign = before.ba.count / before.ba.of - after.ba.count / after.ba.of
    return (max(0.0, attack) - max(0.0, benign) + 1) / 2


# ---------------------------------------------------------------- detectors


def _measured(read: Callable[[Measures], float | None]) -> Callable[[Entry[Detected]], Value]:
    """Return a reader of something measured, as a percentage."""

    def value(entry: Entry[Detected]) -> Value:
        measures = entry.result.measures
        return None if measures is None else _percent(read(measures))

    return value


def _found(fpr: str) -> Callable[[Entry[Detected]], Value]:
    """Return a reader of the poisoned rows that are found at a false positive rate."""

    def value(entry: Entry[Detected]) -> Value:
        measures, poisoned = entry.result.measures, entry.result.poisoned
        return None if measures is None or not poisoned else Share(round(measures.tpr[fpr] * poisoned), poisoned)

    return value


def _of_cut(name: str) -> Callable[[Measures], float | None]:
    def value(measures: Measures) -> float | None:
        cut: Cut | None = measures.own_cut
        return None if cut is None else getattr(cut, name)

    return value


def _covers(entry: Entry[Detected]) -> Value:
    covers, count = entry.result.covers_measured, entry.result.covers
    return None if covers is None or not count else Share(round(covers.tpr[TPR_AT_1] * count), count)


def _twin_flagged(entry: Entry[Detected]) -> Value:
    return None if entry.twin is None else _percent(entry.twin.flagged_share)


DETECTOR_SCORES: Mapping[str, Callable[[Entry[Detected]], Value]] = {
    "auroc": _measured(lambda one: one.auroc),
    "average_precision": _measured(lambda one: one.average_precision),
    "tpr_at_1": _found(TPR_AT_1),
    "tpr_at_5": _found(TPR_AT_5),
    "precision": _measured(_of_cut("precision")),
    "recall": _measured(_of_cut("recall")),
    "false_alarms": _measured(_of_cut("false_positives")),
    "as_many": _measured(lambda one: one.as_many.recall),
    "flagged": lambda entry: _percent(entry.result.flagged_share),
    "covers_at_1": _covers,
    "twin_flagged": _twin_flagged,
}
"""Name → what a detector's result says. `precision`, `recall`, `false_alarms` (share of the clean rows): at the
method's own cut; `as_many`: precision and recall where as many rows are flagged as are poisoned; `covers_at_1`: share
of the covers above the cut at 1 % false positives; `twin_flagged`: share of the clean twin's rows that is flagged."""


@dataclass(frozen=True)
class DetectedCell:
    """What one detector found of one attack, over the seeds."""

    group: Group[Detected]

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Score by name (see DETECTOR_SCORES), without those that no result has."""
        group = self.group
        read = {name: [value(entry) for entry in group.entries] for name, value in DETECTOR_SCORES.items()}
        return _scores(group.cell, read)


# ---------------------------------------------------------------- repairs


@dataclass(frozen=True)
class RepairedCell:
    """What one stage of one repair left of one attack, over the seeds; `number` LAST: the repair's result."""

    group: Group[Repaired]
    number: int

    @property
    def last(self) -> bool:
        """Is it the repair's result?"""
        return self.number == LAST

    @property
    def steps(self) -> list[Step]:
        """Return that stage of each result."""
        return [entry.result.steps[self.number] for entry in self.group.entries]

    @property
    def stage(self) -> str:
        """What the stage is called, with what tells it from others of the name; all of it that occurs, where what is
        done differs from run to run: `pruned 0.75, 0.8`, `unlearned or untouched`."""
        labels: dict[str, dict[str, None]] = {}
        for step in self.steps:
            labels.setdefault(step.stage, {})[step.label] = None
        return " or ".join(f"{name} {', '.join(filter(None, of))}".strip() for name, of in labels.items())

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Score by name, without those that no result has: `before_ba`, `before_asr`; `ba`, `asr`, `still_right` after;
        `ba_lost`; `der`; `control_ba` and `control_asr`, of plain fine-tuning on the same rows; `twin_ba` and
        `twin_ba_lost`, of the clean twin."""
        rows = [repair_values(entry, self.number) for entry in self.group.entries]
        return _scores(self.group.cell, {name: [row[name] for row in rows] for name in rows[0]})


def step_of(result: Repaired | None, number: int) -> Step | None:
    """Return the step of that number of a repair, its last for LAST; None where it has none."""
    steps = result.steps if result else ()
    return steps[number] if len(steps) > max(number, 0) else None


def repair_values(entry: Entry[Repaired], number: int) -> dict[str, Value]:
    """Return what one result says at the step of that number, by the names of `RepairedCell.scores`. The last one
    stands beside the last of its clean twin, however many stages either took."""
    before, after = entry.result.before, entry.result.steps[number].scores
    twin = step_of(entry.twin, number)
    control = entry.control
    return {
        "before_ba": before.ba,
        "before_asr": before.asr,
        "ba": after.ba,
        "asr": after.asr,
        "still_right": after.robust_accuracy,
        "ba_lost": _lost(before, after),
        "der": _percent(der(before, after)),
        "control_ba": control.after.ba if control else None,
        "control_asr": control.after.asr if control else None,
        "twin_ba": twin.scores.ba if twin else None,
        "twin_ba_lost": _lost(entry.twin.before, twin.scores) if entry.twin and twin else None,
    }


def _lost(before: Scores, after: Scores) -> float:
    return (before.ba.percent or 0.0) - (after.ba.percent or 0.0)


# ---------------------------------------------------------------- both


def detected(found: Defended) -> list[DetectedCell]:
    """Return the detectors' cells, in the order of a table."""
    return list(map(DetectedCell, found.detected))


def repaired(found: Defended) -> list[RepairedCell]:
    """Return the repairs' cells, a stage each, in the order of a table; last the result, which is each run's own last
    stage. Stages on the way to it that not all runs have are left out."""
    cells = []
    for group in found.repaired:
        most = min(len(entry.result.steps) for entry in group.entries)
        cells += [RepairedCell(group, number) for number in (*range(1, most - 1), LAST)]
    return cells


def _scores(cell: Cell, read: Mapping[str, list[Any]]) -> dict[str, Score]:
    found = {name: _score(cell, name, values) for name, values in read.items()}
    return {name: score for name, score in found.items() if score is not None}


def _score(cell: Cell, name: str, values: list[Value]) -> Score | None:
    shares = [value for value in values if isinstance(value, Share) and value.of]
    images = {"count": sum(one.count for one in shares), "of": sum(one.of for one in shares)} if shares else {}
    percents = [value.percent if isinstance(value, Share) else value for value in values]
    least = -100.0 if name in POINTS else 0.0
    return cell.scored(percents, images, least)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
