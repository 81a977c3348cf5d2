"""What a method measures beside its result once that is settled, with the truth at hand: how single parts of it rank,
controls, baselines. It is for the record alone; a score or a network cannot come of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.defences.chosen import Chosen
from benchmark.defences.records import Step
from benchmark.defences.subject import Subject
from benchmark.training.metrics import Json

SECTION = "study"
"""Where a result has it."""


@dataclass(frozen=True)
class Study:
    """What a method's `study` is given.

    Attributes
    ----------
    subject : Subject
        The run, with the truth, the rows to score on and the clean twin.
    settings : dict
        The method's.
    state : object
        What the method has left for it, see `context.Detection`.
    steps : tuple of Step
        Of a repair: the network before, and each stage, scored.
    target : path-like
        The folder of the result.
    log : callable
        Takes a line of progress.
    """

    subject: Subject
    settings: dict[str, Any]
    state: Any
    steps: tuple[Step, ...]
    target: Path
    log: Callable[[str], None]


@dataclass(frozen=True)
class Studied:
    """What came of it: JSON, and pictures as in `context.Detection`."""

    found: Json
    pictures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


def of_method(
    one: Chosen[Any], subject: Subject, state: Any, steps: tuple[Step, ...], target: Path, log: Callable[[str], None]
) -> Studied | None:
    """Let a method study its result; None where it does not, and on a run that is only compared with another."""
    if one.spec.study is None or subject.compared:
        return None
    found: Studied = one.spec.study(Study(subject, one.settings, state, steps, target, log))
    return found
