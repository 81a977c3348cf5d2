"""The board: attacks by defences, for each network what repairs leave of an attack and what detectors find of it.

What it shows of a cell is ASR left, or TPR at 1 % FPR; its colour, in six steps, is how much of the attack gets
through, and its mark says the same in a sign. Everything else of the cell stands beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.core import naming, text_tables
from benchmark.core.intervals import Summary
from benchmark.defences import results
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.over_runs import Group
from benchmark.defences.summaries import DetectedCell, RepairedCell
from benchmark.reporting import cells as words
from benchmark.reporting.records import decimal
from benchmark.runs import titles
from benchmark.runs.groups import Cell, Score
from benchmark.runs.published import Beside, Figures, Key, PublishedSpec

REPAIR, DETECTOR = "repair", "detector"
STEPS = (5.0, 10.0, 25.0, 50.0, 75.0)
"""Percent of the attack that gets through, where the next step of the ramp begins."""
WORKS, SURVIVES = 10.0, 50.0
"""Percent: an attack with an ASR of at most the one is gone, one above the other is alive."""
DEAR = 5.0
"""Points of BA: a repair that costs more does not count as one that works."""
FINDS, MISSES = 90.0, 10.0
"""Percent of the poisoned rows at 1 % FPR: a detector that finds so many works, one below the other does not."""
GONE, COSTLY, ALIVE, NOTHING = "✓", "▼", "✗", "·"
PLACES = {"patch": "every patch", "image": "whole image"}
UNDEFENDED = "no defence"


@dataclass(frozen=True)
class Column:
    """A method with its settings. `name` is empty of no defence at all; `control`: it is plain fine-tuning."""

    kind: str
    name: str
    settings: str = ""
    control: bool = False

    @property
    def title(self) -> str:
        """What heads the column."""
        return (self.name + (f" ({self.settings})" if self.settings else "")) or UNDEFENDED


@dataclass(frozen=True, eq=False)
class Attack:
    """A row: an attack on a data set, of one network; `cell` its runs."""

    network: str
    cell: Cell = field(repr=False)

    @property
    def title(self) -> str:
        """The attack in words: `square (size 3), every patch`."""
        return words.trigger(self.cell) + (f", {self.place}" if self.place else "")

    @property
    def place(self) -> str:
        """Where the trigger is: `every patch`, `whole image`; empty of texts."""
        return PLACES.get(self.cell.application, "")

    @property
    def rate(self) -> str:
        """Its rate: `0.5 %`."""
        return words.rate(self.cell.rate)


@dataclass(frozen=True)
class Published:
    """A published figure beside a cell: whose, ASR and BA in percent, and in what the settings are others."""

    source: str
    asr: float | None
    ba: float | None
    other: str = ""


@dataclass(frozen=True)
class Spot:
    """A cell of the board: a method on an attack.

    Attributes
    ----------
    main : Summary
        ASR left, or TPR at 1 % FPR, in percent.
    scores : dict of str to Score
        All its scores.
    cell : Cell
        The runs that were defended.
    published : tuple of Published
        What others have published of the same.
    group : Group or None
        The results; None where there is no method.
    """

    attack: Attack
    column: Column
    main: Summary
    scores: dict[str, Score]
    cell: Cell
    published: tuple[Published, ...] = ()
    group: Group[Any] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float | None:
        """What the method took, the mean over the runs; None of no method."""
        return None if self.group is None else self.group.seconds

    @property
    def through(self) -> float:
        """How much of the attack gets through, in percent."""
        return 100 - self.main.mean if self.column.kind == DETECTOR else self.main.mean

    @property
    def step(self) -> int:
        """The step of the ramp, from 0."""
        return sum(self.through > end for end in STEPS)

    @property
    def mark(self) -> str:
        """A sign for what came of it; empty where it is neither."""
        if self.column.kind == DETECTOR:
            return GONE if self.main.mean >= FINDS else ALIVE if self.main.mean < MISSES else ""
        before = self.mean("before_asr")
        if self.column.name and before is not None and before <= WORKS:
            return NOTHING
        if self.main.mean <= WORKS:
            cheap = (self.mean("ba_lost") or 0.0) <= DEAR
            return (GONE if cheap else COSTLY) if self.column.name else NOTHING
        return ALIVE if self.main.mean > SURVIVES and self.column.name else ""

    def mean(self, name: str) -> float | None:
        """Return the mean of a score; None where there is none."""
        return self.scores[name].summary.mean if name in self.scores else None


@dataclass(frozen=True)
class Board:
    """All attacks and methods, and what there is of them: `spots`, in the order of attacks and columns."""

    attacks: tuple[Attack, ...]
    columns: tuple[Column, ...]
    spots: tuple[Spot, ...]

    def __bool__(self) -> bool:
        return any(spot.column.name for spot in self.spots)

    @property
    def networks(self) -> list[str]:
        """The networks, those with the most results first."""
        counts = {one.network: 0 for one in self.attacks}
        for spot in self.spots:
            counts[spot.attack.network] += bool(spot.column.name)
        return sorted(counts, key=lambda name: (-counts[name], name))


def build(
    cells: Iterable[Cell],
    detected: Sequence[DetectedCell],
    repaired: Sequence[RepairedCell],
    sources: Sequence[PublishedSpec] = (),
) -> Board:
    """Build the board of grouped runs and their defences: of a repair its last stage, of attacks those that are
    poisoned."""
    attacks = {id(cell): Attack(titles.network(cell.first.config), cell) for cell in cells if not cell.clean}
    published, spots = _Sources(sources), []
    for attack in attacks.values():
        scores = attack.cell.scores
        if "asr" in scores:
            beside = published.of(attack.cell, "", scores)
            spots.append(Spot(attack, Column(REPAIR, ""), scores["asr"].summary, scores, attack.cell, beside))
    for repair in repaired:
        group, scores = repair.group, repair.scores
        attacked = attacks.get(id(group.whole))
        if attacked is not None and repair.last and "asr" in scores:
            beside = published.of_repair(repair)
            column = _column(REPAIR, group)
            spots.append(Spot(attacked, column, scores["asr"].summary, scores, group.cell, beside, group))
    for detector in detected:
        found, scores = detector.group, detector.scores
        attacked = attacks.get(id(found.whole))
        if attacked is not None and "tpr_at_1" in scores:
            main, column = scores["tpr_at_1"].summary, _column(DETECTOR, found)
            spots.append(Spot(attacked, column, main, scores, found.cell, (), found))
    columns = sorted(dict.fromkeys(spot.column for spot in spots), key=_order)
    places = {attack: number for number, attack in enumerate(attacks.values())}
    spots.sort(key=lambda spot: (places[spot.attack], _order(spot.column)))
    return Board(tuple(attacks.values()), tuple(columns), tuple(spots))


def _column(kind: str, group: Group[Any]) -> Column:
    registry: Mapping[str, Any] = REPAIRS if kind == REPAIR else DETECTORS
    control = bool(getattr(registry.get(group.method), "control", False))
    return Column(kind, group.method, group.settings, control)


def _order(column: Column) -> tuple:
    """No defence, the control, then the others by name; repairs first."""
    return column.kind != REPAIR, column.name != "", not column.control, column.name, column.settings


class _Sources:
    """Published figures by attack and method, in our names."""

    def __init__(self, sources: Sequence[PublishedSpec]):
        self._figures: list[tuple[PublishedSpec, dict[tuple[Key, str, str], Figures]]] = []
        for source in sources:
            defended = source.defended()
            names = {key.defence for key in defended}
            ours = {name: naming.understood(name, REPAIRS, REPAIRS.aliases) for name in names}
            found = {(key, "", ""): figures for key, figures in source.attacks().items()}
            for after, figures in defended.items():
                if method := ours[after.defence]:
                    found[after.cell, method, ""] = figures
            for pruned, figures in source.fine_pruning().items():
                if pruned.channels is not None and results.STAGES[pruned.stage] == "fine-tuned":
                    found[pruned.cell, results.NAME, decimal(pruned.channels)] = figures
            self._figures.append((source, found))

    def of_repair(self, repair: RepairedCell) -> tuple[Published, ...]:
        """Return the figures for a repair's result; none where it is of a fine-pruning that ended before the
        fine-tuning, which all figures of it are after."""
        method, ends = repair.group.method, {(step.stage, step.label) for step in repair.steps}
        if method == results.NAME and {stage for stage, _ in ends} != {results.STAGES["finetuned"]}:
            return ()
        label = ends.pop()[1] if len(ends) == 1 else ""
        return self.of(repair.group.cell, method, repair.scores, label)

    def of(self, cell: Cell, method: str, scores: dict[str, Score], label: str = "") -> tuple[Published, ...]:
        """Return each source's figures for the same attack, data set, network, rate, method and, where it has figures
        for several, `label` of the stage."""
        found = []
        for source, figures in self._figures:
            there = figures.get((cell.key, method, label)) or figures.get((cell.key, method, ""))
            if there and "asr" in there:
                summaries = {name: score.summary for name, score in scores.items()}
                runs = [run.result for run in cell.runs]
                one = Beside.of(source, there, runs, summaries, defended=bool(method))
                if not one.other:
                    other = ", ".join(one.deviations)
                    found.append(Published(source.title, there["asr"], there.get("ba"), other))
        return tuple(found)


# ---------------------------------------------------------------- for programs


SCORES = {
    REPAIR: ("asr", "before_asr", "ba", "ba_lost", "still_right", "der", "control_asr", "twin_ba_lost"),
    DETECTOR: ("tpr_at_1", "tpr_at_5", "auroc", "precision", "recall", "false_alarms", "covers_at_1", "twin_flagged"),
}
"""The scores that stand beside the main one, by kind."""


def records(board: Board) -> list[dict[str, Any]]:
    """Return a record for each cell of the board, in percent, areas under curves too: names, scores as [mean, low,
    high], seeds, runs, published figures."""
    return [_record(spot) for spot in board.spots]


def _record(spot: Spot) -> dict[str, Any]:
    cell = spot.cell
    found: dict[str, Any] = {
        "network": spot.attack.network, "dataset": cell.dataset, "attack": spot.attack.title, "rate": spot.attack.rate,
        "kind": spot.column.kind, "method": spot.column.name or UNDEFENDED, "options": spot.column.settings,
        "seeds": spot.main.seeds, "interval_over": spot.main.over, "runs": [run.result.name for run in cell.runs],
        "seconds": None if spot.seconds is None else round(spot.seconds, 1),
    }  # fmt: skip
    for name in SCORES[spot.column.kind]:
        if name in spot.scores:
            summary = spot.scores[name].summary
            found[name] = [_rounded(value) for value in (summary.mean, summary.low, summary.high)]
    if spot.published:
        found["published"] = [vars(one) for one in spot.published]
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def csv(board: Board) -> str:
    """Return the board as CSV: a line for each cell, each score with its interval, in percent."""
    names = ["network", "dataset", "attack", "rate", "kind", "method", "options", "seeds", "interval_over", "seconds"]
    scores = list(dict.fromkeys(name for kind in SCORES.values() for name in kind))
    columns = [*names, *(f"{name}{part}" for name in scores for part in ("", "_low", "_high"))]
    rows = []
    for one in records(board):
        values = [one[name] for name in names]
        values += [value for name in scores for value in one.get(name, (None,) * 3)]
        rows.append(["" if value is None else str(value) for value in values])
    return text_tables.render("csv", columns, rows, set()) + "\n"
