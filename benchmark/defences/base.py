"""Defences: a trained run and clean rows in, a folder inside the run's folder with the result out.

A defence's `apply(context)` yields its stages, one after the other; `run` scores and keeps each. Every defence is given
a `DefenceContext`: the trained network, the data, and the clean rows that it may learn from, none of which BA or ASR is
measured on.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core import environment, files
from benchmark.core.errors import Failure
from benchmark.core.hashing import digest
from benchmark.format.dataset import Dataset, Rows
from benchmark.nn import engines, own
from benchmark.nn.networks import NETWORKS
from benchmark.runs import records
from benchmark.runs.context import defender_rows, making, open_data
from benchmark.runs.result import RunResult
from benchmark.runs.run import Run
from benchmark.training import loop
from benchmark.training.common import Common, check_numbers
from benchmark.training.metrics import Json, Scores

FOR_IMAGES = (*(name for name, spec in NETWORKS.items() if spec.of_images), own.NAME)


@dataclass(frozen=True)
class DefenceContext:
    """A trained network (a fresh copy for whoever calls `network`), the settings that it was trained with, and the rows
    that the defender has."""

    network: Callable
    settings: Common
    rows: Rows


@dataclass(frozen=True)
class Stage:
    """One point of a defence: the network as it is now, what was done to it, and to which share of its channels."""

    model: object
    name: str
    rate: str
    channels: int


@dataclass(frozen=True)
class Step:
    """One point of a defence, scored: `before`, or a `Stage`, whose network is in the file `model`; of `before`, which
    is the run's own network, the others say nothing."""

    stage: str
    scores: Scores
    rate: str = ""
    channels: int | None = None
    model: str | None = None

    @classmethod
    def of(cls, raw: Json) -> "Step":
        """Return the step that JSON holds."""
        return cls(raw["stage"], Scores.of(raw["scores"]), raw.get("rate", ""), raw.get("channels"), raw.get("model"))

    def json(self) -> Json:
        """Return it as result.json has it."""
        if self.model is None:
            return {"stage": self.stage, "scores": self.scores.json()}
        point = {"stage": self.stage, "rate": self.rate, "channels": self.channels}
        return point | {"model": self.model, "scores": self.scores.json()}


@dataclass(frozen=True)
class DefenceResult:
    """What a defence has left of a run's backdoor; `rows`: how many the defender had, `mode` which (see
    `context.defender_rows`), and `epochs` of fine-tuning; `raw` is the JSON."""

    rows: int
    mode: str
    epochs: int
    steps: tuple[Step, ...]
    raw: Json = field(repr=False)

    @classmethod
    def of(cls, raw: Json) -> "DefenceResult":
        """Return the result that JSON holds. `Failure` where it holds none."""
        if not records.is_pruning(raw):
            raise Failure("not the result of a fine-pruning of this program")
        settings = raw["settings"]
        steps = tuple(map(Step.of, raw["steps"]))
        return cls(raw["rows"], settings["data_mode"], settings["finetune_epochs"], steps, raw)


def run(
    folder: Path,
    file: Path | None,
    base: Path | None,
    name: str,
    settings: dict[str, Any],
    apply: Callable[[DefenceContext], Iterator[Stage]],
    on_stage: Callable[[Step], object],
    networks: Collection[str] = FOR_IMAGES,
) -> DefenceResult:
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
        Takes each step when it has been scored.
    networks : collection of str
        The networks that the defence is for, by their names in the registry.
    """
    check_numbers(settings)
    job = Run.at(folder)
    trained = job.finished()
    job.needs(networks, name)
    config = {"config_version": 1, "defence": name, "settings": settings, "run": job.config.raw}
    target = job.folder / f"{name}-{digest(config).removeprefix('sha256:')[:8]}"
    if (existing := records.kept(target / "result.json", DefenceResult.of)) is not None:
        return existing
    contents = open_data(job, trained, file, base)
    engines.activate(job.settings.backend, job.settings.precision, job.settings.threads)
    rows = defender_rows(job, contents, settings["data_mode"], settings["rows"])
    with making(target, config):
        raw = _apply(job, trained, contents, rows, apply, on_stage, target)
        raw |= {"result_version": 1, "defence": name, "settings": settings, "rows": len(rows)}
        files.write_json(target / "result.json", raw)
    return DefenceResult.of(raw)


def _apply(job: Run, trained: RunResult, contents: Dataset, rows: Rows, apply, on_stage, target: Path) -> Json:
    from benchmark.nn import model_files

    context = DefenceContext(lambda: model_files.load(job.folder), job.settings, rows)
    steps = [Step("before", trained.scores)]
    on_stage(steps[0])
    for stage in apply(context):
        engine = engines.engine(stage.model, job.settings.learning_rate)
        file = f"{stage.name}-{stage.rate}.keras"
        model_files.save(stage.model, target / file)
        scores = loop.scores(contents, loop.score(engine, contents))
        steps.append(Step(stage.name, scores, stage.rate, stage.channels, file))
        on_stage(steps[-1])
    return {
        "run": trained.name,
        "dataset": trained.dataset.raw,
        "config": job.config.raw,
        "preset": job.settings.preset,
        "steps": [step.json() for step in steps],
        "device": engines.device(),
        "environment": environment.record(),
        "finished": environment.now(),
    }
