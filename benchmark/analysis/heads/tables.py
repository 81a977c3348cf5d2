"""Tables of what the commands on heads found, over one or several runs, for the terminal and the page.

Every table has one builder, which takes the results of 1 … n runs. With `detailed` it shows one run in full: bootstrap
intervals over its texts, what moved and for how long. Without, it shows means and Student's 95 % intervals over runs.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.analysis.heads import controls, detector
from benchmark.analysis.heads.detector import SCORES
from benchmark.analysis.heads.records import (
    ABLATE,
    ALIGN,
    DETECT,
    Ablated,
    Aligned,
    Detected,
    Figures,
    Head,
    HeadsResult,
    Separation,
    Step,
    most_changing,
    percent,
)
from benchmark.core import intervals, text_tables
from benchmark.core.hashing import canonical
from benchmark.core.numbers import counted
from benchmark.runs import groups, hints
from benchmark.training.metrics import Share

FIGURES = {"auroc": "AUROC", "tpr_1": "TPR at 1 %", "tpr_5": "TPR at 5 %", "precision_100": "first 100"}
LEFT = {"run", "rows", "score", "against", "texts", "model", "head", "direction", "variant", "stage"}
LEFT |= set(controls.MADE_OF.values())
MODELS = {"poisoned": "poisoned", "clean": "clean counterpart"}
SUSPECT_FILE, TRIGGERED_TESTS = "suspect file", "triggered test texts"
MOST_HEADS = 12
"""Heads in the table over several runs."""
MOST_ABLATED = 8
LOWEST = "lowest of all"
"""The least BA and the least ASR that any one head's absence leaves; each may be another head's."""


@dataclass(frozen=True)
class Table:
    """Columns and rows of a table; the first `labels` columns say what a row is of."""

    columns: list[str]
    rows: list[list[str]]
    labels: int = 1

    def render(self, form: str = "text", width: int | None = text_tables.WIDTH) -> str:
        """Return the table in one of `text_tables.FORMS`; as text in several parts, one below the other, where it is
        wider than so many characters."""
        if form != "text" or width is None:
            return text_tables.render(form, self.columns, self.rows, LEFT)
        return "\n\n".join(text_tables.render(form, part.columns, part.rows, LEFT) for part in self.parts(width))

    def parts(self, width: int) -> list["Table"]:
        """Return the table in parts of at most so many characters, as far as that goes: each has the labels, and as
        many of the other columns as fit beside them."""
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        labels = list(range(self.labels))
        parts = [list(labels)]
        for column in range(self.labels, len(self.columns)):
            if sum(widths[at] + 2 for at in (*parts[-1], column)) - 2 > width and parts[-1] != labels:
                parts.append(list(labels))
            parts[-1].append(column)
        return [
            Table([self.columns[at] for at in part], [[row[at] for at in part] for row in self.rows], self.labels)
            for part in parts
        ]

    def without_empty(self) -> "Table":
        """Return it without the columns that are blank in every row."""
        return Table(*text_tables.without_empty(self.columns, self.rows), self.labels)


def tables(results: Sequence[HeadsResult], detailed: bool = False) -> list[Table]:
    """Build the tables of what one command found on several runs, without those that have no rows.

    Parameters
    ----------
    results : sequence of HeadsResult
        Of one command.
    detailed : bool
        Show one run in full; `results` must then be one.
    """
    built = [build(results, detailed) for build in _BUILDERS[results[0].command]]
    return [table for table in built if table.rows]


def ranking(results: Sequence[Detected], detailed: bool = False) -> Table:
    """Show how well each score ranks the suspect file's rows, and the triggered test texts among the clean ones.

    Over several runs also the share of poisoned rows among those that a pass flags.
    """
    sets = {
        SUSPECT_FILE: [result.separation for result in results],
        TRIGGERED_TESTS: [result.triggered for result in results],
    }
    rows = []
    for texts, separations in sets.items():
        for name, title in SCORES.items():
            scores = [one.scores[name] for one in separations if one is not None and name in one.scores]
            if len(scores) < len(separations):
                continue
            cells = [_figure(scores, key, detailed) for key in FIGURES]
            if not detailed:
                cells.append(_flagged(results, name) if texts == SUSPECT_FILE else "")
            rows.append([texts, title, *cells])
    return Table(["texts", "score", *FIGURES.values(), *([] if detailed else ["of the flagged"])], rows, labels=2)


def control_table(results: Sequence[Detected], detailed: bool = False, *, texts: str) -> Table:
    """Show the AUROC of every control against the texts that it was made of, on the model and on its clean counterpart.

    `texts` is one of `controls.MADE_OF`; there are no rows where not all results have it.
    """
    models = [which for which in MODELS if all(which in result.controls.get(texts, {}) for result in results)]
    names = MODELS if not detailed or "clean" in models else {"poisoned": "this model"}
    scores = [name for name in SCORES if name != "mean_z" and (detailed or name != "max_z")]
    columns = [controls.MADE_OF[texts], *(f"{SCORES[score]}, {names[which]}" for score in scores for which in models)]
    rows = []
    for control, title in controls.NAMES.items():
        found = {which: [result.controls[texts][which].get(control) for result in results] for which in models}
        if any(None not in one for one in found.values()):
            rows.append([title, *(_auroc(found[which], score, detailed) for score in scores for which in models)])
    return Table(columns, rows)


def contaminated_heads(results: Sequence[Detected], detailed: bool = False) -> Table:
    """Show the heads that are contaminated, in most runs, and which way their similarity goes."""
    rows = []
    for head, count, medians, auroc in _contaminated(results, detailed):
        mean = _summary(medians, least=float("-inf")).mean
        cells = [] if detailed else [f"{count} of {len(results)}"]
        cells += [
            _direction(medians),
            f"{mean:+.1f}",
            auroc,
            _head_auroc([result.triggered for result in results], head),
        ]
        rows.append([f"({head[0]}, {head[1]})", *cells])
    columns = ["head", "direction", "median z, flagged", "AUROC, suspect file", "AUROC, test"]
    return Table(columns if detailed else ["head", "contaminated", *columns[1:]], rows)


def alignment(results: Sequence[Aligned], detailed: bool = False) -> Table:
    """Show the variants that all results have: BA, its change, ASR, and what is left of the target class's own texts;
    of one run also what moved, how long and how fast."""
    runs = [{step.stage: step for step in result.steps} for result in results]
    untouched = [result.steps[0].scores.ba.percent or 0.0 for result in results]
    rows = []
    for stage in runs[0]:
        if not all(stage in run for run in runs):
            continue
        scores = [run[stage].scores for run in runs]
        gained = [(one.ba.percent or 0.0) - before for one, before in zip(scores, untouched, strict=True)]
        change = f"{gained[0]:+.1f}" if detailed else points(gained, least=-100.0)
        rest = [_percents([one.asr for one in scores]), _percents([one.target_class for one in scores])]
        how = _training(runs[0][stage]) if detailed else []
        rows.append([stage, *how, _percents([one.ba for one in scores]), change, *rest])
    how = ["moves", "epochs", "rate"] if detailed else []
    columns = ["variant", *how, "BA", "change", "ASR", "target class"]
    return Table(columns, rows, labels=2 if detailed else 1).without_empty()


def ablation(results: Sequence[Ablated], detailed: bool = False, most: int = MOST_ABLATED) -> Table:
    """Show by how many points BA and ASR change: at worst, whichever head is off; and for those of `most_changing`.

    Of one run also BA and ASR themselves, with no head off, and with those off that were to be off together.
    """
    found = [result.changes for result in results]
    changed = {name: np.stack([one[name] for one in found]) for name in found[0] if all(name in one for one in found)}
    lines = [(LOWEST, {name: values.min((1, 2)) for name, values in changed.items()})]
    for layer, head in most_changing({name: values.mean(0) for name, values in changed.items()}, most):
        lines.append((f"({layer}, {head})", {name: values[:, layer, head] for name, values in changed.items()}))
    if detailed:
        return _ablation_in_full(results[0], lines)
    rows = [[words, *(points(change[name], least=-100.0) for name in changed)] for words, change in lines]
    return Table(["head", *(f"{name.upper()}, change" for name in changed)], rows)


_BUILDERS: dict[str, tuple[Callable[..., Table], ...]] = {
    DETECT: (ranking, *(partial(control_table, texts=texts) for texts in controls.MADE_OF), contaminated_heads),
    ALIGN: (alignment,),
    ABLATE: (ablation,),
}


def report(results: Sequence[HeadsResult], folders: Sequence[Path] = ()) -> str:
    """Return what a command found, as text: run by run, then over the runs that differ in their seeds alone.

    `folders` are those of the runs: where one has no clean counterpart, the command that makes it is named.
    """
    parts: list[str] = []
    for number, result in enumerate(results):
        parts += ["\n".join(map(text_tables.filled, introduction(result))), _apart(tables([result], detailed=True))]
        if folders and isinstance(result, Detected):
            parts += without_twin(result, Path(folders[number]).absolute().parent)
        parts.append("")
    alike: dict[bytes, list[HeadsResult]] = {}
    for result in results:
        alike.setdefault(_kind(result), []).append(result)
    for several in alike.values():
        if len(several) > 1:
            of = f" of {several[0].trained.dataset.name} and its other seeds" if len(alike) > 1 else ""
            heading = text_tables.filled(f"over {len(several)} runs{of}: mean and 95 % interval")
            parts += [heading, _apart(tables(several)), ""]
    return "\n".join(parts).rstrip("\n")


def _kind(result: HeadsResult) -> bytes:
    """Return what is the same of runs that differ in their seeds alone; of a result that was edited, itself."""
    try:
        return groups.identity(result.trained)
    except (LookupError, TypeError, ValueError, AttributeError):
        return canonical(result.raw)


def _apart(some: Sequence[Table]) -> str:
    return "\n\n".join(table.render() for table in some)


def introduction(result: HeadsResult) -> list[str]:
    """Return the lines above the tables of one run."""
    if isinstance(result, Detected):
        return [headline(result)]
    return chosen(result) if isinstance(result, Aligned) else [result.name]


def headline(result: Detected) -> str:
    """Return one line: how many rows, and how many of the flagged ones are poisoned."""
    words = [f"{result.name}: {counted(result.suspect, 'suspect text')} ranked"]
    words.append(f"{result.too_short:,} under {counted(result.min_words, 'word')} left out")
    if result.poisoned is not None:
        words.append(f"{result.poisoned:,} poisoned")
    for name, flagged in result.flagged.items():
        words.append(f"{SCORES.get(name, name)} flags {flagged.count:,}{_of_them(flagged.poisoned)}")
    return "; ".join(words + _halved(result))


def chosen(result: Aligned) -> list[str]:
    """Return lines: how many rows were learned from, and which heads are contaminated, important, and random."""
    lines = [
        f"{result.name}: {counted(result.clean, 'clean row')}, {result.flagged:,} flagged{_of_them(result.poisoned)}",
        f"contaminated heads: {_spelled(result.contaminated) or 'none'}",
        f"most important on clean rows: {_spelled(result.important) or 'none'}",
        f"random heads: {_spelled(result.random) or 'none'}",
        *_halved(result),
    ]
    if len(result.random) < len(result.contaminated):
        available = f"only {counted(len(result.random), 'head')}" if result.random else "no head"
        lines.append(f"random heads: {available} beside the contaminated ones")
    return lines


def _of_them(poisoned: int | None) -> str:
    return "" if poisoned is None else f", {poisoned:,} of them poisoned"


def without_twin(result: Detected, runs: Path) -> list[str]:
    """Return one line where the controls of a poisoned model, in that folder of runs, have no clean counterpart."""
    if result.clean_run is not None or not result.trained.dataset.is_poisoned:
        return []
    make = hints.clean_run(result.trained, runs)
    return [f"no clean counterpart: the controls are those of this model alone; it needs: {make}"]


def points(values: Sequence[float] | np.ndarray, least: float = 0.0) -> str:
    """Return mean and interval of percentages, of one value just that."""
    summary = _summary(values, least=least)
    interval = (
        "" if summary.low is None or summary.high is None else f" [{_point(summary.low)}, {_point(summary.high)}]"
    )
    return _point(summary.mean) + interval


def share(values: Sequence[float | None]) -> str:
    """Return mean and interval of figures from 0 to 1, of one value just that; nothing where one is not known."""
    known = [100 * value for value in values if value is not None]
    if not known or len(known) < len(values):
        return ""
    summary = _summary(known)
    if summary.low is None or summary.high is None:
        return f"{summary.mean / 100:.3f}"
    return f"{summary.mean / 100:.3f} [{summary.low / 100:.3f}, {summary.high / 100:.3f}]"


def _summary(values: Sequence[float] | np.ndarray, least: float = 0.0) -> intervals.Summary:
    summary = intervals.summary(values, least=least)
    if summary is None:
        raise ValueError("no values to aggregate")
    return summary


def _point(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"  # no -0.0


def _figure(scores: list[Figures], key: str, detailed: bool) -> str:
    """Return a figure of a score: of one run with its bootstrap interval, else with Student's."""
    values = [one.values.get(key) for one in scores]
    if not detailed or key not in scores[0].intervals:
        return share(values)
    low, high = scores[0].intervals[key]
    return f"{_decimals(values[0])} [{low:.3f}, {high:.3f}]"


def _flagged(results: Sequence[Detected], score: str) -> str:
    """Return the share of poisoned rows among those that a pass flags."""
    passes = [result.flagged.get(score) for result in results]
    shares = [one.poisoned / one.count for one in passes if one and one.count and one.poisoned is not None]
    return share(shares) if len(shares) == len(passes) else ""


def _auroc(separations: list[Separation | None], score: str, detailed: bool) -> str:
    aurocs = [one.scores[score].values.get("auroc") for one in separations if one and score in one.scores]
    if len(aurocs) < len(separations):
        return ""
    return _decimals(aurocs[0]) if detailed else share(aurocs)


def _contaminated(results: Sequence[Detected], detailed: bool) -> list[tuple[Head, int, list[float], str]]:
    """Return the heads to be shown: in how many runs each is contaminated, its median z, its AUROC on the suspects."""
    if detailed:
        return [(one.head, 1, [one.median_z], _decimals(one.auroc)) for one in results[0].contaminated]
    count = Counter(one.head for result in results for one in result.contaminated)
    medians = {head: [float(result.median_z[head]) for result in results] for head in count}
    order = sorted(count, key=lambda head: (-count[head], -abs(sum(medians[head])), head))[:MOST_HEADS]
    suspects = [result.separation for result in results]
    return [(head, count[head], medians[head], _head_auroc(suspects, head)) for head in order]


def _direction(medians: list[float]) -> str:
    falls = sum(value < 0 for value in medians)
    return {0: "rises", len(medians): "falls"}.get(falls, f"falls in {falls}")


def _head_auroc(separations: list[Separation | None], head: Head) -> str:
    known = [float(one.heads[head]) for one in separations if one is not None and one.heads is not None]
    return share(known) if len(known) == len(separations) else ""


def _training(step: Step) -> list[str]:
    """Return what moved, for how many epochs, and how fast."""
    if step.variant is None:
        return ["nothing", "", ""]
    moved = counted(len(step.variant.heads), "head") if step.variant.heads else "all weights"
    return [moved, str(len(step.history)), f"{step.variant.learning_rate:g}"]


def _ablation_in_full(result: Ablated, lines: list[tuple[str, dict[str, np.ndarray]]]) -> Table:
    """BA and ASR beside their changes, of one run."""
    before = {name: percent(result.before, name) for name in ("ba", "asr")}
    together: list[tuple[str, dict[str, np.ndarray]]] = []
    if result.together is not None:
        after = {name: percent(result.together, name) for name in lines[0][1]}
        changed = {name: np.array([value], float) - before[name] for name, value in after.items()}
        together.append((_spelled(result.heads), changed))
    rows = [["none", _decimals(before["ba"], 1), "", _decimals(before["asr"], 1), ""]]
    for words, change in (*together, *lines):
        cells = [words]
        for name in ("ba", "asr"):
            start = before[name]
            if start is None or name not in change:
                cells += ["", ""]
            else:
                cells += [f"{start + change[name][0]:.1f}", f"{change[name][0]:+.1f}"]
        rows.append(cells)
    return Table(["head", "BA", "change", "ASR", "change"], rows).without_empty()


def _halved(result: Detected | Aligned) -> list[str]:
    """Remark where fewer heads are called contaminated than were asked for."""
    count = len(result.contaminated)
    return [detector.halved(count, result.shape, result.asked)] if count < result.asked else []


def _spelled(heads: Sequence[Head]) -> str:
    return " ".join(f"({layer}, {head})" for layer, head in heads)


def _decimals(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _percents(shares: list[Share | None]) -> str:
    known = [one.percent for one in shares if one is not None and one.percent is not None]
    return points(known) if len(known) == len(shares) else ""
