"""What `import benchmark as bm` offers: train, load, score, compare. Nothing here prints; errors are exceptions, and
warnings are Python's own (`warnings`).

Every function loads what it needs when it is called: Keras and a backend only to train, to score and for routing. A
process keeps the backend that it used first, as Keras does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core import interface
from benchmark.core.errors import Failure, Usage
from benchmark.reporting.defence_api import detect, methods, repair
from benchmark.reporting.defence_objects import DetectorResult, DetectorResults, RepairResult, RepairResults
from benchmark.reporting.objects import Results, Routing, Run, Scores

if TYPE_CHECKING:
    from benchmark.runs.results import Finished

__all__ = [
    "DetectorResult",
    "DetectorResults",
    "Failure",
    "RepairResult",
    "RepairResults",
    "Results",
    "Routing",
    "Run",
    "Scores",
    "Usage",
    "detect",
    "load",
    "methods",
    "repair",
    "results",
    "routing",
    "score",
    "score_predictions",
    "train",
]

PathLike = str | os.PathLike[str]


logging.getLogger("benchmark").addHandler(interface.AsWarnings())


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
        For images: one of the network's, as `benchmark train --help` lists them; without it its first, of pMoE `paper`.
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
    flags = interface.flag(verify, "verify"), interface.flag(keep_epochs, "keep_epochs")
    spec = RunSpec(file, chosen, manifest, Path(runs), _path(base), _path(named), *flags)
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
    checked = interface.flag(verify, "verify")
    return Scores.of(experiment.score(_folder(run), Path(path), checked, _path(base)).scores)


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
    checked = interface.flag(verify, "verify")
    run, _ = elsewhere.score(
        Path(path), given, name, interface.plain(seed), Path(runs), _path(base), _path(named), checked
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
