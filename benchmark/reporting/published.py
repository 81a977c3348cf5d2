"""Our figures beside published ones, a line for each score, and what was published and not run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.reporting import cells
from benchmark.reporting.columns import Column
from benchmark.runs.groups import TITLES, Cell, place
from benchmark.runs.published import Beside, Figures, Key, PublishedSpec

FIGURES = 5  # columns: score, ours, published, difference, verdict
SOURCE = Column(
    "source", "published by", (), label=True, phrase="published by {}", having="rows with a published figure"
)

Line = list[str]
"""The cells of one row: labels, seeds in less room, FIGURES, and `ours` in less room."""


@dataclass(frozen=True)
class Sources:
    """The sources of published figures that are asked for; `every`: with what they have and was not run."""

    specs: tuple[PublishedSpec, ...] = ()
    every: bool = False

    def __bool__(self) -> bool:
        return bool(self.specs)

    @property
    def labels(self) -> tuple[Column, ...]:
        """The label columns that several sources need beside those of cells."""
        return (SOURCE,) if len(self.specs) > 1 else ()

    def named(self, names: list[str], source: PublishedSpec | None) -> list[str]:
        """Return what a row is of with its source, if that has a column; seeds in less room stay last."""
        return [*names[:-1], *([source.name if source else "-"] if self.labels else []), names[-1]]


def columns(found: Sequence[Cell], sources: Sources, with_absent: bool = True) -> list[Column]:
    """Build the columns of the comparison: a line for each cell, source and score.

    `with_absent`: also cells that nothing is published of, and published ones that were not run if `sources` are with
    every such; without, cells that have a published figure alone.
    """
    blocks = []
    for cell in found:
        lines = _of_cell(cell, sources, with_absent)
        blocks.append((place(cell.dataset, cell.trigger, cell.application, cell.rate), lines))
    for source in sources.specs if with_absent and sources.every else ():
        blocks += [(_place(key), _not_run(key, sources, source)) for key in not_run(found, source)]
    blocks.sort(key=lambda block: block[0])
    return assemble((*cells.LABELS, *sources.labels), [line for _, lines in blocks for line in lines])


def not_run(found: Sequence[Cell], source: PublishedSpec) -> list[Key]:
    """Return the published cells that no run at the published settings is of."""
    run = {cell.key for cell in found if cell.beside(source).judged}
    return [key for key in sorted(source.repeatable(), key=_place) if key not in run]


def has_figures(found: Iterable[Cell], source: PublishedSpec) -> bool:
    """Tell whether a source has a figure for any of these cells."""
    published = source.attacks()
    return any(cell.key in published for cell in found)


def remarks(found: Sequence[Cell], sources: Sources) -> list[str]:
    """Return what is to be known of the sources: how many runs are behind their figures, and what was not run."""
    lines = []
    for source in sources.specs:
        lines += [f"{source.title}: {source.note}"] if source.note else []
        lines += [f"{source.title}: {line}" for line in source.remarks()]
        triggers = {cell.trigger for cell in found if cell.key in source.attacks()}
        lines += [line for trigger, line in source.warnings.items() if trigger in triggers]
        lines.append(_count_not_run(found, sources, source))
    return lines


def _count_not_run(found: Sequence[Cell], sources: Sources, source: PublishedSpec) -> str:
    """Return how many published cells were not run, and how to see those that are not shown."""
    left = not_run(found, source)
    return counted(source, "cells", len(left), len(source.repeatable()), sources)


def counted(source: PublishedSpec, what: str, left: int, total: int, sources: Sources) -> str:
    """Say how much of what a source has was not run, and how to see it where it is not shown."""
    hidden = " (--all shows them)" if left and not sources.every else ""
    return f"{source.title}: published {what} not run at its settings: {left} of {total}{hidden}"


def assemble(labels: Sequence[Column], lines: list[Line]) -> list[Column]:
    """Make columns of lines: labels, then score, ours, published, difference, verdict, and ours without interval."""
    turned = cells.turned(lines, len(labels) + 1 + FIGURES + 1)
    *names, score, ours, figure, difference, verdict, short = turned
    return [
        *cells.filled(labels, names),
        Column("score", "score", score, left=True),
        Column("ours", "ours", ours, short=short),
        Column("published", "published", figure, short_title="publ."),
        Column("difference", "difference", difference, secondary=True),
        Column("verdict", "verdict", verdict, left=True),
    ]


def beside(names: list[str], cell: Cell, source: Beside | None, scores: Sequence[str]) -> list[Line]:
    """Return a line for each score, ours and the published figure; `names`, what it is of, stand in the first alone."""
    lines: list[Line] = []
    figures: Figures = source.figures if source else {}
    for name in scores:
        if name not in cell.scores and name not in figures:
            continue
        points = source.difference(name) if source else None
        difference = "-" if points is None else cells.signed(points)
        published = _figure(figures, name)
        verdict = source.verdict(name) if source else ""
        full, short = cells.score(cell, name), cells.score(cell, name, interval=False)
        lines.append([*_once(names, lines), TITLES[name], full, published, difference, verdict or "-", short])
    return lines


def absent(names: list[str], figures: Figures) -> list[Line]:
    """Return the same of what is published and not run."""
    lines: list[Line] = []
    for name in figures:
        lines.append([*_once(names, lines), TITLES[name], "-", _figure(figures, name), "-", "not run", "-"])
    return lines


def _of_cell(cell: Cell, sources: Sources, without_figures: bool) -> list[Line]:
    """Return a cell's lines: for each source that has figures for it, else once without."""
    found = [one for one in map(cell.beside, sources.specs) if one.figures]
    lines = []
    for one in found:
        lines += beside(sources.named(cells.names(cell), one.source), cell, one, one.source.scores)
    if found or not without_figures:
        return lines
    scores = list(dict.fromkeys(score for source in sources.specs for score in source.scores))
    return beside(sources.named(cells.names(cell), None), cell, None, scores)


def _figure(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.1f}" if name in figures else "-"


def _once(names: list[str], lines: list[Line]) -> list[str]:
    return [""] * len(names) if lines else names


def _not_run(key: Key, sources: Sources, source: PublishedSpec) -> list[Line]:
    rate = "-" if key.trigger == "clean" else cells.rate(key.rate)
    names = [key.dataset, key.trigger, key.application or "-", rate, source.settings(key.dataset), "-", "-"]
    return absent(sources.named(names, source), source.attacks()[key])


def _place(key: Key) -> tuple:
    return place(key.dataset, key.trigger, key.application, key.rate)
