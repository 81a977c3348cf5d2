"""Detectors and repairs over the seeds as tables: a row for each attack and method, in percent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmark.core.intervals import Summary
from benchmark.defences import results
from benchmark.defences.over_runs import Group
from benchmark.defences.summaries import POINTS, DetectedCell, RepairedCell
from benchmark.reporting import cells, explained, tables
from benchmark.reporting.columns import Column
from benchmark.reporting.tables import Shape
from benchmark.runs.groups import Score

METHOD = Column("method", "method", (), label=True, anchor=True)
OPTIONS = Column("options", "options", (), label=True, phrase="options: {}", blanks=True)
STAGE = Column("stage", "stage", (), label=True, phrase="stage {}")
LABELS = (*cells.LABELS[:-1], METHOD, OPTIONS, cells.LABELS[-1])
"""What a row is of; `seeds`, which has a short form, is the last."""

FRACTIONS = ("auroc", "average_precision")
"""Scores that are written from 0 to 1, not in percent."""
DETECTORS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "tpr_at_1": "TPR 1%",
    "tpr_at_5": "TPR 5%",
    "precision": "precision",
    "recall": "recall",
    "as_many": "as many",
    "covers_at_1": "covers 1%",
    "false_alarms": "clean rows",
    "twin_flagged": "clean twin",
}
"""Score of a detector → the title of its column, in the order of the columns."""
REPAIRS = {
    "before_asr": "ASR before",
    "asr": "ASR",
    "still_right": "RA",
    "der": "DER",
    "ba": "BA",
    "ba_lost": "BA lost",
    "control_asr": "control ASR",
    "twin_ba_lost": "clean twin BA lost",
}
"""The same of a repair."""
SHORT = {
    "precision": "prec.", "covers_at_1": "covers", "twin_flagged": "twin", "false_alarms": "clean",
    "control_asr": "control", "twin_ba_lost": "twin lost", "before_asr": "before", "average_precision": "AP",
}  # fmt: skip
SECONDARY = (
    "average_precision", "tpr_at_5", "as_many", "covers_at_1", "false_alarms", "still_right", "der", "ba",
)  # fmt: skip
"""Columns that are left out where there is no room, in the order of the columns."""
SPARE = ("average_precision", "as_many")
"""Scores that the page has no room for: tables have them with `--wide`, and JSON and CSV."""
BEST = {"tpr_at_1": "highest", "auroc": "highest", "asr": "lowest"}


def detector_columns(found: Sequence[DetectedCell], dense: bool = False) -> list[Column]:
    """Build the columns of detectors, without those of scores that no result has. `dense`: without deviations, since
    intervals say the same, and without those in SPARE."""
    scores = _score_columns([cell.scores for cell in found], DETECTORS, _datasets(found), dense)
    return [*_labels([cell.group for cell in found]), *scores, _seconds([cell.group for cell in found])]


def repair_columns(found: Sequence[RepairedCell], dense: bool = False) -> list[Column]:
    """Build the columns of repairs, a row for each stage, without those of scores that no result has."""
    scores = _score_columns([cell.scores for cell in found], REPAIRS, _datasets(found), dense)
    *labels, seeds = _labels([cell.group for cell in found])
    stage = _filled(STAGE, [cell.stage for cell in found])
    return [*labels, stage, seeds, *scores, _seconds([cell.group for cell in found])]


def shown(found: Sequence[RepairedCell]) -> list[RepairedCell]:
    """Leave out the stages of fine-pruning, which have a table of their own, but for the last."""
    return [cell for cell in found if cell.last or cell.group.method != results.NAME]


def detectors(found: Sequence[DetectedCell], shape: Shape | None = None, errors: Iterable[Path] = ()) -> str:
    """Show what detectors found."""
    return _page(detector_columns(found), shape, explained.detectors, [cell.scores for cell in found], errors,
                 "Detectors of poisoned rows", "tab:detectors")  # fmt: skip


def repairs(found: Sequence[RepairedCell], shape: Shape | None = None, errors: Iterable[Path] = ()) -> str:
    """Show what repairs left of the attacks."""
    return _page(repair_columns(found), shape, explained.repairs, [cell.scores for cell in found], errors,
                 "Repairs of poisoned networks, percent", "tab:repairs")  # fmt: skip


def _score_columns(
    scores: Sequence[dict[str, Score]], titled: Mapping[str, str], groups: Sequence[str], dense: bool
) -> list[Column]:
    shown = {name: title for name, title in titled.items() if not (dense and name in SPARE)}
    built = [_score_column(scores, name, title, groups, dense) for name, title in shown.items()]
    return [column for column in built if not column.empty]


def _score_column(
    scores: Sequence[dict[str, Score]], name: str, title: str, groups: Sequence[str], dense: bool
) -> Column:
    return Column(
        name.replace("_", "-"),
        title,
        tuple(written(one, name, deviation=not dense) for one in scores),
        short=tuple(written(one, name, interval=False) for one in scores),
        short_title=SHORT.get(name, ""),
        secondary=name in SECONDARY,
        best=BEST.get(name, ""),
        values=tuple(one[name].summary.mean if name in one else None for one in scores),
        groups=tuple(groups),
    )


def written(scores: dict[str, Score], name: str, interval: bool = True, deviation: bool = True) -> str:
    """Return `96.1 ± 1.2 [94.6, 97.6]`; `-` where there is none."""
    if name not in scores:
        return "-"
    summary, number = scores[name].summary, number_of(name)
    words = [number(summary.mean)]
    if deviation and summary.deviation is not None:
        words.append(f"± {number_of(name, False)(summary.deviation)}")
    words += filter(None, [scores[name].partly])
    if interval and (ends := interval_of(summary, name)):
        words.append(ends)
    return " ".join(words)


def interval_of(summary: Summary, name: str) -> str:
    """Return `[94.6, 97.6]`; empty where there is none."""
    number = number_of(name)
    return "" if summary.low is None or summary.high is None else f"[{number(summary.low)}, {number(summary.high)}]"


def number_of(name: str, sign: bool = True) -> Callable[[float], str]:
    """Return how a score is written: a difference with its sign, the area under a curve from 0 to 1."""
    if name in FRACTIONS:
        return lambda percent: f"{percent / 100:.3f}"
    return cells.signed if name in POINTS and sign else "{:.1f}".format


def _labels(groups: Sequence[Group]) -> list[Column]:
    rows = []
    for group in groups:
        names = cells.names(group.whole)[:-2]
        seeds, short = cells.seeds(group.cell), cells.short_seeds(group.cell)
        rows.append([*names, group.method, group.settings, seeds, short])
    return cells.filled(LABELS, cells.turned(rows, len(LABELS) + 1))


def _filled(column: Column, values: Sequence[str]) -> Column:
    return Column(column.key, column.title, tuple(values), label=True, phrase=column.phrase)


def _seconds(groups: Sequence[Group]) -> Column:
    taken = [f"{group.seconds:.0f}" if group.seconds >= 10 else f"{group.seconds:.1f}" for group in groups]
    return Column("seconds", "seconds", tuple(taken), short_title="s")


def _datasets(found: Sequence[DetectedCell] | Sequence[RepairedCell]) -> list[str]:
    return [" ".join(cells.names(cell.group.whole)[:-2]) for cell in found]


def _page(
    found: list[Column],
    shape: Shape | None,
    words: Callable[[Iterable[Column]], str],
    scores: Sequence[dict[str, Score]],
    errors: Iterable[Path],
    caption: str,
    label: str,
) -> str:
    shape = shape or Shape()
    layout = shape.layout(found)
    summaries = [score.summary for one in scores for score in one.values()]
    legend = tables.legend_of(summaries, layout.has_intervals)
    below = [] if shape.form == "latex" else [one for one in (legend, words(layout.columns)) if one]
    return shape.page(layout, [*below, *tables.left_out(errors)], caption, label)
