"""Figures from runs: ASR and BA against the poisoning rate, and training curves. PNG, SVG and PDF.

Lines differ in dashes and markers as well as in colour (Okabe and Ito's), so that the figures can be read in greyscale
and with any colour vision. The same runs give the same files to the last byte under one version of matplotlib.
"""

import itertools
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmark.core import text_tables
from benchmark.core.errors import Failure
from benchmark.core.plotting import save
from benchmark.reporting import cells as words
from benchmark.reporting import tables
from benchmark.runs import checkpoint, collapse, titles
from benchmark.runs.checkpoint import History
from benchmark.runs.groups import TITLES, Cell
from benchmark.runs.published import PUBLISHED, Key, PublishedSpec
from benchmark.training.callbacks import Epoch

Errors = dict[Path, str]
"""What cannot be read: path → a line that says why."""
Style = tuple[str, Any, str]  # colour, dashes, marker
_BLUE, _VERMILION, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#882255", "#555555"
_STYLES: dict[str, Style] = {
    "patch": (_BLUE, "-", "s"),
    "image": (_VERMILION, (0, (5, 2)), "o"),
}
_MORE: tuple[Style, ...] = ((_GREEN, (0, (1, 1.2)), "^"), (_PURPLE, (0, (5, 1, 1, 1)), "D"), (_GREY, (0, (8, 3)), "v"))
_HOLLOW = "DP^vX"  # of published points of a further source; the last, of another trigger than any of ours
_MARKERS = "os^DvPX*<>"  # of training curves: one per rate
PANELS = 5  # beside one another: more could not be read on a page
_WORDS = {"patch": "every patch", "image": "whole image"}


def write(
    cells: list[Cell],
    folder: Path,
    forms: Sequence[str] = ("png", "svg"),
    sources: Sequence[PublishedSpec] | None = None,
    errors: Errors | None = None,
) -> list[Path]:
    """Write all figures of the cells into a folder; the paths. Published figures of the `sources` are in them, by
    default of all that come with the program.

    For every data set and its settings, and every PANELS triggers of these, `asr-…`, `ba-…` and, where the runs'
    histories are there and have more than one epoch, `curves-…`. Below them stands what is in `errors` and so left out;
    histories that cannot be read are put there too.
    """
    errors = {} if errors is None else errors
    chosen = tuple(PUBLISHED.values() if sources is None else sources)
    paths = save(drawn(cells, chosen, errors), folder, forms)
    if not paths:
        raise Failure("nothing to draw: no run on a poisoned file")
    return paths


def drawn(
    cells: list[Cell], sources: Sequence[PublishedSpec] = (), errors: Errors | None = None
) -> Iterator[tuple[str, object]]:
    """Name and figure (matplotlib's), one after the other. To be called in matplotlib's own `rc_context`."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    names: set[str] = set()
    errors = {} if errors is None else errors
    for cell in cells:
        groups.setdefault((cell.dataset, cell.settings), []).append(cell)
    for (dataset, settings), group in groups.items():
        if all(cell.clean for cell in group):
            continue
        for part in _parts(group):
            name = _file_name(f"{dataset}-{settings}", names)
            for score in ("asr", "ba"):
                if any(score in cell.scores for cell in part if not cell.clean):
                    yield f"{score}-{name}", _with_notes(against_rate(part, score, sources), part, errors)
            if figure := curves(part, errors):
                yield f"curves-{name}", _with_notes(figure, part, errors)


def _parts(cells: list[Cell]) -> list[list[Cell]]:
    """Divide cells so that each figure has at most PANELS panels, a trigger each; clean ones are in all."""
    triggers = list(dict.fromkeys(cell.trigger for cell in cells if not cell.clean))
    parts = [triggers[at : at + PANELS] for at in range(0, len(triggers), PANELS)]
    return [[cell for cell in cells if cell.clean or cell.trigger in part] for part in parts]


def _file_name(text: str, taken: set[str]) -> str:
    """Return a plain name for a file, another one for each text."""
    plain = re.sub(r"[^a-z0-9.]+", "-", text.lower())[:150]
    name = next(name for name in itertools.chain([plain], (f"{plain}-{n}" for n in itertools.count(2)))
                if name not in taken)  # fmt: skip
    taken.add(name)
    return name


def _with_notes(figure, cells: list[Cell], errors: Errors):
    """Return the figure, and below it what is to be known: which networks have collapsed, what could not be read."""
    lines = [*tables.notes([run.result for cell in cells for run in cell.runs]), *tables.left_out(errors)]
    if lines:
        text = "\n".join(part for line in lines for part in textwrap.wrap(line, 20 + int(14 * figure.get_figwidth())))
        (legend,) = figure.legends  # which the layout makes room for, as it does for nothing else below the panels
        legend.set_title(text, prop={"size": 7})
        legend.set_alignment("left")
        legend.get_title().set_color(_GREY)
        figure.set_figheight(figure.get_figheight() + 0.14 * (text.count("\n") + 1))
    return figure


def against_rate(cells: list[Cell], score: str, sources: Sequence[PublishedSpec]):
    """Draw a score against the poisoning rate, one panel a trigger, for cells of one data set and settings."""
    poisoned = [cell for cell in cells if not cell.clean and score in cell.scores]
    triggers = list(dict.fromkeys(cell.trigger for cell in poisoned))
    figure, panels = _panels(1, len(triggers), cells[0], sources=sources)
    styles = _styles(poisoned)
    for panel, trigger in zip(panels[0], triggers, strict=True):
        inside = [cell for cell in poisoned if cell.trigger == trigger]
        for key, style in styles.items():
            series = sorted((cell for cell in inside if _series(cell) == key), key=lambda cell: cell.rate)
            if series:
                _line(panel, series, score, style, _label(key))
        rates = {cell.rate for cell in inside}
        if score == "ba":
            _clean_line(panel, [cell for cell in cells if cell.clean])
        rates |= _published_points(panel, inside, score, sources, styles)
        _rate_axis(panel, rates)
        panel.set_title(text_tables.printable(trigger))
    panels[0][0].set_ylabel(f"{TITLES[score]} (%)")
    if score == "asr":
        panels[0][0].set_ylim(-4, 104)
    _legend(figure, panels[0])
    return figure


def curves(cells: list[Cell], errors: Errors | None = None):
    """ASR, BA and loss after each epoch, one column a trigger: means over the seeds, bands from least to greatest."""
    errors = {} if errors is None else errors
    histories = {id(cell): _histories(cell, errors) for cell in cells}
    poisoned = [cell for cell in cells if not cell.clean and histories[id(cell)]]
    if not any(len(history) > 1 for cell in poisoned for history in histories[id(cell)]):
        return None  # one epoch: nothing to follow
    triggers = list(dict.fromkeys(cell.trigger for cell in poisoned))
    figure, panels = _panels(3, len(triggers), cells[0], sharey="row")
    styles_by_rate = _styles_by_rate(poisoned)
    rows = (("asr", "ASR (%)"), ("ba", "BA (%)"), ("loss", "loss"))
    for column, trigger in enumerate(triggers):
        inside = [cell for cell in poisoned if cell.trigger == trigger] + [cell for cell in cells if cell.clean]
        for row, (key, title) in enumerate(rows):
            panel = panels[row][column]
            for cell in inside:
                _curve(panel, cell, histories[id(cell)], attrgetter(key), styles_by_rate)
            if column == 0:
                panel.set_ylabel(title)
            if key == "asr":
                panel.set_ylim(-4, 104)
        panels[0][column].set_title(text_tables.printable(trigger))
        panels[-1][column].set_xlabel("epoch")
        panels[-1][column].xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, [panel for row in panels for panel in row])
    return figure


def _panels(rows: int, columns: int, cell: Cell, sharey=True, sources: Sequence[PublishedSpec] = ()):
    """Return a figure with its panels, under a title; with published points, it says how those were made."""
    from matplotlib.figure import Figure

    size = (1.2 + 3.1 * columns, 0.9 + (2.6 if rows == 1 else 1.9) * rows)
    figure = Figure(figsize=size, layout="constrained")
    title = f"{cell.dataset}, {titles.network(cell.first.config)}"
    for source in sources:
        there = {(key.dataset, key.network) for key in source.attacks()}
        if (
            source.made_with
            and (cell.dataset, cell.key.network) in there
            and cell.settings != source.settings(cell.dataset)
        ):
            title += f"; {source.title}: {source.made_with}"
    figure.suptitle(text_tables.printable(title), fontsize=10, color=_GREY)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex="col", sharey=sharey)


def _series(cell: Cell) -> tuple[str, str]:
    return cell.application, cell.variant


def _styles(cells: list[Cell]) -> dict[tuple[str, str], Style]:
    """Return a style for every series: the two applications have their own, variants of them take what is left."""
    found: dict[tuple[str, str], Style] = {}
    more = 0
    for key in sorted({_series(cell) for cell in cells}, key=lambda key: (key[1], key[0] != "patch")):
        known = _STYLES.get(key[0])
        if known and known not in found.values():
            found[key] = known
        else:
            found[key] = _MORE[more % len(_MORE)]
            more += 1
    return found


def _label(key: tuple[str, str]) -> str:
    application, variant = key
    words = text_tables.printable(_WORDS.get(application, application) + (f" ({variant})" if variant else ""))
    return textwrap.fill(words, 44, break_on_hyphens=False)


def _line(panel, series: list[Cell], score: str, style: tuple, label: str) -> None:
    """Means with their intervals, as bars and as a band."""
    color, dashes, marker = style
    x = [100 * float(cell.rate) for cell in series]
    summaries = [cell.scores[score].summary for cell in series]
    mean = [summary.mean for summary in summaries]
    low = [summary.mean if summary.low is None else summary.low for summary in summaries]
    high = [summary.mean if summary.high is None else summary.high for summary in summaries]
    panel.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    bars = [[m - a for m, a in zip(mean, low, strict=True)], [b - m for m, b in zip(mean, high, strict=True)]]
    panel.errorbar(x, mean, yerr=bars, color=color, linestyle=dashes, marker=marker, capsize=2.5, elinewidth=0.9,
                   label=label, zorder=3)  # fmt: skip
    for mark in (collapse.SURE, collapse.PERHAPS):
        at = [number for number, cell in enumerate(series) if cell.mark == mark]
        if at:
            panel.plot([x[number] for number in at], [mean[number] for number in at], linestyle="none", marker="x",
                       markersize=10, color="black", label=collapse.WORDS[mark].split(":")[0], zorder=5)  # fmt: skip


def _clean_line(panel, clean: list[Cell]) -> None:
    for cell in clean:
        summary = cell.scores["ba"].summary
        label = f"clean model{cell.mark and f' ({cell.mark})'}"
        panel.axhline(summary.mean, color=_GREY, linestyle=(0, (1, 2)), linewidth=1.2, label=label)
        if summary.low is not None:
            panel.axhspan(summary.low, summary.high, color=_GREY, alpha=0.10, linewidth=0)


def _published_points(
    panel, cells: list[Cell], score: str, sources: Sequence[PublishedSpec], styles: dict[tuple[str, str], Style]
) -> set[Fraction]:
    """Draw published figures for cells of one trigger as hollow markers; return their rates.

    They look like our line of the same attack, if there is one; a further source has markers of its own.
    """
    rates: set[Fraction] = set()
    drawn = 0
    for source in sources:
        points = _points(cells[0].key, score, source)
        for application, of_application in points.items():
            ours = [(cell.beside(source), cell) for cell in cells if cell.application == application]
            same = [cell for one, cell in ours if one.figures and not one.other]
            color, _, marker = styles[_series(same[0])] if same else _STYLES[application]
            others = {one.other for one, _ in ours if one.figures}
            aside = "; ".join(filter(None, [source.note, *(others if len(others) == 1 else ())]))
            if others and not same:
                color, marker = _GREY, _HOLLOW[-1]
            if drawn:
                marker = _HOLLOW[(drawn - 1) % len(_HOLLOW)]
            label = f"{source.title}, {_WORDS[application]}{f' ({aside})' if aside else ''}"
            panel.plot([100 * float(rate) for rate in of_application], list(of_application.values()), linestyle="none",
                       marker=marker, markersize=7.5, markerfacecolor="none", markeredgecolor=color,
                       markeredgewidth=1.1, zorder=4,
                       label=textwrap.fill(text_tables.printable(label), 44, break_on_hyphens=False))  # fmt: skip
            rates |= of_application.keys()
        drawn += bool(points)
    return rates


def _points(key: Key, score: str, source: PublishedSpec) -> dict[str, dict[Fraction, float]]:
    """Return application → rate → figure of a source's cells that differ from `key` in these alone."""
    found: dict[str, dict[Fraction, float]] = {application: {} for application in _STYLES}
    for one, figures in source.attacks().items():
        if one[:3] == key[:3] and score in figures and one.application in found:
            found[one.application][one.rate] = figures[score]
    return {application: points for application, points in found.items() if points}


def _rate_axis(panel, rates: set) -> None:
    ticks = sorted(rates)
    panel.set_xscale("log")
    panel.set_xticks([100 * float(rate) for rate in ticks], [words.rate(rate).removesuffix(" %") for rate in ticks])
    panel.tick_params(axis="x", labelsize=8)
    panel.minorticks_off()
    panel.set_xlim(100 * float(ticks[0]) / 1.6, 100 * float(ticks[-1]) * 1.6)
    panel.set_xlabel("poisoning rate (%)")


def _styles_by_rate(cells: list[Cell]) -> dict[tuple, dict]:
    """Series and rate → the look of a curve: colour and dashes of the series, the lower the rate the paler; a
    marker for each rate, or of the series where there is one rate."""
    from matplotlib.colors import to_rgb

    rates = sorted({cell.rate for cell in cells})
    styles = _styles(cells)
    styles_by_rate: dict[tuple, dict] = {}
    for cell in cells:
        color, dashes, marker = styles[_series(cell)]
        rank = rates.index(cell.rate)
        strength = 1 if len(rates) == 1 else 0.35 + 0.65 * rank / (len(rates) - 1)
        styles_by_rate[_series(cell), cell.rate] = {
            "color": tuple(1 - strength * (1 - part) for part in to_rgb(color)),
            "linestyle": dashes,
            "marker": marker if len(rates) == 1 else _MARKERS[rank % len(_MARKERS)],
        }
    return styles_by_rate


def _curve(panel, cell: Cell, histories: list[History], figure: Callable[[Epoch], Any], styles_by_rate: dict) -> None:
    histories = [history for history in histories if all(figure(epoch) is not None for epoch in history)]
    if not histories:
        return
    length = min(map(len, histories))
    epochs = [epoch.epoch for epoch in histories[0][:length]]
    values = [[figure(history[i]) for history in histories] for i in range(length)]
    if cell.clean:
        style, label = {"color": _GREY, "linestyle": (0, (1, 2)), "linewidth": 1.2}, "clean model"
    else:
        style = styles_by_rate[_series(cell), cell.rate] | {"markersize": 4, "markevery": max(1, length // 8)}
        label = f"{_label(_series(cell))}, {words.rate(cell.rate)}"
    panel.plot(epochs, [sum(row) / len(row) for row in values], label=label, **style)
    if len(histories) > 1:
        bounds = [min(row) for row in values], [max(row) for row in values]
        panel.fill_between(epochs, *bounds, color=style["color"], alpha=0.12, linewidth=0)


def _histories(cell: Cell, errors: Errors) -> list[History]:
    """Return the history of each run that has one. What cannot be read goes into `errors`."""
    found = []
    for run in cell.runs:
        try:
            found.append(checkpoint.read_history(run.folder))
        except Failure as error:
            errors[run.folder / "history.csv"] = str(error)
    return [history for history in found if history]


def _legend(figure, panels) -> None:
    """One legend for all panels, below them, every label once."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    columns = max(1, min(len(entries), int(figure.get_figwidth() // 2)))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=columns, fontsize=8, handlelength=3.2
    )
