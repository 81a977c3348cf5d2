"""The registry of the page's sections: one file each in `sections`, shown by their `order`."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.defences import over_runs, summaries
from benchmark.defences.over_runs import Defended, Entry, Group
from benchmark.defences.summaries import DetectedCell, RepairedCell
from benchmark.reporting import board
from benchmark.reporting.board import Board
from benchmark.reporting.published import Sources
from benchmark.runs import results
from benchmark.runs.groups import Cell


@dataclass(frozen=True)
class Content:
    """What a page is made of.

    Parameters
    ----------
    found : Found
        The finished runs; `found.errors` takes what cannot be read, by path.
    cells : list of Cell
        The same, grouped over their seeds.
    paths : list of path-like
        The folders that were named.
    no_pictures : str or None
        Why there are no figures and no pictures of images, None where there are.
    sources : Sources
        The published figures that stand beside.
    """

    found: results.Found
    cells: list[Cell]
    paths: list[Path] = field(default_factory=list)
    no_pictures: str | None = None
    sources: Sources = field(default_factory=Sources)

    @cached_property
    def detected(self) -> list[DetectedCell]:
        """What detectors found, over the seeds."""
        return summaries.detected(self._defended)

    @cached_property
    def repaired(self) -> list[RepairedCell]:
        """What repairs left, over the seeds."""
        return summaries.repaired(self._defended)

    @cached_property
    def board(self) -> Board:
        """Attacks by defences."""
        return board.build(self.cells, self.detected, self.repaired, self.sources.specs)

    @property
    def entries(self) -> list[Entry[Any]]:
        """The results of detectors, then of repairs, but for those that stand beside others as the clean twin's."""
        groups: list[Group[Any]] = [*self._defended.detected, *self._defended.repaired]
        return [entry for group in groups for entry in group.entries]

    @cached_property
    def numbers(self) -> dict[int, int]:
        """The results of each method on each attack, by the `id` of their group, numbered."""
        groups = [*(cell.group for cell in self.repaired), *(cell.group for cell in self.detected)]
        return {key: number for number, key in enumerate(dict.fromkeys(map(id, groups)), 1)}

    @cached_property
    def _defended(self) -> Defended:
        return over_runs.collect(self.cells, self.errors)

    def run_key(self, run: results.Finished) -> str:
        """Return what links to a run lead to."""
        return self._run_keys[run.result.name]

    @cached_property
    def _run_keys(self) -> dict[str, str]:
        return {run.result.name: f"run-{number}" for number, run in enumerate(self.found, 1)}

    @property
    def errors(self) -> dict[Path, str]:
        """What could not be read: path → a line that says why."""
        return self.found.wrong


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Parameters
    ----------
    order : int
        Sections with a lower one stand above.
    title : str
        Its heading.
    build : callable
        `Content` → HTML made by `page`; empty where there is nothing to show: then the heading is left out too.
    last : bool
        It is built after all the others, though it may stand above them: it shows what they could not read.
    """

    order: int
    title: str
    build: Callable[[Content], str]
    last: bool = False


SECTIONS: dict[str, Section] = {}
"""Every section, by title."""


def register(section: Section) -> Section:
    """Add a section. `ValueError` where its title or its place is taken; it says which places beside that are free."""
    if section.title in SECTIONS:
        raise ValueError(f"there are two sections {section.title!r}")
    taken = {one.order: one.title for one in SECTIONS.values()}
    if section.order in taken:
        free = [next(n for n in itertools.count(section.order, step) if n not in taken) for step in (-1, 1)]
        raise ValueError(
            f"section {section.title!r}: {taken[section.order]!r} has order {section.order}; free beside it: "
            f"{free[0]} (above) and {free[1]} (below)"
        )
    SECTIONS[section.title] = section
    return section
