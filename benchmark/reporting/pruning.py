"""Fine-pruning in tables: a line for each point, published figures beside ours."""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.defences import results
from benchmark.defences.results import PruningPoint
from benchmark.reporting import cells, published, records, tables
from benchmark.reporting.columns import Column
from benchmark.reporting.published import Sources
from benchmark.reporting.tables import Shape
from benchmark.runs.published import PUBLISHED, PruningKey, PublishedSpec

LABELS = (
    *cells.LABELS,
    Column("rows", "rows", (), label=True),
    Column("channels", "channels", (), label=True, right=True),
    Column("stage", "stage", (), label=True, anchor=True),
)
WORDS = (
    "Fine-pruning: the least active channels of each expert, or features, are set to zero (masked: also removed after "
    "the batch normalisation), then the network is fine-tuned. notebook: ranked and fine-tuned on the training "
    "set with the true labels of its triggered images, as in the paper's published code, which no real defender can do."
)


def render(points: Sequence[PruningPoint], shape: Shape | None = None, sources: Sources | None = None) -> str:
    """Show the table. With sources, a row for each score, and what they have and was not run (see `not_run`)."""
    shape = shape or Shape()
    below = [] if shape.form == "latex" else [*notes(points), *(_left_out(points, sources) if sources else [])]
    layout = shape.layout(columns_beside(points, sources, not_run(points, sources)) if sources else columns(points))
    return shape.page(layout, below, "Fine-pruning of the experts, percent", "tab:fine-pruning")


def notes(points: Sequence[PruningPoint]) -> list[str]:
    """Return what is to be known of networks that have collapsed."""
    return tables.notes([run.result for point in points for run in point.cell.runs])


def columns(points: Sequence[PruningPoint]) -> list[Column]:
    """Build columns, a row for each point; beside published figures where any of them is at their settings."""
    judged = [spec for spec in PUBLISHED.values() if any(point.beside(spec).judged for point in points)]
    if judged:
        return columns_beside(points, Sources(tuple(judged)))
    names = cells.turned(list(map(_names, points)), len(LABELS) + 1)
    ba, asr = (cells.score_column([point.cell for point in points], name) for name in ("ba", "asr"))
    return [*cells.filled(LABELS, names), ba, replace(asr, best="lowest")]


def not_run(points: Sequence[PruningPoint], sources: Sources) -> list[tuple[PublishedSpec, PruningKey]]:
    """Return the published points that were not run, if `sources` are with these."""
    specs = sources.specs if sources.every else ()
    return [(source, key) for source in specs for key in results.not_run(list(points), source)]


def _left_out(points: Sequence[PruningPoint], sources: Sources) -> list[str]:
    """Say how many of the published points were not run."""
    lines = []
    for source in sources.specs:
        if total := len(source.fine_pruning()):
            left = len(results.not_run(list(points), source))
            lines.append(published.counted(source, "points of fine-pruning", left, total, sources))
    return lines


def columns_beside(
    points: Sequence[PruningPoint], sources: Sources, absent: Sequence[tuple[PublishedSpec, PruningKey]] = ()
) -> list[Column]:
    """Build columns, a row for each point, source and score, what was not run at the end."""
    lines = [line for point in points for line in _of_point(point, sources)]
    for source, key in absent:
        channels = "" if key.channels is None else f"{float(key.channels):g}"
        dataset, _, trigger, application, rate = key.cell
        names = [dataset, trigger, application, cells.rate(rate), source.settings(dataset), "-", "-", channels]
        named = sources.named([*names, results.STAGES[key.stage], "-"], source)
        lines += published.absent(named, source.fine_pruning()[key])
    return published.assemble((*LABELS, *sources.labels), lines)


def _of_point(point: PruningPoint, sources: Sources) -> list[published.Line]:
    found = [one for one in map(point.beside, sources.specs) if one.figures]
    lines = []
    for one in found:
        lines += published.beside(sources.named(_names(point), one.source), point.cell, one, one.source.scores)
    return lines or published.beside(sources.named(_names(point), None), point.cell, None, ("ba", "asr"))


def _names(point: PruningPoint) -> list[str]:
    *names, seeds = cells.names(point.cell)
    return [*names, point.mode, point.rate, point.stage, seeds]


def all_records(points: Sequence[PruningPoint], sources: Sources) -> list[records.Record]:
    """Return everything about every point, for programs; with sources, also what they have and was not run."""
    found = []
    for point in points:
        row = records.record(point.cell) | _record(point.mode, point.rate, point.stage)
        found.append(records.compared(row, [point.beside(source) for source in sources.specs]))
    for source in sources.specs:
        for key in results.not_run(list(points), source):
            row = records.names_of(key.cell, source)
            row |= {"scores": records.not_run(source.fine_pruning()[key], source)}
            channels = "" if key.channels is None else records.decimal(key.channels)
            found.append(row | _record("", channels, results.STAGES[key.stage]))
    return found


def _record(mode: str, channels: str, stage: str) -> dict[str, str]:
    return {"defence": "fine-pruning", "rows": mode, "channels": channels, "stage": stage}
