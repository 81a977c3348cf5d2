"""What detectors found and what repairs left, a row for each attack and method, each with its runs."""

from typing import Any

from benchmark.defences.over_runs import Group
from benchmark.reporting import defended, explained, tables
from benchmark.reporting.columns import Column
from benchmark.reporting.html import page, words
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs.groups import Cell


def build(content: Content) -> str:
    """Build the section: repairs, then detectors."""
    repaired, detected = defended.shown(content.repaired), content.detected
    parts = []
    if repaired:
        keys = [key_of(content, cell.group) if cell.last else f"stage-{number}" for number, cell in enumerate(repaired)]
        columns = defended.repair_columns(repaired, dense=True)
        parts += [
            "Repairs",
            explained.repairs(columns),
            _table(content, columns, keys, [one.group.cell for one in repaired]),
        ]
    if detected:
        keys = [key_of(content, cell.group) for cell in detected]
        columns = defended.detector_columns(detected, dense=True)
        parts += [
            "Detectors",
            explained.detectors(columns),
            _table(content, columns, keys, [one.group.cell for one in detected]),
        ]
    if not parts:
        return ""
    scores = [*(cell.scores for cell in repaired), *(cell.scores for cell in detected)]
    summaries = [score.summary for one in scores for score in one.values()]
    legend = page.paragraphs([f"Percent; {tables.legend_of(summaries).replace('± standard deviation ', '')}."])
    titled = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return legend + "".join(page.heading(title) + page.paragraphs([text]) + table for title, text, table in titled)


def _table(content: Content, columns: list[Column], keys: list[str], cells: list[Cell]) -> str:
    return page.dense(page.layout(columns, keys, words.runs(content, cells)))


def key_of(content: Content, group: Group[Any]) -> str:
    """Return what links to the row of a method's results lead to."""
    return f"result-{content.numbers[id(group)]}"


METHODS = register(Section(33, "Detectors and repairs", build))
