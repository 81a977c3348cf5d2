"""Defences: a trained run and clean rows in, a folder inside the run's folder with the result out.

A defence's `apply(context)` yields its stages, one after the other; `run` scores and keeps each. Every defence is given
a `DefenceContext`: the trained network, the data, and the clean rows that it may learn from, none of which BA or ASR is
measured on.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core import environment, files
from benchmark.core.hashing import digest
from benchmark.format.dataset import Dataset, Rows
from benchmark.nn import engines
from benchmark.nn.networks import NETWORKS
from benchmark.runs import records
from benchmark.runs.context import defender_rows, open_data
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.training import loop
from benchmark.training.settings import Common, check_numbers

FOR_IMAGES = tuple(name for name, spec in NETWORKS.items() if spec.of_images)


@dataclass(frozen=True)
class DefenceContext:
    """A trained network (a fresh copy for whoever calls `network`), the settings that it was trained with, and the rows
    that the defender has."""

    network: Callable
    settings: Common
    rows: Rows


@dataclass(frozen=True)
class Stage:
    """One point of a defence: the network as it is now, and the record of which point that is (`stage`, a rate …)."""

    model: object
    record: dict[str, Any]


def run(
    folder: Path,
    file: Path | None,
    base: Path | None,
    name: str,
    settings: dict[str, Any],
    apply: Callable[[DefenceContext], Iterator[Stage]],
    on_stage: Callable[[dict[str, Any]], object],
    networks: Collection[str] = FOR_IMAGES,
) -> dict[str, Any]:
    """Run a defence on a finished run, unless its result exists already.

    Parameters
    ----------
    folder : path-like
        The run.
    file, base : path-like or None
        The data set that it was trained on (None: where it was then), and a delta's clean file.
    name : str
        The defence's.
    settings : dict
        All that decides its outcome besides the run: with `data_mode` and `rows`. Its digest names the folder.
    apply : callable
        See `DefenceContext` and `Stage`.
    on_stage : callable
        Takes each stage's record when it has been scored.
    networks : collection of str
        The networks that the defence is for, by their names in the registry.

    Returns
    -------
    dict
        The result: `steps` is a list of each stage's record and its `scores`.
    """
    check_numbers(settings)
    job = Run.at(folder)
    trained = job.finished()
    job.needs(networks, name)
    config = {"config_version": 1, "defence": name, "settings": settings, "run": job.config.raw}
    target = job.folder / f"{name}-{digest(config).removeprefix('sha256:')[:8]}"
    sound = records.is_pruning if name == "prune" else None
    if (existing := records.kept(target / "result.json", sound)) is not None:
        return existing
    contents = open_data(job, trained, file, base)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    rows = defender_rows(job, contents, settings["data_mode"], settings["rows"])
    files.make_folder(target)
    with files.locked(target):
        files.write_json(target / "config.json", config)
        result = _apply(job, trained, contents, rows, apply, on_stage, target)
        result |= {"result_version": 1, "defence": name, "settings": settings, "rows": len(rows)}
        files.write_json(target / "result.json", result)
    return result


def _apply(job: Run, trained: RunResult, contents: Dataset, rows: Rows, apply, on_stage, target: Path) -> dict:
    from benchmark.nn import model_files

    context = DefenceContext(lambda: model_files.load(job.folder), job.settings, rows)
    steps = [{"stage": "before", "scores": trained.scores.raw}]
    on_stage(steps[0])
    for stage in apply(context):
        engine = engines.engine(stage.model, job.settings.learning_rate)
        file = "-".join(map(str, (stage.record["stage"], *filter(None, [stage.record.get("rate")])))) + ".keras"
        model_files.save(stage.model, target / file)
        scores = loop.scores(contents, loop.score(engine, contents))
        steps.append(stage.record | {"model": file, "scores": scores})
        on_stage(steps[-1])
    return {
        "run": trained.name,
        "dataset": trained.dataset.raw,
        "config": job.config.raw,
        "preset": job.settings.preset,
        "steps": steps,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
