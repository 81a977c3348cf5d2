"""One row for each cell, runs that differ in their seeds alone: what it is of, and its scores as words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmark.reporting.columns import Column
from benchmark.runs import collapse
from benchmark.runs.groups import SCORES, TITLES, Cell

LABELS = (
    Column("dataset", "data set", (), label=True),
    Column("trigger", "trigger", (), label=True, anchor=True),
    Column(
        "application",
        "application",
        (),
        label=True,
        phrase="applied to {}",
        having="poisoned rows",
        short_title="applied",
    ),
    Column("rate", "rate", (), label=True, right=True, phrase="rate {}", having="poisoned rows"),
    Column("settings", "settings", (), label=True, phrase="settings: {}"),
    Column("seeds", "seeds", (), label=True, having="rows that were run"),
)
"""The columns that say what a cell is of; `seeds` has a short form."""
SECONDARY = ("asr_others", "clean_asr", "still_right")
KEYS = {"asr_others": "asr-others", "clean_asr": "clean-asr", "still_right": "ra"}
BEST = {"ba": "highest", "asr": "highest", "cad": "lowest"}
"""Of an attack: it works, and nobody notices."""


def columns(found: Sequence[Cell], best: bool = True) -> list[Column]:
    """Build all columns of the table of cells; `ASR, non-source` only where there is something in it."""
    built = [
        *filled(LABELS, turned([names(cell) for cell in found], len(LABELS) + 1)),
        *(score_column(found, name, best) for name in SCORES),
    ]
    return [column for column in built if column.key != "asr-others" or not column.empty]


def turned(rows: Sequence[Sequence[str]], count: int) -> list[tuple[str, ...]]:
    """Return the columns of rows, `count` of them where there is no row."""
    return list(zip(*rows, strict=True)) if rows else [()] * count


def filled(labels: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[Column]:
    """Fill label columns with their cells; the last of these is `seeds` in less room."""
    *plain, short = cells
    filled = [replace(label, cells=tuple(one)) for label, one in zip(labels, plain, strict=True)]
    return [replace(one, short=tuple(short)) if one.key == "seeds" else one for one in filled]


def score_column(found: Iterable[Cell], name: str, best: bool = True) -> Column:
    """Build the column of a score; a clean cell's is never the best."""
    found = list(found)
    values = [cell.scores[name].summary.mean if name in cell.scores and not cell.clean else None for cell in found]
    return Column(
        KEYS.get(name, name),
        TITLES[name],
        tuple(score(cell, name) for cell in found),
        short=tuple(score(cell, name, interval=False) for cell in found),
        secondary=name in SECONDARY,
        best=BEST.get(name, "") if best else "",
        values=tuple(values),
        groups=tuple(cell.dataset for cell in found),
    )


def names(cell: Cell) -> list[str]:
    """Return what a cell is of, in the order of LABELS, and its seeds in less room."""
    percent = "-" if cell.clean else rate(cell.rate)
    return [
        cell.dataset,
        trigger(cell),
        cell.application or "-",
        percent,
        cell.settings,
        seeds(cell),
        short_seeds(cell),
    ]


def trigger(cell: Cell) -> str:
    """Return the trigger, with what is not the paper's in brackets."""
    return cell.trigger + (f" ({cell.variant})" if cell.variant else "")


def seeds(cell: Cell) -> str:
    """Return `5 poisoning and training seeds`, `3 training seeds`, `1 seed`."""
    varying = cell.varying
    if not varying:
        return "1 seed"
    count = len(cell.seeds[varying[0]])
    runs = f", {len(cell.runs)} runs" if len(cell.runs) != count else ""
    return f"{count} {' and '.join(varying)} seeds{runs}"


def short_seeds(cell: Cell) -> str:
    """Return their number alone, and that of the runs where it is another: `2 (4 runs)`."""
    count = len(cell.seeds[cell.varying[0]]) if cell.varying else 1
    return str(count) if len(cell.runs) == count else f"{count} ({len(cell.runs)} runs)"


def rate(value) -> str:
    """Return a poisoning rate in percent, in its one spelling: `0.05 %`."""
    return f"{float(100 * value):.10f}".rstrip("0").rstrip(".") + " %"


def score(cell: Cell, name: str, interval: bool = True) -> str:
    """Return `96.1 ± 1.2 [94.6, 97.6]`, a difference with its sign; `-` where there is none."""
    if name not in cell.scores:
        return "-"
    summary, number = cell.scores[name].summary, number_of(name)
    words = [number(summary.mean)]
    if summary.deviation is not None:
        words.append(f"± {summary.deviation:.1f}")
    words += filter(None, [cell.scores[name].partly])
    if interval and summary.low is not None and summary.high is not None:
        words.append(f"[{number(summary.low)}, {number(summary.high)}]")
    if name == "cad" and not cell.paired:
        words[0] += "*"
    if name == "ba":
        words[0] += cell.mark
    baselines = [run.result.baseline for run in cell.runs]
    if name == "cad" and any(baseline and baseline.collapsed for baseline in baselines):
        words[0] += collapse.SURE
    return " ".join(words)


def number_of(score_name: str) -> Callable[[float], str]:
    """Return how a score is written: a difference with its sign."""
    return signed if score_name == "cad" else "{:.1f}".format


def signed(points: float) -> str:
    """Return percentage points with their sign."""
    return f"{round(points, 1) + 0.0:+.1f}"  # + 0.0: no minus on nothing
