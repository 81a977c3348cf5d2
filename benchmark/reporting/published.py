"""Our figures beside the paper's, a line for each score, and what was published and not run."""

from collections.abc import Callable, Collection, Mapping, Sequence

from benchmark.reporting import cells
from benchmark.reporting.columns import Column
from benchmark.runs import paper_results
from benchmark.runs.groups import TITLES, Cell, place

WORDS = "the paper's blend image is copyrighted; a built-in image was used instead"
FIGURES = 5  # columns: score, ours, paper, difference, verdict

Line = list[str]
"""The cells of one row: labels, seeds in less room, FIGURES, and `ours` in less room."""


def datasets(found: Sequence[Cell], every: bool = False) -> set[str]:
    """Return the data sets whose published cells are shown: those that have runs, or `every` one."""
    return {key[0] for key in paper_results.attacks()} if every else {cell.dataset for cell in found}


def columns(found: list[Cell], shown: Collection[str] | None = None) -> list[Column]:
    """Build the columns of the comparison: a line for each cell and score.

    With data sets that are `shown`, also every published cell of theirs that was not run; without, cells that have a
    published figure alone.
    """
    if shown is None:
        return assemble(cells.LABELS, [line for cell in found if cell.published for line in of_cell(cell)])
    blocks = [(place(cell.dataset, cell.trigger, cell.application, cell.rate), of_cell(cell)) for cell in found]
    blocks += [(place(*key), _not_run(key)) for key in not_run(found) if key[0] in shown]
    blocks.sort(key=lambda block: block[0])
    return assemble(cells.LABELS, [line for _, block in blocks for line in block])


def not_run(found: list[Cell]) -> list[tuple]:
    """Return the published cells (data set, trigger, application, rate) that no run at the paper's settings is of."""
    run = {(cell.dataset, cell.trigger, cell.application, cell.rate) for cell in found if not cell.deviations}
    return [key for key in sorted(paper_results.attacks(), key=lambda key: place(*key)) if key not in run]


def count_not_run(found: list[Cell], shown: Collection[str]) -> str:
    """Return how many published cells were not run, and how to see those that are not `shown`."""
    cells_not_run = not_run(found)
    hidden = " (--all shows them)" if any(key[0] not in shown for key in cells_not_run) else ""
    total = len(paper_results.attacks())
    return f"published cells not run at the paper's settings: {len(cells_not_run)} of {total}{hidden}"


def assemble(labels: Sequence[Column], lines: list[Line]) -> list[Column]:
    """Make columns of lines: labels, then score, ours, paper, difference, verdict, and ours without interval."""
    turned = cells.turned(lines, len(labels) + 1 + FIGURES + 1)
    *names, score, ours, paper, difference, verdict, short = turned
    return [
        *cells.filled(labels, names),
        Column("score", "score", score, left=True),
        Column("ours", "ours", ours, short=short),
        Column("paper", "paper", paper),
        Column("difference", "difference", difference, secondary=True),
        Column("verdict", "verdict", verdict, left=True),
    ]


def of_cell(cell: Cell) -> list[Line]:
    """Return a cell's lines."""
    return beside(cells.names(cell), cell, cell.published, cell.verdict)


def beside(names: list[str], cell: Cell, figures: Mapping[str, float], verdict: Callable[[str], str]) -> list[Line]:
    """Return a line for each score, ours and the paper's figure; `names`, what it is of, stand in the first alone."""
    lines: list[Line] = []
    for name in paper_results.SCORES:
        if name not in cell.scores and name not in figures:
            continue
        figure, ours = figures.get(name), cell.scores.get(name)
        difference = "-" if figure is None or ours is None else cells.signed(ours.summary.mean - figure)
        words = "-" if figure is None else f"{figure:.1f}"
        full, short = cells.score(cell, name), cells.score(cell, name, interval=False)
        lines.append([*_once(names, lines), TITLES[name], full, words, difference, verdict(name) or "-", short])
    return lines


def absent(names: list[str], figures: Mapping[str, float]) -> list[Line]:
    """Return the same of what is published and not run."""
    lines: list[Line] = []
    for name, figure in figures.items():
        lines.append([*_once(names, lines), TITLES[name], "-", f"{figure:.1f}", "-", "not run", "-"])
    return lines


def _once(names: list[str], lines: list[Line]) -> list[str]:
    return [""] * len(names) if lines else names


def _not_run(key: tuple) -> list[Line]:
    dataset, trigger, application, share = key
    rate = "-" if trigger == "clean" else cells.rate(share)
    names = [dataset, trigger, application or "-", rate, "paper", "-", "-"]
    return absent(names, paper_results.attacks()[key])
