"""Defences: a trained run and clean rows in, a folder inside the run's folder with the result out.

A defence's `apply(context)` yields its stages, one after the other; `run` scores and keeps each. Every defence is given
a `DefenceContext`: the trained network, the data, and the clean rows that it may learn from, none of which BA or ASR is
measured on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.core import environment, files
from benchmark.format.dataset import Dataset, Rows
from benchmark.format.manifest import digest
from benchmark.nn import engines
from benchmark.runs import records
from benchmark.runs.context import defender_rows, open_data
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.training import loop
from benchmark.training.settings import Settings, check_numbers


@dataclass(frozen=True)
class DefenceContext:
    """A trained network (a fresh copy for whoever calls `network`), the settings that it was trained with, and the rows
    that the defender has."""

    network: Callable
    settings: Settings
    rows: Rows


@dataclass(frozen=True)
class Stage:
    """One point of a defence: the network as it is now, and what says which point that is (`stage`, a rate …)."""

    model: object
    said: dict


def run(
    folder: Path, file, base, name: str, settings: dict, apply: Callable[[DefenceContext], Iterator[Stage]], watch
) -> dict:
    """Carry out a defence on a finished run, unless its result is there already.

    Parameters
    ----------
    folder : path-like
        The run.
    file, base : path-like or None
        The data set that it was trained on (None: where it was then), and a delta's clean file.
    name : str
        The defence's.
    settings : dict
        All that decides its outcome beside the run: with `data_mode` and `rows`. Its digest names the folder.
    apply : callable
        See `DefenceContext` and `Stage`.
    watch : callable
        Is given each step's record when it has been scored.

    Returns
    -------
    dict
        The result: `steps` is a list of what each said and its `scores`.
    """
    check_numbers(settings)
    job = Run.at(folder)
    trained = job.finished()
    job.needs("pmoe", name)
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
        result = _carry_out(job, trained, contents, rows, apply, watch, target)
        result |= {"result_version": 1, "defence": name, "settings": settings, "rows": len(rows)}
        files.write_json(target / "result.json", result)
    return result


def _carry_out(job: Run, trained: RunResult, contents: Dataset, rows: Rows, apply, watch, target: Path) -> dict:
    from benchmark.nn import models

    context = DefenceContext(lambda: models.load(job.folder), job.settings, rows)
    steps = [{"stage": "before", "scores": trained["scores"]}]
    watch(steps[0])
    for step in apply(context):
        engine = engines.engine(step.model, job.settings.learning_rate)
        file = "-".join(map(str, (step.said["stage"], *filter(None, [step.said.get("rate")])))) + ".keras"
        models.save(step.model, target / file)
        scores = loop.scores(contents, loop.score(engine, contents))
        steps.append(step.said | {"model": file, "scores": scores})
        watch(steps[-1])
    return {
        "run": trained["name"],
        "dataset": trained["dataset"],
        "config": job.config.raw,
        "preset": job.settings.preset,
        "steps": steps,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
