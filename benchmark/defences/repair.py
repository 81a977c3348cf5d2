"""`benchmark repair`: a trained network changed so that the backdoor goes, scored stage by stage."""

import time
from pathlib import Path

from benchmark.core.errors import Failure
from benchmark.defences import driver, records, trigger_pictures
from benchmark.defences.chosen import Chosen
from benchmark.defences.context import Stage
from benchmark.defences.driver import Driver, Log
from benchmark.defences.records import REPAIR, Repaired, Step
from benchmark.defences.registry import REPAIRS, RepairSpec
from benchmark.defences.subject import Subject
from benchmark.nn import engines
from benchmark.training import loop
from benchmark.training.metrics import Json


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
    steps, pictures = [Step("before", "", before)], []
    _say(log, subject, steps[0])
    start = time.perf_counter()
    for stage in one.spec.repair(subject.context, **one.settings):
        seconds = round(time.perf_counter() - start, 3)
        steps.append(_step(subject, stage, seconds, target))
        pictures += driver.draw(stage.pictures, target)
        pictures += trigger_pictures.draw(stage.triggers, subject.scored, target)
        _say(log, subject, steps[-1])
        start = time.perf_counter()
    if len(steps) == 1:
        raise Failure(f"{one.spec.name}: made no network")
    return {"steps": [step.json() for step in steps], "pictures": pictures}


def _step(subject: Subject, stage: Stage, seconds: float, target: Path) -> Step:
    from benchmark.nn import model_files

    file = f"{stage.name}-{stage.label}.keras" if stage.label else f"{stage.name}.keras"
    model_files.save(stage.model, target / file)
    return Step(stage.name, stage.label, _scores(subject, stage.model), seconds, file, stage.findings)


def _scores(subject: Subject, model):
    engine = engines.engine(model, subject.run.settings.learning_rate)
    return loop.scores(subject.scored, loop.score(engine, subject.scored))


def _say(log: Log, subject: Subject, step: Step) -> None:
    ba, asr = step.scores.ba, step.scores.asr
    rest = "" if asr is None else f"  ASR {asr.percent:5.1f}"
    log(f"{subject.run.folder.name}: {step.stage:12} {step.label:6} BA {ba.percent:5.1f}{rest}")
