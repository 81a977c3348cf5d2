"""Fine-pruning as the commands show it: a line for each stage, then the paper's Table 3 with our figures."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from benchmark.defences import results
from benchmark.defences.base import Step
from benchmark.defences.results import PruningPoint
from benchmark.reporting import cells, published, records, tables
from benchmark.reporting.columns import Column
from benchmark.reporting.tables import Shape
from benchmark.runs import paper_results

LABELS = (
    *cells.LABELS,
    Column("rows", "rows", (), label=True),
    Column("channels", "channels", (), label=True, right=True),
    Column("stage", "stage", (), label=True, anchor=True),
)
WORDS = (
    "Fine-pruning: the least active channels of each expert are set to zero (masked: also removed after the batch "
    "normalisation), then the network is fine-tuned. notebook: ranked and fine-tuned on the training set with the true "
    "labels of its triggered images, as in the paper's published code, which no real defender can do."
)


def progress(run: Any, say: Callable[[str], object]) -> Callable[[Step], None]:
    """Return what prints a line for each stage of a run."""

    def watch(step: Step) -> None:
        ba, asr = step.scores.ba, step.scores.asr
        rest = "" if asr is None else f"  ASR {asr.percent:5.1f}"
        say(f"{run}: {step.stage:10} {step.rate:5} BA {ba.percent:5.1f}{rest}")

    return watch


def render(points: Sequence[PruningPoint], shape: Shape | None = None, shown: Collection[str] | None = None) -> str:
    """Show the table. With data sets that are `shown`, a row for each score, and every published point of theirs that
    was not run."""
    shape = shape or Shape()
    below = [] if shape.form == "latex" else notes(points)
    found = columns(points) if shown is None else columns_against_paper(points, shown)
    return shape.page(shape.layout(found), below, "Fine-pruning of the experts, percent", "tab:fine-pruning")


def notes(points: Sequence[PruningPoint]) -> list[str]:
    """Return what is to be known of networks that have collapsed."""
    return tables.notes([run.result for point in points for run in point.cell.runs])


def columns(points: Sequence[PruningPoint]) -> list[Column]:
    """Build columns, a row for each point; beside the paper's figures where any of them is at its settings."""
    if any(point.published and not point.deviations for point in points):
        return published.assemble(LABELS, [line for point in points for line in _beside(point)])
    names = cells.turned(list(map(_names, points)), len(LABELS) + 1)
    ba, asr = (cells.score_column([point.cell for point in points], name) for name in ("ba", "asr"))
    return [*cells.filled(LABELS, names), ba, replace(asr, best="lowest")]


def is_published(dataset: str) -> bool:
    """Tell whether the paper has fine-pruned on a data set."""
    return any(key[0] == dataset for key in paper_results.fine_pruning())


def columns_against_paper(points: Sequence[PruningPoint], shown: Collection[str]) -> list[Column]:
    """Build columns, a row for each point and score, the published points of the data sets `shown` that were not run
    at the end."""
    lines = [line for point in points for line in _beside(point)]
    for key in results.not_run(list(points)):
        dataset, trigger, application, rate, stage, share = key
        if dataset not in shown:
            continue
        channels = "" if share is None else f"{float(share):g}"
        names = [dataset, trigger, application, cells.rate(rate), "paper", "-", "-", channels, results.STAGES[stage]]
        lines += published.absent([*names, "-"], paper_results.fine_pruning()[key])
    return published.assemble(LABELS, lines)


def _beside(point: PruningPoint) -> list[published.Line]:
    return published.beside(_names(point), point.cell, point.published, point.verdict)


def _names(point: PruningPoint) -> list[str]:
    *names, seeds = cells.names(point.cell)
    return [*names, point.mode, point.rate, point.stage, seeds]


def all_records(points: Sequence[PruningPoint], paper: bool) -> list[records.Record]:
    """Return everything about every point, for programs; with `paper`, also the published ones that were not run."""
    found = []
    for point in points:
        row = records.record(point.cell, False) | _record(point.mode, point.rate, point.stage)
        if paper:
            row["deviates_from_paper_in"] = point.deviations
            for name, figure in point.published.items():
                ours = row["scores"].get(name, {})
                difference = {"difference": ours["mean"] - figure} if ours else {}
                row["scores"][name] = ours | {"paper": figure, "verdict": point.verdict(name)} | difference
        found.append(row)
    for key in results.not_run(list(points)) if paper else ():
        dataset, trigger, application, rate, stage, share = key
        figures = {
            name: {"paper": value, "verdict": "not run"} for name, value in paper_results.fine_pruning()[key].items()
        }
        row = {"dataset": dataset, "trigger": trigger, "application": application, "rate": records.decimal(rate)}
        row |= {"settings": "paper", "runs": [], "scores": figures}
        found.append(row | _record("", "" if share is None else records.decimal(share), results.STAGES[stage]))
    return found


def _record(mode: str, channels: str, stage: str) -> dict[str, str]:
    return {"defence": "fine-pruning", "rows": mode, "channels": channels, "stage": stage}
