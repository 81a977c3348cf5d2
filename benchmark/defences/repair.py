"""`benchmark repair`: a trained network changed so that the backdoor goes, scored stage by stage."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import driver, records, study, trigger_pictures
from benchmark.defences.chosen import Chosen
from benchmark.defences.context import Stage
from benchmark.defences.driver import Driver, Log
from benchmark.defences.records import REPAIR, Repaired, Step
from benchmark.defences.registry import REPAIRS, RepairSpec
from benchmark.defences.subject import Subject
from benchmark.nn import engines
from benchmark.training import loop
from benchmark.training.metrics import Json, Scores


def repairer(log: Log) -> Driver[RepairSpec, Repaired]:
    """Return what runs repairs on finished runs."""
    return Driver(REPAIR, records.repaired, _repair, log)


def controls() -> list[str]:
    """Return the methods beside which all others are shown: plain fine-tuning."""
    return [spec.name for spec in REPAIRS.values() if spec.control]


def _repair(subject: Subject, one: Chosen[RepairSpec], target: Path, log: Log) -> Json:
    """Run a repair and score each of its stages; of `before` a sealed file's scores are those of its other half."""
    sealed = subject.clean_are == "test"
    before = _scores(subject, subject.context.network()) if sealed else subject.trained.scores
    steps, pictures, state = [Step("before", "", before)], [], None
    _say(log, steps[0])
    watched = _Watched(subject)
    subject.context.watch = watched
    start = time.perf_counter()
    for stage in one.spec.repair(subject.context, **one.settings):
        _check(one.spec.name, stage, steps)
        seconds = round(time.perf_counter() - start - watched.seconds, 3)
        steps.append(_step(subject, stage, seconds, target, watched.taken()))
        pictures += [stage.pictures, trigger_pictures.of_stage(stage.triggers, subject.scored)]
        state = stage.state
        _say(log, steps[-1])
        start = time.perf_counter()
    if len(steps) == 1:
        raise Failure(f"{one.spec.name}: made no network")
    studied = study.of_method(one, subject, state, tuple(steps), target, log)
    pictures.append(studied.pictures if studied else {})
    return {
        "steps": [step.json() for step in steps],
        **driver.kept_of(studied),
        **driver.drawn(pictures, target, log),
    }


def _check(method: str, stage: Stage, before: list[Step]) -> None:
    """`Failure` where a stage cannot be kept: its name, what it found, or a network that is not finite."""
    from keras import ops

    name = f"{stage.name}-{stage.label}" if stage.label else stage.name
    driver.check_small(method, stage.findings, [name, *stage.pictures, *stage.triggers])
    if (stage.name, stage.label) in [(step.stage, step.label) for step in before] or stage.name == before[0].stage:
        raise Failure(f"{method}: there is a stage {name!r} already: each needs a name or label of its own")
    for weight in stage.model.weights:
        if not np.isfinite(ops.convert_to_numpy(weight)).all():
            raise Failure(f"{method}: its network diverged: {weight.path} is not finite: smaller steps may help")


class _Watched:
    """Scores networks in the midst of a repair, and what that took in seconds. See `DefenceContext.watch`."""

    def __init__(self, subject: Subject):
        self._subject, self._found, self._scorers = subject, list[Scores](), dict[int, Any]()
        self.seconds = 0.0

    def __call__(self, model: Any) -> None:
        start = time.perf_counter()
        if id(model) not in self._scorers:
            self._scorers = {id(model): _scorer(self._subject, model)}
        self._found.append(self._scorers[id(model)]())
        self.seconds += time.perf_counter() - start

    def taken(self) -> tuple[Scores, ...]:
        """Return what was scored since the last time, and forget it."""
        found, self._found, self._scorers, self.seconds = tuple(self._found), [], {}, 0.0
        return found


def _step(subject: Subject, stage: Stage, seconds: float, target: Path, history: tuple[Scores, ...]) -> Step:
    from benchmark.nn import model_files

    file = f"{stage.name}-{stage.label}.keras" if stage.label else f"{stage.name}.keras"
    model_files.save(stage.model, target / file)
    return Step(stage.name, stage.label, _scores(subject, stage.model), seconds, file, stage.findings, history)


def _scores(subject: Subject, model: Any) -> Scores:
    return _scorer(subject, model)()


def _scorer(subject: Subject, model: Any) -> Callable[[], Scores]:
    """Return what scores a network as it is then."""
    engine = engines.engine(model, subject.run.settings.learning_rate)
    return lambda: loop.scores(subject.scored, loop.score(engine, subject.scored))


def _say(log: Log, step: Step) -> None:
    ba, asr = step.scores.ba, step.scores.asr
    rest = "" if asr is None else f"  ASR {asr.percent:5.1f}"
    log(f"  {step.stage:12} {step.label:6} BA {ba.percent:5.1f}{rest}")
