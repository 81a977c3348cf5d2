"""Results for programs: everything about every cell as JSON or CSV, under names that do not change."""

from typing import Any

from benchmark.core import text_tables
from benchmark.reporting import published
from benchmark.runs import collapse, paper_results
from benchmark.runs.groups import Cell

Record = dict[str, Any]


def records(found: list[Cell], paper: bool) -> list[Record]:
    """Return everything about every cell; with `paper`, also the published cells that were not run."""
    rows = [record(cell, paper) for cell in found]
    if paper:
        rows += [_absent(key) for key in published.not_run(found)]
    return rows


def record(cell: Cell, paper: bool) -> Record:
    """Return everything about a cell."""
    found: dict[str, Record] = {}
    for name, score in cell.scores.items():
        summary = score.summary
        found[name] = {
            "mean": summary.mean, "deviation": summary.deviation, "low": summary.low, "high": summary.high,
            "interval_over": summary.over, "seeds": summary.seeds, "count": score.count, "of": score.of,
            "percent": score.percent, "values": list(summary.values),
        }  # fmt: skip
        if paper and name in cell.published:
            figure = cell.published[name]
            found[name] |= {"paper": figure, "difference": summary.mean - figure, "verdict": cell.verdict(name)}
    row = {
        "dataset": cell.dataset, "source_digest": cell.first.dataset.source_digest, "trigger": cell.trigger,
        "application": cell.application or None, "rate": str(cell.recipe.rate), "variant": cell.variant,
        "settings": cell.settings, "recipe": cell.recipe.without_seed, "config": _without_seed(cell.first.config.raw),
        "seeds": cell.seeds, "varying": cell.varying, "runs": [run.result.name for run in cell.runs],
        "cad_paired_by_seed": cell.paired if "cad" in cell.scores else None, "scores": found,
        "collapsed": [name for name, mark in cell.marks.items() if mark == collapse.SURE],
    }  # fmt: skip
    return row | ({"deviates_from_paper_in": cell.deviations} if paper else {})


def flat(rows: list[Record]) -> str:
    """Return such records as CSV, one line for each cell and score."""
    lines: list[Record] = []
    for row in rows:
        names = {key: row.get(key) for key in ("dataset", "trigger", "application", "rate", "variant", "settings")}
        names |= {"runs": len(row["runs"]), "varying": "+".join(row.get("varying", []))}
        names["collapsed"] = row.get("collapsed")
        names |= {key: row[key] for key in ("defence", "rows", "channels", "stage") if key in row}
        lines += [names | {"score": name} | values for name, values in row["scores"].items()]
    if not lines:
        return ""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    cells = [[_plain(line.get(key)) for key in columns] for line in lines]
    return text_tables.render("csv", columns, cells, set())


def decimal(share: Any) -> str:
    """Return a share as a decimal fraction in its one spelling."""
    return f"{float(share):.12f}".rstrip("0").rstrip(".") or "0"


def _absent(key: tuple) -> Record:
    dataset, trigger, application, share = key
    figures = paper_results.attacks()[key]
    return {
        "dataset": dataset, "trigger": trigger, "application": application or None, "rate": decimal(share),
        "settings": "paper", "runs": [],
        "scores": {name: {"paper": figure, "verdict": "not run"} for name, figure in figures.items()},
    }  # fmt: skip


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return "" if value is None else str(value)


def _without_seed(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("seed", "dataset_digest")}
