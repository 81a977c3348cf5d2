"""What methods will take, before anything starts: rows and seconds, by the speed of the run's own training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.defences.chosen import Chosen
from benchmark.defences.registry import Size, Work
from benchmark.defences.subject import Asked, open_subject
from benchmark.runs.run import Run

FORWARDS = 3
"""A forward pass is about a third of a step of training."""


@dataclass(frozen=True)
class Estimate:
    """What a method will take on a run: training rows inspected, clean rows, and seconds; None where the run does not
    say how fast it trained."""

    run: str
    method: str
    rows: int
    clean: int
    seconds: float | None


def of_run(folder: Path, chosen: Sequence[Chosen[Any]], asked: Asked) -> list[Estimate]:
    """Estimate each method on a run; nothing is computed. Raises as `subject.open_subject`."""
    job = Run.at(folder)
    sizes = {wanted: _size(job, wanted) for wanted in {one.asked(asked) for one in chosen}}
    speed = speed_of(job)
    found = []
    for one in chosen:
        size = sizes[one.asked(asked)]
        work = one.spec.work(size, one.settings)
        seconds = None if speed is None else seconds_of(work, speed)
        found.append(Estimate(job.folder.name, one.spec.name, size.rows, size.clean, seconds))
    return found


def _size(job: Run, asked: Asked) -> Size:
    context = open_subject(job, asked, lambda line: None).context
    return Size(len(context.rows), len(context.clean), context.classes, job.settings.epochs)


def seconds_of(work: Work, speed: float) -> float:
    """Return seconds at that many trained images a second."""
    return work.forward / (FORWARDS * speed) + work.trained / speed + work.seconds


def speed_of(job: Run) -> float | None:
    """Return how many images a second the run was trained with; None where it does not say."""
    speed = job.finished().raw.get("images_per_second")
    return float(speed) if speed else None
