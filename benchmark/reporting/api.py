"""What `import benchmark as bm` offers: train, load, score, compare. Nothing here prints; errors are exceptions, and
warnings are Python's own (`warnings`).

Every function loads what it needs when it is called: Keras and a backend only to train, to score and for routing. A
process keeps the backend that it used first, as Keras does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core import interface
from benchmark.core.errors import Failure, Usage
from benchmark.runs.result import RunConfig, RunResult
from benchmark.training.metrics import Scores as Counts
from benchmark.training.metrics import Share

if TYPE_CHECKING:
    from benchmark.analysis.routing.measure import Routes
    from benchmark.runs.results import Finished
    from benchmark.training.callbacks import Epoch

__all__ = [
    "Failure",
    "Results",
    "Routing",
    "Run",
    "Scores",
    "Usage",
    "load",
    "results",
    "routing",
    "score",
    "score_predictions",
    "train",
]

PathLike = str | os.PathLike[str]


logging.getLogger("benchmark").addHandler(interface.AsWarnings())


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
        return f"<{len(self)} runs>"

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
        records = [_row(run) for run in self.runs]
        try:
            import pandas
        except ImportError:
            from benchmark.reporting.rows import Rows

            return Rows(records)
        return pandas.DataFrame(records)


def _row(run: Run) -> dict[str, Any]:
    from benchmark.core import numbers
    from benchmark.training.settings import label

    dataset, scores = run.result.dataset, run.scores
    recipe = dataset.recipe
    return {
        "run": run.name,
        "dataset": dataset.called,
        "trigger": recipe.title or ("clean" * dataset.is_clean),
        "application": recipe.application,
        "rate": None if dataset.is_sealed else float(numbers.share(recipe.rate)),
        "poisoning_seed": recipe.seed,
        "training_seed": run.config.seed,
        "settings": label(run.config.settings),
        **{name: getattr(scores, name) for name in ("ba", "asr", "cad", "robust_accuracy", "asr_others", "clean_asr")},
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


@interface.public
def train(
    path: PathLike,
    *,
    preset: str | None = None,
    seed: int = 0,
    runs: PathLike = "runs",
    base: PathLike | None = None,
    baseline: PathLike | Run | None = None,
    verify: bool = True,
    keep_epochs: bool = False,
    **settings: Any,
) -> Run:
    """Train the network on a data set, and score it; a run that is finished already is only read.

    Stopped at any moment, the same call goes on from the last whole epoch.

    Parameters
    ----------
    path : path-like
        A data set of poisonkit, `.h5` or `.delta.h5`.
    preset : str, optional
        For images: `paper` (the default), `small` or `tiny`.
    seed : int
        Seed of the initial weights and of the order of rows.
    runs : path-like
        The folder with the run folders.
    base : path-like, optional
        The clean file that a delta is applied to; without it, the one next to it.
    baseline : path-like or Run, optional
        The clean run that CAD is measured against; without it, the clean runs in `runs` that match.
    verify : bool
        Recompute the digests of the arrays.
    keep_epochs : bool
        Save the network after each epoch.
    **settings
        Any option of `benchmark train` that belongs to the configuration, with underscores: `network`, `width`,
        `experts`, `top_k`, `encoder`, `rows`, `epochs`, `batch_size`, `learning_rate`, `hold_out`, `backend`,
        `precision`, `threads`, `normalisation`, and those of training recipes: `optimizer`, `momentum`, `flip`, …

    Raises
    ------
    Usage
        If a setting is unknown, or out of its range.
    Failure
        If the file cannot be read, a package is missing, or the training diverges.
    """
    from benchmark.format import dataset
    from benchmark.runs import experiment
    from benchmark.runs.spec import RunSpec
    from benchmark.training.choose import chosen_settings

    file = Path(path)
    manifest = dataset.peek(file)
    given = {name: interface.plain(value) for name, value in settings.items()}
    chosen = chosen_settings(
        manifest.modality, source=manifest.source.name, preset=preset, seed=interface.plain(seed), **given
    )
    named = baseline.folder if isinstance(baseline, Run) else baseline
    spec = RunSpec(file, chosen, manifest, Path(runs), _path(base), _path(named), verify, keep_epochs)
    experiment.run(spec, log=logging.getLogger("benchmark").info)
    return load(spec.run.folder)


@interface.public
def load(folder: PathLike | Run) -> Run:
    """Read a finished run from its folder.

    Raises
    ------
    Usage
        If the folder does not exist.
    Failure
        If it is not a finished run's, or damaged.
    """
    from benchmark.runs import results as finished

    path = _folder(folder)
    if path.is_dir() and not any((path / name).exists() for name in ("config.json", "result.json")):
        raise Failure(f"{path}: not a run (it has no config.json)")
    return _run(finished.gather([path])[0])


@interface.public
def results(*folders: PathLike) -> Results:
    """Collect finished runs: a folder of runs stands for all that are finished in it. Without one: `runs`.

    Raises
    ------
    Usage
        If a folder does not exist.
    Failure
        If nothing in it is finished, or nothing that is can be read.
    """
    from benchmark.runs import results as finished

    found = finished.gather(map(Path, folders or ("runs",)))
    once = {one.folder.resolve(): one for one in reversed(found)}  # a run that two of the folders name is one
    return Results(map(_run, reversed(once.values())), found.wrong)


@interface.public
def score(
    run: Run | PathLike,
    path: PathLike,
    *,
    network: str | None = None,
    base: PathLike | None = None,
    verify: bool = True,
) -> Scores:
    """Score a finished run's network on another data set's test rows, and on its triggered ones.

    Parameters
    ----------
    run : Run or path-like
        The run, or its folder.
    path : path-like
        The data set, with the same classes and image shape as the one that the run was trained on.
    network : str, optional
        Of a run with a network of its own: its code, `FILE.py:FUNCTION`, which is executed.
    base : path-like, optional
        The clean file that a delta is applied to.
    verify : bool
        Recompute the digests of the arrays.

    Raises
    ------
    Failure
        If the run is not finished, or the file cannot be read or does not fit.
    """
    from benchmark.nn import own
    from benchmark.runs import experiment

    if network is not None:
        own.named(network)
    return Scores.of(experiment.score(_folder(run), Path(path), verify, _path(base)).scores)


@interface.public
def score_predictions(
    path: PathLike,
    predictions: PathLike | Mapping[str, Any],
    *,
    name: str,
    seed: int = 0,
    runs: PathLike = "runs",
    base: PathLike | None = None,
    baseline: PathLike | Run | None = None,
    verify: bool = True,
) -> Run:
    """Score what a network that was trained elsewhere predicts, and keep it as a run, marked *predictions only*.

    Parameters
    ----------
    path : path-like
        The data set that it was trained on.
    predictions : path-like or mapping
        A `.npz` or CSV, or arrays: `test`, and what else the data set has of `triggered` and `others`; each (n,) of
        whole numbers, the predicted classes, or (n, classes) of fractions, probabilities or logits.
    name : str
        What tables call the network. Runs of the same name are compared and averaged.
    seed : int
        Its training seed.
    runs : path-like
        The folder with the run folders.
    base : path-like, optional
        The clean file that a delta is applied to.
    baseline : path-like or Run, optional
        The clean run that CAD is measured against; without it, the one of the same name in `runs`.
    verify : bool
        Recompute the digests of the arrays.

    Raises
    ------
    Usage
        If the name is not a printable one.
    Failure
        If the file or the predictions cannot be read, or do not fit one another.
    """
    from benchmark.runs import elsewhere

    named = baseline.folder if isinstance(baseline, Run) else baseline
    given = predictions if isinstance(predictions, Mapping) else Path(predictions)
    run, _ = elsewhere.score(
        Path(path), given, name, interface.plain(seed), Path(runs), _path(base), _path(named), verify
    )
    return load(run.folder)


@interface.public
def routing(run: Run | PathLike, path: PathLike, *, base: PathLike | None = None) -> Routing:
    """Compute which patches of a file's test images the experts of a run take.

    Parameters
    ----------
    run : Run or path-like
        A finished run on images, or its folder.
    path : path-like
        The data set.
    base : path-like, optional
        The clean file that a delta is applied to.

    Raises
    ------
    Failure
        If the run is not finished or has no experts, or the file cannot be read or does not fit.
    """
    from benchmark.analysis.routing import measure
    from benchmark.format import dataset
    from benchmark.nn import engines
    from benchmark.runs import experiment
    from benchmark.runs.run import Run as RunFolder

    job = RunFolder.at(_folder(run))
    job.finished()
    layer = job.routed_layers()[-1]
    engines.installed(job.settings.backend)
    data = dataset.load(Path(path), base=_path(base))
    network = experiment.network(job, data)
    clean = measure.route(network, data.test.inputs, layer)
    if data.triggered is None:
        return Routing(clean)
    return Routing(clean, measure.route(network, data.triggered.inputs, layer), data.triggered_rows)


def _run(found: Finished) -> Run:
    return Run(found.folder, found.result)


def _folder(run: Run | PathLike) -> Path:
    return run.folder if isinstance(run, Run) else Path(run)


def _path(value: PathLike | None) -> Path | None:
    return None if value is None else Path(value)
