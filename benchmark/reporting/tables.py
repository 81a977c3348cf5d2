"""Results as tables, in percent with one decimal: one run a row, one cell a row, a cell beside published figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import text_tables
from benchmark.core.intervals import Summary
from benchmark.reporting import cells, columns, published
from benchmark.reporting.columns import Column, Layout
from benchmark.reporting.published import Sources
from benchmark.runs import collapse
from benchmark.runs.baseline import GIVEN, SAME_SEED
from benchmark.runs.experiment import Scored
from benchmark.runs.groups import SCORES, TITLES, Cell, group
from benchmark.runs.result import Comparison, RunResult
from benchmark.runs.results import Finished
from benchmark.training.metrics import Share
from benchmark.training.predicted import PREDICTIONS_ONLY

UNPAIRED = "* against the mean of clean runs of other seeds, or a clean run given by hand"


@dataclass(frozen=True)
class Shape:
    """What of a table is shown: `form` (see `text_tables.FORMS`), the keys of its columns, or all of them (`wide`)."""

    form: str = "text"
    names: str | None = None
    wide: bool = False

    def layout(self, found: Sequence[Column]) -> Layout:
        """Choose columns; without names, as many as fit a window."""
        if self.names is not None:
            return columns.choose(found, self.names)
        if self.wide:
            return columns.everything(found)
        return {"text": columns.fit, "latex": columns.with_footnotes}.get(self.form, columns.concise)(found)

    def page(self, layout: Layout, notes: Iterable[str] = (), caption: str = "", label: str = "") -> str:
        """Return a table and what stands around it."""
        if self.form == "latex":
            return columns.latex_page(layout, caption, label, notes)
        if self.form == "markdown":
            return columns.markdown_page(layout, notes)
        return columns.text_page(layout, notes, self.width)

    @property
    def width(self) -> int:
        """Of lines of prose, in characters."""
        return 10**6 if self.wide else columns.WIDTH


def runs(found: Sequence[Finished], errors: Iterable[Path] = (), shape: Shape | None = None) -> str:
    """Show all runs, then mean ± standard deviation of each cell of several, and what needs a word."""
    shape = shape or Shape()
    notes_below = [*notes([run.result for run in found]), *left_out(errors)]
    table = shape.page(shape.layout(run_columns([run.result for run in found])))
    several = [cell for cell in group(list(found)) if len(cell.runs) > 1]
    if several and shape.names is None:
        title = "mean ± standard deviation over seeds"
        table += f"\n\n{title}\n{shape.page(shape.layout(cells.columns(several)))}"
    return "\n".join([table, *(columns.wrap(line, shape.width) for line in notes_below)])


def run_columns(results: Sequence[RunResult]) -> list[Column]:
    """Build the columns of runs, a row each."""
    percents = {
        "ba": [_percent(result.scores.ba) + collapse.mark(result) for result in results],
        "asr": [_percent(result.scores.asr) for result in results],
        "asr_others": [_percent(result.scores.asr_others) for result in results],
        "cad": [_cad(result.baseline) for result in results],
        "clean_asr": [_percent(result.baseline.asr if result.baseline else None) for result in results],
        "still_right": [_percent(result.scores.robust_accuracy) for result in results],
    }
    built = [
        Column("run", "run", tuple(result.name for result in results), label=True, anchor=True),
        Column("seed", "seed", tuple(str(result.config.seed) for result in results), label=True, right=True,
               phrase="seed {}"),
        *(Column(cells.KEYS.get(name, name), TITLES[name], tuple(percents[name]), secondary=name in cells.SECONDARY)
          for name in SCORES),
        _baseline_column(results),
    ]  # fmt: skip
    return [column for column in built if column.key != "asr-others" or not column.empty]


def _baseline_column(results: Sequence[RunResult]) -> Column:
    """Build the column that says which clean runs CAD is against; as words where it is the same in all rows."""
    chosen = [one.baseline.how if one.baseline else "-" for one in results]
    words = {SAME_SEED: "the clean run of the same seed", GIVEN: "the clean run that was given"}
    phrase = next((words[how] for how in chosen if how in words), "clean runs: {}")
    return Column("baseline", "baseline", tuple(chosen), label=True, phrase=f"CAD against {phrase}")


def summary(found: Sequence[Cell], shape: Shape | None = None, errors: Iterable[Path] = ()) -> str:
    """Show one row for each cell. `errors`: the paths of what could not be read; they are named below."""
    shape = shape or Shape()
    layout = shape.layout(cells.columns(found))
    return shape.page(layout, _legend(found, layout, shape.form, errors), _caption(found, layout), _label(found))


def beside(found: Sequence[Cell], sources: Sources, shape: Shape | None = None, errors: Iterable[Path] = ()) -> str:
    """Show one row for each cell, source and score, the published figure beside ours, with the published cells that
    were not run."""
    found, shape = list(found), shape or Shape()
    layout = shape.layout(published.columns(found, sources))
    below = _legend(found, layout, shape.form, errors)
    if shape.form != "latex":
        below += published.remarks(found, sources)
    names = ", ".join(source.label for source in sources.specs)
    caption = f"{_caption(found, layout)}, compared with published figures: {names}"
    return shape.page(layout, below, caption, f"{_label(found)}-published")


def scores(scored: Scored) -> str:
    """Show the scores of a run on another file (`benchmark score`)."""
    found = scored.scores
    named = [
        ("BA", found.ba),
        ("ASR", found.asr),
        (TITLES["asr_others"], found.asr_others),
        ("robust accuracy (RA)", found.robust_accuracy),
    ]
    rows = [(title, share) for title, share in named if share is not None]
    width = max(len(title) for title, _ in rows)
    lines = [f"{title:{width}}  {_percent(share)} {_counts(share)}" for title, share in rows]
    return "\n".join([f"{scored.run} on {scored.file}", *lines, *collapse.notes([collapse.by_counts(found)])])


def notes(results: Iterable[RunResult]) -> list[str]:
    """Return what the marks of collapsed networks mean and which runs have one, and which were made elsewhere."""
    results = list(results)
    marks = {result.name: mark for result in results if (mark := collapse.mark(result))}
    compared = [result.baseline for result in results if result.baseline is not None]
    clean = {name for baseline in compared for name in baseline.collapsed}
    marks |= dict.fromkeys(clean, collapse.SURE)
    by_mark = {mark: [name for name, one in marks.items() if one == mark] for mark in marks.values()}
    lines = collapse.notes(by_mark)
    marked = [f"{line}: {text_tables.some(by_mark[line.split()[0]])}" for line in lines]
    return [text_tables.printable(line) for line in (*marked, *predicted(results))]


def predicted(results: Iterable[RunResult]) -> list[str]:
    """Return one line that names the runs of which there are predictions only, where there are any."""
    names = list(dict.fromkeys(result.name for result in results if result.config.is_predicted))
    return [f"{PREDICTIONS_ONLY}, trained elsewhere: {text_tables.some(names)}"] if names else []


def left_out(errors: Iterable[Path]) -> list[str]:
    """Return one line that names the files that could not be read, where there are any."""
    names = [short(path) for path in errors]
    return [text_tables.printable(f"omitted, could not be read: {text_tables.some(names)}")] if names else []


def short(path: Path) -> str:
    """Return a path from its run's folder on."""
    inside = path.parent.name.startswith(("prune-", "repair-", "detect-", "heads-")) or path.parent.name == "routing"
    return "/".join(path.parts[-3 if inside else -2 :])


def _legend(found: Sequence[Cell], layout: Layout, form: str, errors: Iterable[Path]) -> list[str]:
    below = [*notes([run.result for cell in found for run in cell.runs]), *left_out(errors)]
    if form == "latex":
        return below
    unpaired = any("cad" in cell.scores and not cell.paired for cell in found)
    return [legend(found, layout.has_intervals), *([UNPAIRED] if unpaired else []), *below]


def legend(found: Iterable[Cell], intervals: bool = True) -> str:
    """Return what the numbers of these cells are: means over seeds or single values, and whose intervals stand beside
    them; without `intervals`, how these are shown."""
    return legend_of([score.summary for cell in found for score in cell.scores.values()], intervals)


def legend_of(summaries: Sequence[Summary], intervals: bool = True) -> str:
    """Return the same of any scores, by their summaries."""
    several, single = any(one.seeds > 1 for one in summaries), any(one.over == "images" for one in summaries)
    numbers = "mean ± standard deviation over seeds" if several else "one seed"
    if not intervals:
        return f"{numbers} (--wide: with 95 % intervals)"
    one = "of one seed, Wilson's over rows" if several else "Wilson's over rows"
    kinds = [*(["Student's over seeds"] if several else []), *([one] if single else [])]
    return f"{numbers} [95 % interval: {'; '.join(kinds)}]" if kinds else numbers


def _caption(found: Sequence[Cell], layout: Layout) -> str:
    names = ", ".join(sorted({cell.dataset for cell in found}))
    kind = legend(found) if layout.has_intervals else legend(found, False).partition(" (")[0]
    return f"Backdoor attacks on {names}: {kind}, percent"


def _label(found: Sequence[Cell]) -> str:
    plain = [
        "".join(c if c.isascii() and c.isalnum() else "-" for c in name) for name in {cell.dataset for cell in found}
    ]
    return f"tab:{'-'.join(sorted(plain))}"


def _cad(baseline: Comparison | None) -> str:
    if baseline is None:
        return "-"
    return cells.signed(baseline.cad) + collapse.SURE * bool(baseline.collapsed)


def _counts(share: Share) -> str:
    return f"({share.count:,} of {share.of:,})"


def _percent(share: Share | None) -> str:
    return "-" if share is None or share.percent is None else f"{share.percent:.1f}"
