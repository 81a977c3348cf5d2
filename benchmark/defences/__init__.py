"""Defences: a trained run and clean rows in, a folder inside the run's with the result out. One defence a file.

A defence's `apply(case)` yields its steps, one after the other; `run` scores and keeps each. `Case` is what all of them
are given: the trained network, the data, and the clean rows that may be learned from, none of which BA or ASR is
scored on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark import data, engines, environment, files, hints, recorded, training
from benchmark.data import Dataset, Rows
from benchmark.errors import Failure
from benchmark.manifest import digest
from benchmark.runs import Run
from benchmark.settings import Settings, check_numbers

TRAINING_SET = "notebook"
HELD_OUT = "held-out"
DATA_MODES = (HELD_OUT, TRAINING_SET)


@dataclass(frozen=True)
class Case:
    """A trained network (a fresh copy for whoever calls `network`), the settings that it was trained with, and the rows
    that the defender has."""

    network: Callable
    settings: Settings
    rows: Rows


@dataclass(frozen=True)
class Step:
    """One point of a defence: the network as it is now, and what says which point that is (`stage`, a rate …)."""

    model: object
    said: dict


def defender_rows(run: Run, contents: Dataset, mode: str, limit: int | None) -> Rows:
    """The rows that a defender may use.

    `held-out`: the clean rows that the run was not trained on. `notebook`: the training set itself, its triggered
    images under their true labels, as the paper's published notebook has it. `limit` takes the first so many.
    """
    settings = run.settings
    if mode == TRAINING_SET:
        rows = Rows(contents.train.inputs, contents.train.labels.copy())
        if contents.truth is not None:
            rows.labels[contents.truth_rows] = contents.truth.labels
    elif settings.hold_out:
        rows = contents.held_out(settings.hold_out)
    else:
        raise Failure(
            f"{run.folder}: was trained on every row, a defence needs clean ones that it never saw: "
            f"{hints.hold_out(run.folder, contents, settings)}"
        )
    return rows if limit is None else Rows(rows.inputs[:limit], rows.labels[:limit])


def run(folder: Path, file, base, name: str, settings: dict, apply: Callable[[Case], Iterator[Step]], watch) -> dict:
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
        See `Case` and `Step`.
    watch : callable
        Is given each step's record when it has been scored.

    Returns
    -------
    dict
        The result: `steps` is a list of what each said and its `scores`.
    """
    check_numbers(settings)
    job = Run.at(folder)
    trained = job.result
    if trained is None:
        raise Failure(f"{job.folder}: not finished; what goes on with it: {hints.go_on(job.folder, job.config)}")
    job.needs("pmoe", name)
    config = {"config_version": 1, "defence": name, "settings": settings, "run": job.config}
    target = job.folder / f"{name}-{digest(config).removeprefix('sha256:')[:8]}"
    sound = recorded.is_pruning if name == "prune" else None
    if (there := recorded.kept(target / "result.json", sound)) is not None:
        return there
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


def open_data(job: Run, trained: dict, file, base) -> Dataset:
    """The data set that a run was trained on; `Failure` for another."""
    file = file or trained["dataset"].get("path")
    if file is None or not Path(file).is_file():
        where = f"no longer lies at {file}" if file else "is not known"
        raise Failure(f"{job.folder}: its data set {trained['dataset']['name']} {where}: name it with --data")
    manifest = data.peek(file)
    if manifest["dataset_digest"] != trained["dataset"]["digest"]:
        raise Failure(f"{file}: is not the data set that {job.folder.name} was trained on")
    return data.load(file, manifest=manifest, base=base or trained["dataset"].get("base"))


def _carry_out(job: Run, trained: dict, contents: Dataset, rows: Rows, apply, watch, target: Path) -> dict:
    from benchmark import models

    case = Case(lambda: models.load(job.folder), job.settings, rows)
    steps = [{"stage": "before", "scores": trained["scores"]}]
    watch(steps[0])
    for step in apply(case):
        engine = engines.engine(step.model, job.settings.learning_rate)
        file = "-".join(map(str, (step.said["stage"], *filter(None, [step.said.get("rate")])))) + ".keras"
        models.save(step.model, target / file)
        scores = training.scores(contents, training.score(engine, contents))
        steps.append(step.said | {"model": file, "scores": scores})
        watch(steps[-1])
    return {
        "run": trained["name"],
        "dataset": trained["dataset"],
        "config": job.config,
        "preset": job.settings.preset,
        "steps": steps,
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
