"""Detectors and repairs over the seeds for programs: everything about every cell, under names that do not change."""

from collections.abc import Sequence
from typing import Any

from benchmark.defences.over_runs import Group
from benchmark.defences.summaries import DetectedCell, RepairedCell
from benchmark.reporting import records
from benchmark.reporting.defended import FRACTIONS
from benchmark.reporting.records import Record
from benchmark.runs.groups import Score


def of_detectors(found: Sequence[DetectedCell]) -> list[Record]:
    """Return a record for each detector's cell: areas under curves from 0 to 1, all else in percent."""
    return [_named(cell.group, "detector") | {"scores": scores(cell.scores)} for cell in found]


def of_repairs(found: Sequence[RepairedCell]) -> list[Record]:
    """Return a record for each stage of a repair's cell, in percent and points; `last`: it is the repair's result."""
    return [
        _named(cell.group, "repair") | {"stage": cell.stage, "last": cell.last, "scores": scores(cell.scores)}
        for cell in found
    ]


def scores(found: dict[str, Score]) -> dict[str, Record]:
    """Return scores by name, each with its interval and the values of the seeds."""
    return {name: _score(score, 100.0 if name in FRACTIONS else 1.0) for name, score in found.items()}


def _score(score: Score, unit: float) -> Record:
    summary = score.summary

    def part(value: float | None) -> float | None:
        return None if value is None else value / unit

    return {
        "mean": part(summary.mean), "deviation": part(summary.deviation), "low": part(summary.low),
        "high": part(summary.high), "interval_over": summary.over, "seeds": summary.seeds, "count": score.count,
        "of": score.of, "values": [part(value) for value in summary.values],
    }  # fmt: skip


def _named(group: Group[Any], kind: str) -> Record:
    """Return what a cell is of: the attack as records of attacks have it, and the method."""
    attack = records.record(group.cell)
    first = group.first
    return {
        **{name: value for name, value in attack.items() if name not in ("scores", "cad_paired_by_seed")},
        "kind": kind, "defence": group.method, "options": first.settings, "described": group.settings,
        "clean_rows": first.clean_rows, "clean_are": first.clean_are, "seconds": group.seconds,
        "folders": [f"{entry.run.folder.name}/{entry.folder.name}" for entry in group.entries],
    }  # fmt: skip
