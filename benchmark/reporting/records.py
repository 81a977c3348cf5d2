"""Results for programs: everything about every cell as JSON or CSV, under names that do not change."""

from typing import Any

from benchmark.core import text_tables
from benchmark.reporting import published
from benchmark.reporting.published import Sources
from benchmark.runs import collapse
from benchmark.runs.groups import Cell
from benchmark.runs.published import Beside, Figures, Key, PublishedSpec

Record = dict[str, Any]
_OF_DEFENCES = ("kind", "defence", "described", "rows", "clean_rows", "channels", "stage", "last", "seconds")


def records(found: list[Cell], sources: Sources) -> list[Record]:
    """Return everything about every cell; with sources, also the published cells that were not run."""
    rows = [compared(record(cell), [cell.beside(source) for source in sources.specs]) for cell in found]
    return rows + [_absent(key, source) for source in sources.specs for key in published.not_run(found, source)]


def compared(row: Record, found: list[Beside]) -> Record:
    """Return a cell's record with the published figures, by source, and what is not as published."""
    for one in found:
        for name in one.figures:
            score = row["scores"].setdefault(name, {})
            score["published"] = score.get("published", {}) | {one.source.name: one.record(name)}
    deviations = {one.source.name: one.deviations for one in found if one.figures}
    return row | ({"deviates_in": deviations} if found else {})


def record(cell: Cell) -> Record:
    """Return everything about a cell."""
    found: dict[str, Record] = {}
    for name, score in cell.scores.items():
        summary = score.summary
        found[name] = {
            "mean": summary.mean, "deviation": summary.deviation, "low": summary.low, "high": summary.high,
            "interval_over": summary.over, "seeds": summary.seeds, "count": score.count, "of": score.of,
            "percent": score.percent, "values": list(summary.values),
        }  # fmt: skip
    return {
        "dataset": cell.dataset, "source_digest": cell.first.dataset.source_digest, "trigger": cell.trigger,
        "application": cell.application or None, "rate": str(cell.recipe.rate), "variant": cell.variant,
        "settings": cell.settings, "recipe": cell.recipe.without_seed, "config": _without_seed(cell.first.config.raw),
        "seeds": cell.seeds, "varying": cell.varying, "runs": [run.result.name for run in cell.runs],
        "cad_paired_by_seed": cell.paired if "cad" in cell.scores else None, "scores": found,
        "collapsed": [name for name, mark in cell.marks.items() if mark == collapse.SURE],
    }  # fmt: skip


def flat(rows: list[Record]) -> str:
    """Return such records as CSV, one line for each cell and score."""
    lines: list[Record] = []
    for row in rows:
        names = {key: row.get(key) for key in ("dataset", "trigger", "application", "rate", "variant", "settings")}
        names |= {"runs": len(row["runs"]), "varying": "+".join(row.get("varying", []))}
        names["collapsed"] = row.get("collapsed")
        names |= {key: row[key] for key in _OF_DEFENCES if key in row}
        lines += [names | {"score": name} | _in_columns(values) for name, values in row["scores"].items()]
    if not lines:
        return ""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    cells = [[_plain(line.get(key)) for key in columns] for line in lines]
    return text_tables.render("csv", columns, cells, set())


def decimal(share: Any) -> str:
    """Return a share as a decimal fraction in its one spelling."""
    return f"{float(share):.12f}".rstrip("0").rstrip(".") or "0"


def not_run(figures: Figures, source: PublishedSpec) -> Record:
    """Return the scores of a published cell that was not run."""
    return {
        name: {"published": {source.name: {"figure": figure, "verdict": "not run", "note": source.note or None}}}
        for name, figure in figures.items()
    }


def names_of(key: Key, source: PublishedSpec) -> Record:
    """Return what a published cell is of."""
    return {
        "dataset": key.dataset, "trigger": key.trigger, "application": key.application or None,
        "rate": decimal(key.rate), "settings": source.settings(key.dataset), "runs": [],
    }  # fmt: skip


def _absent(key: Key, source: PublishedSpec) -> Record:
    return names_of(key, source) | {"scores": not_run(source.attacks()[key], source)}


def _in_columns(score: Record) -> Record:
    """Return a score with each source's figures in columns of their own."""
    columns = {key: value for key, value in score.items() if key != "published"}
    for source, figures in score.get("published", {}).items():
        columns |= {f"published_{key}_{source}": value for key, value in figures.items()}
    return columns


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return "" if value is None else str(value)


def _without_seed(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("seed", "dataset_digest")}
