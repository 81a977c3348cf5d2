"""What methods will take, before anything starts: rows and seconds, by the speed of the run's own training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.defences.chosen import Chosen, Unserved
from benchmark.defences.context import DefenceContext
from benchmark.defences.registry import Size, Work
from benchmark.defences.subject import Asked, job_at, open_subject
from benchmark.runs.run import Run

FORWARDS = 3
"""A forward pass is about a third of a step of training."""


@dataclass(frozen=True)
class Estimate:
    """What a method will take on a run: training rows inspected, clean rows, and seconds; None where the run does not
    say how fast it trained. `lacks`: what the run has not that the method needs, in one line; then it takes nothing."""

    run: str
    method: str
    rows: int
    clean: int
    seconds: float | None
    lacks: str | None = None


def of_run(folder: Path, kind: str, chosen: Sequence[Chosen[Any]], asked: Asked) -> list[Estimate]:
    """Estimate each method on a run for a command, `kind`; nothing is computed. Raises as `subject.job_at` and
    `subject.open_subject`."""
    job = job_at(folder, kind)
    contexts = {wanted: open_subject(job, wanted, lambda line: None).context
                for wanted in {one.asked(asked) for one in chosen}}  # fmt: skip
    speed = speed_of(job)
    return [_of_method(job, one, contexts[one.asked(asked)], speed) for one in chosen]


def _of_method(job: Run, one: Chosen[Any], context: DefenceContext, speed: float | None) -> Estimate:
    size = Size(len(context.rows), len(context.clean), context.classes, job.settings.epochs)
    try:
        one.check(context)
    except Unserved as error:
        return Estimate(job.folder.name, one.spec.name, size.rows, size.clean, 0.0, str(error))
    seconds = None if speed is None else seconds_of(one.spec.work(size, one.settings), speed)
    return Estimate(job.folder.name, one.spec.name, size.rows, size.clean, seconds)


def seconds_of(work: Work, speed: float) -> float:
    """Return seconds at that many trained images a second."""
    return work.forward / (FORWARDS * speed) + work.trained / speed + work.seconds


def speed_of(job: Run) -> float | None:
    """Return how many images a second the run was trained with; None where it does not say."""
    speed = job.finished().raw.get("images_per_second")
    return float(speed) if speed else None
