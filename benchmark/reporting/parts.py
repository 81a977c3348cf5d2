"""What `benchmark table` shows: the attacks over the seeds, then what detectors found and what repairs left."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmark.core.errors import Failure
from benchmark.defences import over_runs, results, summaries
from benchmark.defences.over_runs import Defended
from benchmark.defences.results import PruningPoint
from benchmark.defences.summaries import DetectedCell, RepairedCell
from benchmark.reporting import columns, defended, defended_records, pruning, records, tables
from benchmark.reporting.published import Sources
from benchmark.reporting.records import Record
from benchmark.reporting.tables import Shape
from benchmark.runs import groups
from benchmark.runs.groups import Cell
from benchmark.runs.results import Found

ATTACKS, DETECTORS, REPAIRS = PARTS = ("attacks", "detectors", "repairs")
COMMANDS = {DETECTORS: "detect", REPAIRS: "repair"}


@dataclass(frozen=True)
class Parts:
    """The tables of some runs. `sources`: published figures beside them; `part`: one of PARTS, None for all."""

    found: Found
    sources: Sources
    part: str | None = None

    @cached_property
    def cells(self) -> list[Cell]:
        """The attacks."""
        return groups.group(self.found)

    @cached_property
    def _pruned(self) -> list[PruningPoint]:
        return results.collect(self.found, self.found.wrong)

    @cached_property
    def _defended(self) -> Defended:
        return over_runs.collect(self.cells, self.found.wrong)

    @property
    def detected(self) -> list[DetectedCell]:
        """What detectors found."""
        return self._asked(DETECTORS, summaries.detected(self._defended))

    @property
    def repaired(self) -> list[RepairedCell]:
        """What repairs left."""
        return self._asked(REPAIRS, summaries.repaired(self._defended))

    def records(self) -> list[Record]:
        """Return everything as JSON; without a part, all there is."""
        rows: list[Record] = []
        if self.part in (None, ATTACKS):
            rows += records.records(self.cells, self.sources) + pruning.all_records(self._pruned, self.sources)
        if self.part in (None, DETECTORS):
            rows += defended_records.of_detectors(self.detected)
        if self.part in (None, REPAIRS):
            rows += defended_records.of_repairs(self.repaired)
        return rows

    def pages(self, shape: Shape) -> list[str]:
        """Return the tables to read; where columns are named, one alone, which is that of the attacks if none is."""
        shown = (self.part,) if self.part else (ATTACKS,) if shape.names is not None else PARTS
        pages = self._attacks(shape) if ATTACKS in shown else []
        if DETECTORS in shown and self.detected:
            pages.append(defended.detectors(self.detected, shape))
        if REPAIRS in shown and (repaired := defended.shown(self.repaired)):
            pages.append(defended.repairs(repaired, shape))
        return pages

    def _attacks(self, shape: Shape) -> list[str]:
        found, sources = self.cells, self.sources
        pruned = self._pruned
        errors = self._all_errors()
        first = tables.beside(found, sources, shape, errors) if sources else tables.summary(found, shape, errors)
        if not (pruned or pruning.not_run(pruned, sources)) or shape.names is not None:
            return [first]
        words = "" if shape.form == "latex" else f"\n\n{columns.wrap(pruning.WORDS)}"
        return [first, f"{pruning.render(pruned, shape, sources)}{words}"]

    def _all_errors(self) -> Sequence:
        """Return what could not be read, once all has been tried."""
        return list(self.found.wrong) if self._defended is not None else []

    def _asked(self, part: str, found: list) -> list:
        """Return what was found; `Failure` where it was asked for by name, and there is none."""
        if not found and self.part == part:
            raise Failure(f"no results of {part} in these runs: `benchmark {COMMANDS[part]}` makes them")
        return found
