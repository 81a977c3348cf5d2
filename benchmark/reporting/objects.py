"""What the functions of `import benchmark as bm` return: runs, their scores, tables of them, routing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.runs.result import RunConfig, RunResult
from benchmark.training.metrics import Scores as Counts
from benchmark.training.metrics import Share

if TYPE_CHECKING:
    from benchmark.analysis.routing.measure import Routes
    from benchmark.reporting.defence_objects import DetectorResults, RepairResults
    from benchmark.training.callbacks import Epoch


@dataclass(frozen=True)
class Scores:
    """Scores in percent; None where a score does not apply: there is no ASR without triggered rows, and no CAD without
    a clean run of the same network and training.

    Attributes
    ----------
    ba : float
        Benign accuracy: clean test rows predicted as their true class.
    asr : float or None
        Attack success rate: triggered test rows predicted as the attacker wants.
    cad : float or None
        Clean accuracy drop against the clean model, in percentage points.
    robust_accuracy : float or None
        Triggered test rows predicted as their true class.
    asr_others : float or None
        Of a source-specific attack: ASR on the classes that it is not meant for.
    clean_asr : float or None
        The clean model's ASR on the same triggered rows: what the trigger does by itself.
    asr_by_class : tuple of float or None
        ASR for each true class; empty where it is not known.
    """

    ba: float
    asr: float | None = None
    cad: float | None = None
    robust_accuracy: float | None = None
    asr_others: float | None = None
    clean_asr: float | None = None
    asr_by_class: tuple[float | None, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, stored: Counts, cad: float | None = None, clean_asr: Share | None = None) -> Scores:
        """Return the scores of a result, in percent."""
        return cls(
            ba=stored.ba.percent or 0.0,
            asr=_percent(stored.asr),
            cad=cad,
            robust_accuracy=_percent(stored.robust_accuracy),
            asr_others=_percent(stored.asr_others),
            clean_asr=_percent(clean_asr),
            asr_by_class=tuple(map(_percent, stored.asr_by_class)),
        )


def _percent(share: Share | None) -> float | None:
    return None if share is None else share.percent


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    folder : Path
        The run's folder, with its network (`model.keras`), history and predictions.
    result : RunResult
        All that it has recorded; CAD is against the clean runs that are beside it now.
    """

    folder: Path
    result: RunResult = field(repr=False)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.result.name

    @property
    def config(self) -> RunConfig:
        """The whole configuration, whose digest names the folder."""
        return self.result.config

    @property
    def scores(self) -> Scores:
        """The scores after the last epoch, in percent."""
        baseline = self.result.baseline
        if baseline is None:
            return Scores.of(self.result.scores)
        return Scores.of(self.result.scores, baseline.cad, baseline.asr)

    @property
    def history(self) -> list[Epoch]:
        """The epochs, each with `epoch`, `loss`, `ba` and `asr` (percent; None without triggered rows), `seconds`,
        `score_seconds` and `images`. `Failure` where history.csv is missing or damaged."""
        from benchmark.runs import checkpoint

        if not (found := checkpoint.read_history(self.folder)):
            raise Failure(f"{self.folder / 'history.csv'}: no such file")
        return found


class Results:
    """Finished runs, in order. Iterate over them, index them, or ask for a table.

    Attributes
    ----------
    runs : list of Run
    errors : dict of Path to str
        The files that could not be read and ought to be among them, each with a line that says why.
    """

    def __init__(self, runs: Iterable[Run], errors: dict[Path, str]):
        self.runs, self.errors = list(runs), errors

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'run')}>"

    def __str__(self) -> str:
        """Return the runs and their scores as `benchmark show` prints them."""
        from benchmark.reporting import tables
        from benchmark.runs.results import Finished

        return tables.runs([Finished(run.folder, run.result) for run in self.runs], self.errors)

    def table(self) -> Any:
        """Make a table of the runs, one row each: a pandas DataFrame, or without pandas a list of dictionaries
        that prints as a table.

        Columns: `run`, `dataset`, `trigger` (empty for a sealed file), `application`, `rate`, `poisoning_seed`,
        `training_seed`, `settings`, and the scores in percent: `ba`, `asr`, `cad`, `robust_accuracy`, `asr_others`,
        `clean_asr`.
        """
        names = ("ba", "asr", "cad", "robust_accuracy", "asr_others", "clean_asr")
        scored = [(run, run.scores) for run in self.runs]
        return table_of([
            run_columns(run.name, run.result) | {name: getattr(scores, name) for name in names}
            for run, scores in scored
        ])  # fmt: skip

    @property
    def detections(self) -> DetectorResults:
        """What detectors found in these runs (`benchmark detect`, `bm.detect`)."""
        from benchmark.reporting import defence_objects

        return defence_objects.detections(self._entries[0])

    @property
    def repairs(self) -> RepairResults:
        """What repairs left in these runs (`benchmark repair`, `bm.repair`)."""
        from benchmark.reporting import defence_objects

        return defence_objects.repairs(self._entries[1])

    @cached_property
    def _entries(self) -> tuple[list[Any], list[Any]]:
        from benchmark.defences import over_runs
        from benchmark.runs.results import Finished

        return over_runs.entries([Finished(run.folder, run.result) for run in self.runs], self.errors)


def table_of(records: list[dict[str, Any]]) -> Any:
    """Make a table of rows: a pandas DataFrame, or without pandas a list of dictionaries that prints as a table."""
    try:
        import pandas
    except ImportError:
        from benchmark.reporting.rows import Rows

        return Rows(records)
    return pandas.DataFrame(records)


def run_columns(name: str, result: RunResult) -> dict[str, Any]:
    """Return what names a run in a table. `result`: of a run, or of a command on one that has its `dataset` and
    `config`."""
    from benchmark.core import numbers
    from benchmark.training.common import label

    dataset = result.dataset
    recipe = dataset.recipe
    return {
        "run": name,
        "dataset": dataset.called,
        "trigger": recipe.title or ("clean" * dataset.is_clean),
        "application": recipe.application,
        "rate": None if dataset.is_sealed else float(numbers.share(recipe.rate)),
        "poisoning_seed": recipe.seed,
        "training_seed": result.config.seed,
        "settings": label(result.config.settings),
    }


@dataclass(frozen=True)
class Routing:
    """Which patches of a file's test images the experts of a run take.

    Attributes
    ----------
    clean : Routes
        Of all n test images, of the last layer with experts: `gates` (n, P, E) float32, the softmax of the router's
        scores for P patches and E experts (pMoE: over the patches of an image; MoE-ViT: over the experts); `taken` (n,
        P, E) bool; `grid`, rows and columns of the map of patches.
    triggered : Routes or None
        The same of the triggered test images; None of a file without a trigger.
    rows : (m,) int64 or None
        The rows of `clean` that the triggered images are made of.
    """

    clean: Routes
    triggered: Routes | None = None
    rows: Any = None
