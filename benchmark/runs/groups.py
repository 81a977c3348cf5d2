"""Runs that differ in their seeds alone, as one cell of a table: what it is of, and its scores over the seeds."""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from benchmark.core import intervals, numbers
from benchmark.core.hashing import canonical
from benchmark.core.intervals import Summary
from benchmark.format.manifest import Recipe
from benchmark.runs import collapse, trigger_defaults
from benchmark.runs.published import Beside, Key, PublishedSpec, badpatches
from benchmark.runs.result import RunResult
from benchmark.runs.results import Finished
from benchmark.training.common import label
from benchmark.training.metrics import Share

SCORES = ("ba", "asr", "asr_others", "cad", "clean_asr", "still_right")
TITLES = {
    "ba": "BA",
    "asr": "ASR",
    "asr_others": "ASR, non-source",
    "cad": "CAD",
    "clean_asr": "clean ASR",
    "still_right": "RA",
}
_USUAL = {"label_mode": "all-to-one", "target": 0, "select": "all"}
_PHRASES = {"one_of": "one of them a row"}
_NAMED = ("rate", "seed", "streams", "application", "triggers", "patch")  # have a place of their own


@dataclass(frozen=True)
class Score:
    """A score of a cell: its summary over the seeds, and the images of all its runs together; `lacking`: of how many
    seeds there is none, such as a precision where nothing was flagged."""

    summary: Summary
    count: int | None = None
    of: int | None = None
    lacking: int = 0

    @property
    def partly(self) -> str:
        """Return `(1 of 3 seeds)` where some have none; empty where all have one."""
        every = self.summary.seeds + self.lacking
        return f"({self.summary.seeds} of {every} seeds)" if self.lacking else ""

    @property
    def percent(self) -> float | None:
        """Over all images of all seeds."""
        return 100 * self.count / self.of if self.of and self.count is not None else None


@dataclass(frozen=True)
class Cell:
    """Finished runs of one data set, attack, network and training. `note` tells it from others of the same names."""

    runs: tuple[Finished, ...]
    note: str = field(default="", compare=False)

    @property
    def first(self) -> RunResult:
        """The result of its first run; all say the same of what the cell is of."""
        return self.runs[0].result

    @property
    def recipe(self) -> Recipe:
        """The recipe of its first run; those of the others differ in their seeds alone."""
        return self.first.dataset.recipe

    @property
    def clean(self) -> bool:
        """Are these the clean models?"""
        return self.first.dataset.is_clean

    @property
    def dataset(self) -> str:
        """What the source is called."""
        return self.first.dataset.called

    @property
    def trigger(self) -> str:
        """Names of the triggers, `clean` without any."""
        return "clean" if self.clean else self.recipe.title

    @property
    def application(self) -> str:
        """`image`, `patch`, `text`, or nothing for a clean cell."""
        return self.recipe.application

    @property
    def rate(self) -> Fraction:
        """The poisoning rate that was asked for."""
        return numbers.share(self.recipe.rate)

    @cached_property
    def settings(self) -> str:
        """Network, training and what computes them, in a few words."""
        return label(self.first.config.settings)

    @cached_property
    def variant(self) -> str:
        """What of the attack is not the default, in words, and `note`."""
        return "; ".join(filter(None, [*_unusual(self.recipe), self.note]))

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The poisoning seeds and the training seeds that occur."""
        poisoning = [run.result.dataset.recipe.seed for run in self.runs]
        return {
            "poisoning": sorted({seed for seed in poisoning if seed is not None}),
            "training": sorted({run.result.config.seed for run in self.runs}),
        }

    @property
    def varying(self) -> list[str]:
        """Which seeds are not the same in all runs: `poisoning`, `training`, both or none."""
        return [name for name, seeds in self.seeds.items() if len(seeds) > 1]

    @property
    def key(self) -> Key:
        """What published figures of the same would be found under."""
        return Key(self.dataset, self.first.config.network, self.trigger, self.application, self.rate)

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Score by name (see SCORES), without those that no run has."""
        found = {name: self._score(name) for name in SCORES}
        return {name: score for name, score in found.items() if score is not None}

    def _score(self, name: str) -> Score | None:
        counts = [_count(run.result, name) for run in self.runs]
        if name == "cad":
            comparisons = [run.result.baseline for run in self.runs]
            values = [None if one is None else one.cad for one in comparisons]
        else:
            values = [None if count is None else count.percent for count in counts]
        known = [count for count in counts if count is not None]
        images = {"count": sum(one.count for one in known), "of": sum(one.of for one in known)} if known else {}
        least = -100.0 if name == "cad" else 0.0
        return self.scored(values, images, least)

    def scored(self, values: list[float | None], images: dict[str, int], least: float) -> Score | None:
        """Sum up a value for each run, in percent or points; None where no run has one. `images`: `count` and `of` of
        all runs together; `least` as for `intervals.summary`."""
        known = self.by_seed(values)
        summary = intervals.summary(known, **images, least=least)
        return None if summary is None else Score(summary, **images, lacking=self._count_seeds() - len(known))

    def _count_seeds(self) -> int:
        return len(self.by_seed([0.0] * len(self.runs)))

    def by_seed(self, values: list[float | None]) -> list[float]:
        """Return one value a seed: of a poisoning seed, averaged over its training seeds, where several occur."""
        name = "poisoning" if "poisoning" in self.varying else "training"
        groups: dict[int | None, list[float]] = {}
        for run, value in zip(self.runs, values, strict=True):
            result = run.result
            seed = result.dataset.recipe.seed if name == "poisoning" else result.config.seed
            if value is not None:
                groups.setdefault(seed, []).append(value)
        return [sum(group) / len(group) for group in groups.values()]

    @cached_property
    def marks(self) -> dict[str, str]:
        """The runs whose networks have collapsed, or perhaps have, by name (see `collapse.mark`)."""
        marks = {run.result.name: collapse.mark(run.result) for run in self.runs}
        return {name: mark for name, mark in marks.items() if mark}

    @property
    def mark(self) -> str:
        """The worst of them, nothing where there is none."""
        return next((mark for mark in (collapse.SURE, collapse.PERHAPS) if mark in self.marks.values()), "")

    @property
    def paired(self) -> bool:
        """Was every CAD taken against the clean run of the same training seed?"""
        comparisons = [run.result.baseline for run in self.runs]
        return all(one is not None and one.how == "same seed" for one in comparisons)

    def beside(self, source: PublishedSpec) -> Beside:
        """Return a source's figures for the same data set, network, trigger, application and rate."""
        summaries = {name: score.summary for name, score in self.scores.items()}
        return Beside.of(source, source.attacks().get(self.key), [run.result for run in self.runs], summaries)


def group(runs: list[Finished]) -> list[Cell]:
    """Group runs into cells, in the order of a table. A run that is there twice counts once; one on a sealed file
    belongs to none, since nobody here knows its trigger and rate."""
    unique = {run.result.name: run for run in reversed(runs) if not run.result.dataset.is_sealed}
    groups: dict[bytes, list[Finished]] = {}
    for run in sorted(unique.values(), key=_seeds):
        groups.setdefault(identity(run.result), []).append(run)
    return sorted(_disambiguated([Cell(tuple(members)) for members in groups.values()]), key=order)


def order(cell: Cell) -> tuple:
    """Sorts cells by data set, trigger (the paper's first), application, rate, settings."""
    return *place(cell.dataset, cell.trigger, cell.application, cell.rate), cell.settings, cell.variant


def place(dataset: str, trigger: str, application: str, rate: Fraction) -> tuple:
    """Where a cell stands in a table, but for its settings."""
    known = ("clean", *badpatches.TRIGGERS)
    return dataset, known.index(trigger) if trigger in known else len(known), trigger, application, rate


def _seeds(run: Finished) -> tuple:
    seed = run.result.dataset.recipe.seed
    return -1 if seed is None else seed, run.result.config.seed, run.result.name


def identity(result: RunResult) -> bytes:
    """Return everything that decides a run but for the seeds, of a result or what has its `dataset` and `config`."""
    dataset, config = result.dataset, result.config
    return canonical([
        dataset.source_digest,
        dataset.recipe.without_seed,
        dataset.pictures,
        {key: value for key, value in config.raw.items() if key not in ("seed", "dataset_digest")},
    ])  # fmt: skip


def _count(result: RunResult, name: str) -> Share | None:
    scores, baseline = result.scores, result.baseline
    share = {
        "ba": scores.ba,
        "asr": scores.asr,
        "asr_others": scores.asr_others,
        "clean_asr": None if baseline is None else baseline.asr,
        "still_right": scores.robust_accuracy,
    }.get(name)
    return share if share is not None and share.of else None


def _unusual(recipe: Recipe) -> list[str]:
    """In what an attack is not the default, in words; what is said of one of several triggers begins with its name."""
    words = []
    for trigger in recipe.triggers:
        given = [_said(key, value) for key, value in trigger_defaults.unusual(trigger).items()]
        if given:
            words.append(" ".join([*([trigger.name] if len(recipe.triggers) > 1 else []), ", ".join(given)]))
    if recipe.patch not in (None, (8, 8)):
        words.append("patches of " + "×".join(map(str, recipe.patch or ())))
    for key, value in recipe.raw.items():
        if key not in _NAMED and value is not None and _USUAL.get(key) != value:
            words.append(_PHRASES.get(key) or _said(key.replace("_", " "), value))
    return words


def _said(key: str, value) -> str:
    """Return a setting in words: `cover rate 0.003`, of a switch its name alone."""
    if isinstance(value, bool):
        return key if value else f"no {key}"
    return f"{key} {','.join(map(str, value)) if isinstance(value, list) else value}"


def _disambiguated(cells: list[Cell]) -> list[Cell]:
    """Cells that look the same but are of other images or other pictures get a few digits of what differs."""
    alike: dict[tuple, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(order(cell), []).append(cell)
    return [
        Cell(cell.runs, f"data {(cell.first.dataset.source_digest or '').removeprefix('sha256:')[:8]}{_pictures(cell)}")
        if len(group) > 1
        else cell
        for group in alike.values()
        for cell in group
    ]


def _pictures(cell: Cell) -> str:
    return "".join(f", picture {name[:8]}" for name in cell.first.dataset.pictures)
