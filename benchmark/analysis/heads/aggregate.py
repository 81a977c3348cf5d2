"""What the commands on heads found, over the seeds: runs that differ in their seeds alone are summed up together."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.analysis.heads import results as stored
from benchmark.analysis.heads.records import COMMANDS, NAMES, HeadsResult
from benchmark.analysis.heads.tables import tables
from benchmark.core import numbers, text_tables
from benchmark.runs import titles
from benchmark.runs.groups import Cell, group
from benchmark.runs.results import Finished


@dataclass(frozen=True)
class Group:
    """The results of one command, with one `settings`, on the runs of a `cell`; one result a run."""

    cell: Cell
    results: tuple[HeadsResult, ...]

    @property
    def title(self) -> str:
        """What was done to what, in one line: `Detection: sst2, word at 5 %, text encoder (minilm), 5 runs`."""
        cell = self.cell
        attack = cell.trigger if cell.clean else f"{cell.trigger} at {100 * float(cell.rate):g} %"
        what = [cell.dataset, attack, *filter(None, [cell.variant]), titles.network(cell.first.config)]
        runs = numbers.counted(len(self.results), "run")
        return f"{NAMES[self.results[0].command]}: {', '.join(what)}, {runs}"

    @property
    def settings(self) -> str:
        """The settings of the command, in one line; empty where it has none."""
        return self.results[0].described


def collect(found: list[Finished], errors: dict[Path, str] | None = None) -> list[Group]:
    """Collect the results of these commands in the folders of finished runs, grouped.

    What cannot be read or shown is put into `errors`: its path, and one line that says why.
    """
    errors = {} if errors is None else errors
    groups = []
    for cell in group(found):
        by_question: dict[str, dict[Path, HeadsResult]] = {}
        for run in cell.runs:
            for _, result in stored.in_run(run.folder, errors):
                by_question.setdefault(result.question, {})[run.folder] = result
        groups += [Group(cell, tuple(results.values())) for results in by_question.values()]
    return sorted(groups, key=lambda one: COMMANDS.index(one.results[0].command))


def render(groups: list[Group], form: str, wide: bool = False) -> str:
    """Return every group's title and tables, in one of `text_tables.FORMS`; text that is not `wide` fits a window."""
    width = None if wide else text_tables.WIDTH
    before = {"latex": "% ", "markdown": "### "}.get(form, "")
    below = {"latex": "% ", "markdown": "\n"}.get(form, "")
    parts = []
    for one in groups:
        wraps = form == "text" and width is not None
        lines = [before + text_tables.printable(one.title)]
        lines += [below + text_tables.printable(one.settings)] if one.settings else []
        parts.append("\n".join(text_tables.filled(line) if wraps else line for line in lines))
        parts += [table.render(form, width) for table in tables(one.results)]
    return "\n\n".join(parts)
