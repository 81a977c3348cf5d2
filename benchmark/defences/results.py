"""Results of fine-pruning over the seeds: the cells of the paper's Table 3, published figures beside ours."""

from dataclasses import dataclass
from pathlib import Path

from benchmark.core import numbers
from benchmark.core.errors import Failure
from benchmark.defences import records as defence_records
from benchmark.runs import records
from benchmark.runs.context import HELD_OUT, TRAINING_SET
from benchmark.runs.groups import Cell, group, place
from benchmark.runs.published import Beside, PruningKey, PublishedSpec
from benchmark.runs.results import Finished
from benchmark.training.metrics import Json, Scores

STAGES = {"before": "before", "pruned": "pruned", "finetuned": "fine-tuned"}
"""The published table's name of a stage → ours."""
_PUBLISHED = {ours: name for name, ours in STAGES.items()}
_ORDER = ("before", "pruned", "masked", "fine-tuned")
NAME = "fine-pruning"
FORMER = "prune"
"""What the folders of results began with when fine-pruning had a command of its own."""


@dataclass(frozen=True)
class Step:
    """One point of a fine-pruning: `before`, or a stage at a rate, and the scores there."""

    stage: str
    rate: str
    scores: Scores


@dataclass(frozen=True)
class Pruned:
    """A fine-pruning: how many rows the defender had, `mode` which (see `runs.context.defender_rows`), and `epochs` of
    fine-tuning."""

    rows: int
    mode: str
    epochs: int
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, raw: Json) -> "Pruned":
        """Return the result that the JSON of `benchmark repair` holds. `Failure`, or an error of `records.parsed`'s,
        where it holds none."""
        found = defence_records.repaired(raw)
        mode, epochs = found.settings["data_mode"], found.settings["epochs"]
        if found.method != NAME or mode not in (HELD_OUT, TRAINING_SET) or not numbers.is_count(epochs):
            raise Failure("not the result of a fine-pruning of this program")
        last = found.steps[-1].findings.get("rows", found.clean_rows)
        if not numbers.is_count(last) or any(step.stage not in _ORDER for step in found.steps):
            raise Failure("not the result of a fine-pruning of this program")
        steps = tuple(Step(one.stage, _rate(one.label), one.scores) for one in found.steps)
        return cls(last, mode, epochs, steps)

    @classmethod
    def of_former(cls, raw: Json) -> "Pruned":
        """Return the result that the JSON of the former command holds. `Failure` where it holds none."""
        if not records.is_pruning(raw):
            raise Failure("not the result of a fine-pruning of this program")
        settings = raw["settings"]
        steps = [Step(one["stage"], one.get("rate", ""), Scores.of(one["scores"])) for one in raw["steps"]]
        return cls(raw["rows"], settings["data_mode"], settings["finetune_epochs"], tuple(steps))


def _rate(label: str) -> str:
    """Return the rate that a stage is labelled with, empty of `before`; an error where it is no share."""
    if label and not numbers.share(label) > 0:
        raise ValueError(f"{label!r:.40} is no share")
    return label


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


def results(run: Finished, errors: dict[Path, str]) -> list[Pruned]:
    """Return the finished fine-prunings of a run, those of the former command first; what cannot be read goes into
    `errors`."""
    found = [one for _, one in defence_records.in_run(run.folder, FORMER, Pruned.of_former, errors)]
    return found + [
        one for _, one in defence_records.in_run(run.folder, f"{defence_records.REPAIR}-{NAME}", Pruned.of, errors)
    ]


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
