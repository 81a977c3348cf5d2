"""The registry of published figures: what a source has, and when ours may be held against it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # what it imports is heavy, and the help of a command names the sources
    from benchmark.core.intervals import Summary
    from benchmark.runs.result import DatasetRecord, RunResult
    from benchmark.training.common import Common

FOLDER = Path(__file__).with_name("figures")
NEAR = 2.0  # points: this close it agrees, whatever the interval
NARROW = 5.0  # points, half the interval's width: what a wider one holds is undecided
ENOUGH = 3  # seeds: an interval over fewer proves no agreement
ROWS = {"cifar10": (50_000, 10_000), "gtsrb": (39_209, 12_630)}  # training and test rows of what is published
TRIGGER, ATTACK = "trigger", "attack"  # deviations after which it is not the same attack
OTHER = {TRIGGER: "other trigger", ATTACK: "other attack"}
PRECISIONS = ("float32", "tf32")  # on the GPUs of all these publications float32 is computed as tf32

Figures = Mapping[str, float]
"""Score (`ba`, `asr`, `cad`, `still_right`) → percent, or points."""


class Key(NamedTuple):
    """What a published cell is of, in our names. `trigger` is `clean`, and `application` empty, of a clean model."""

    dataset: str
    network: str
    trigger: str
    application: str
    rate: Fraction


class PruningKey(NamedTuple):
    """The same of fine-pruning; `channels`, the share of them, is None before it."""

    cell: Key
    stage: str
    channels: Fraction | None


class DefendedKey(NamedTuple):
    """The same after a defence, by the source's name for it."""

    cell: Key
    defence: str


def _nothing() -> dict[PruningKey, Figures]:
    return {}


def _nothing_defended() -> dict[DefendedKey, Figures]:
    return {}


def _no_lines() -> list[str]:
    return []


@dataclass(frozen=True)
class PublishedSpec:
    """One source of published figures.

    Parameters
    ----------
    name : str
        As `--beside` and the keys of JSON name it.
    title : str
        As legends and headings call it.
    scores : tuple of str
        The scores that it publishes, in the order of a table.
    settings : callable
        Name of a data set → the settings that its figures were made with, as tables name ours.
    attacks : callable
        () → `Key` → figures, in percent.
    deviations : callable
        Result of a run, and whether a defence was applied to it (for which it may have left rows out) → in what it is
        not at the published settings: some of `data set`, `trigger`, `attack`, `network`, `training`, `precision`.
    note : str
        What stands beside its figures wherever they are shown: `one run, no interval`.
    made_with : str
        The settings in a few words, for figures that show runs at others.
    fine_pruning : callable
        () → `PruningKey` → figures.
    defended : callable
        () → `DefendedKey` → figures: what is left after a defence.
    remarks : callable
        () → what is to be known of the source, a line each.
    warnings : mapping
        Trigger → a line for tables that show it beside ours.
    never_same : frozenset of str
        Triggers of which no run here can be the same attack: figures of theirs are not said to be missing.
    """

    name: str
    title: str
    scores: tuple[str, ...]
    settings: Callable[[str], str]
    attacks: Callable[[], Mapping[Key, Figures]]
    deviations: Callable[["RunResult", bool], list[str]]
    note: str = ""
    made_with: str = ""
    fine_pruning: Callable[[], Mapping[PruningKey, Figures]] = _nothing
    defended: Callable[[], Mapping[DefendedKey, Figures]] = _nothing_defended
    remarks: Callable[[], list[str]] = _no_lines
    warnings: Mapping[str, str] = field(default_factory=dict)
    never_same: frozenset[str] = frozenset()

    def repeatable(self) -> list[Key]:
        """Return the published cells that runs here could be of."""
        return [key for key in self.attacks() if key.trigger not in self.never_same]

    @property
    def label(self) -> str:
        """Its title with its note: `BackdoorBench (one run, no interval)`."""
        return f"{self.title} ({self.note})" if self.note else self.title


@dataclass(frozen=True)
class Beside:
    """The figures of a source for one of our cells, empty where it has none, and in what that cell is not at its
    settings."""

    source: PublishedSpec
    figures: Figures
    deviations: list[str]
    summaries: "Mapping[str, Summary]"

    @classmethod
    def of(
        cls,
        source: PublishedSpec,
        figures: Figures | None,
        results: Iterable["RunResult"],
        summaries: "Mapping[str, Summary]",
        defended: bool = False,
    ) -> "Beside":
        """Return the figures beside these runs; no deviations where there are no figures."""
        if figures is None:
            return cls(source, {}, [], summaries)
        deviations = {word for one in results for word in source.deviations(one, defended)}
        return cls(source, figures, sorted(deviations), summaries)

    @property
    def judged(self) -> bool:
        """Are ours at the settings of the published figures?"""
        return bool(self.figures) and not self.deviations

    @property
    def other(self) -> str:
        """`other trigger` or `other attack` where it is not the same attack, else empty."""
        return next((words for name, words in OTHER.items() if name in self.deviations), "")

    def difference(self, score: str) -> float | None:
        """Return ours minus the published figure; None where one of them is missing."""
        if score not in self.figures or score not in self.summaries:
            return None
        return self.summaries[score].mean - self.figures[score]

    def verdict(self, score: str) -> str:
        """Return what our cell says of the published figure; empty where it cannot say anything of it."""
        if self.difference(score) is None:
            return ""
        if self.deviations:
            return self.other or "other settings"
        return verdict(self.summaries[score], self.figures[score])

    def record(self, score: str) -> dict[str, Any]:
        """Return the same for programs: figure, difference, verdict and the source's note."""
        found: dict[str, Any] = {"figure": self.figures[score], "difference": self.difference(score)}
        return found | {"verdict": self.verdict(score) or None, "note": self.source.note or None}


def compare(
    result: "RunResult", theirs: "Common", attack: Callable[["DatasetRecord"], list[str]], defended: bool = False
) -> list[str]:
    """Return in what a run is not at published settings; `attack` says it of the attack on a poisoned file. Of one that
    is `defended` it does not count that it left rows out for the defender."""
    dataset, config = result.dataset, result.config
    training = config.training | ({"hold_out": theirs.hold_out} if defended else {})
    sound = {
        "data set": (dataset.counts.get("train"), dataset.counts.get("test")) == ROWS.get(dataset.source),
        "network": config.model == {"name": theirs.NETWORK} | theirs.model(),
        "training": training == {"optimizer": theirs.OPTIMIZER} | theirs.training(),
        "precision": config.precision in PRECISIONS,
    }
    return [*([] if dataset.is_clean else attack(dataset)), *(name for name, same in sound.items() if not same)]


def verdict(ours: "Summary", figure: float) -> str:
    """`agrees`, `undecided` or `differs`: what runs at the published settings say of a published figure.

    Within 2 points it agrees; else it must lie in the interval over seeds, and agrees if that is narrow enough and
    from enough seeds. A single seed has no such interval and decides nothing else.
    """
    if round(abs(ours.mean - figure), 1) <= NEAR:
        return "agrees"
    if ours.half is None:
        return "undecided"
    if abs(ours.mean - figure) > ours.half:
        return "differs"
    return "agrees" if ours.half <= NARROW and ours.seeds >= ENOUGH else "undecided"


PUBLISHED: dict[str, PublishedSpec] = {}
"""Every source of published figures that comes with the program, by name."""


def register(spec: PublishedSpec) -> PublishedSpec:
    """Add a source. `ValueError` where its name is taken."""
    if spec.name in PUBLISHED:
        raise ValueError(f"there are two sources of published figures named {spec.name!r}")
    PUBLISHED[spec.name] = spec
    return spec
