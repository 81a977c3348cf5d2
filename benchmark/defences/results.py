"""Results of fine-pruning over the seeds: the cells of the paper's Table 3, published figures beside ours."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.core import files, numbers
from benchmark.core.errors import Failure
from benchmark.defences.base import DefenceResult
from benchmark.runs import records
from benchmark.runs.groups import Cell, group, place
from benchmark.runs.published import Beside, PruningKey, PublishedSpec
from benchmark.runs.results import Finished

STAGES = {"before": "before", "pruned": "pruned", "finetuned": "fine-tuned"}
"""The published table's name of a stage → ours."""
_PUBLISHED = {ours: name for name, ours in STAGES.items()}
_ORDER = ("before", "pruned", "masked", "fine-tuned")


@dataclass(frozen=True)
class PruningPoint:
    """One point of fine-pruning over the seeds. `cell` has the runs with their scores at this point; `mode`: which rows
    the defender had, and how many; `rate`: the share of channels, empty before."""

    cell: Cell
    mode: str
    rate: str
    stage: str

    def beside(self, source: PublishedSpec) -> Beside:
        """Return a source's figures for the same; that the runs left rows out for the defender is no deviation."""
        figures, results = source.fine_pruning().get(_key(self)), [run.result for run in self.cell.runs]
        summaries = {name: score.summary for name, score in self.cell.scores.items()}
        return Beside.of(source, figures, results, summaries, defended=True)


def collect(found: list[Finished], errors: dict[Path, str] | None = None) -> list[PruningPoint]:
    """Collect every point of every fine-pruning in the folders of these runs, in the order of a table.

    What cannot be read is put into `errors`: its path, and a line that says why.
    """
    errors = {} if errors is None else errors
    points = []
    for cell in group(found):
        runs: dict[tuple[str, str, str], dict[Path, Finished]] = {}
        for run in cell.runs:
            for result in results(run, errors):
                mode = f"{result.rows:,} {result.mode}, {numbers.counted(result.epochs, 'epoch')}"
                for step in result.steps:
                    changed = Finished(run.folder, run.result.with_scores(step.scores).with_baseline(None))
                    runs.setdefault((mode, step.rate, step.stage), {})[run.folder] = changed
        points += [PruningPoint(Cell(tuple(of.values()), cell.note), *key) for key, of in runs.items()]
    return sorted(points, key=_order)


def results(run: Finished, errors: dict[Path, str]) -> list[DefenceResult]:
    """Return the finished fine-prunings of a run; what cannot be read goes into `errors`."""
    errors |= files.links(run.folder, "prune-*")
    found = []
    for path in (folder / "result.json" for folder in files.folders(run.folder, "prune-*")):
        try:
            if files.there(path):
                found.append(records.parsed(path, DefenceResult.of))
        except Failure as error:
            errors[path] = str(error)
    return found


def not_run(points: list[PruningPoint], source: PublishedSpec) -> list[PruningKey]:
    """Return the published points that no run at the published settings is of."""
    there = {_key(point) for point in points if point.beside(source).judged}
    return [key for key in source.fine_pruning() if key not in there]


def _key(point: PruningPoint) -> PruningKey:
    share = numbers.decimal(point.rate) if point.rate else None
    return PruningKey(point.cell.key, _PUBLISHED.get(point.stage, point.stage), share)


def _order(point: PruningPoint) -> tuple:
    cell = point.cell
    where = place(cell.dataset, cell.trigger, cell.application, cell.rate)
    share = numbers.decimal(point.rate or "0")
    return *where, cell.settings, cell.variant, point.mode, share, _ORDER.index(point.stage)
