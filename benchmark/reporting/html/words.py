"""What several sections say of runs."""

from collections.abc import Iterable
from typing import Any

from benchmark.core.hashing import canonical
from benchmark.runs.result import RunResult
from benchmark.runs.results import Finished


def inputs(found: Iterable[Finished]) -> list[str]:
    """Return what the runs' data sets hold: images, texts, or both."""
    return sorted({inputs_of(run.result) for run in found})


def inputs_of(result: RunResult) -> str:
    """Return what a run's data set holds, `images` or `texts`."""
    return result.config.settings.inputs


def networks(found: Iterable[Finished]) -> str:
    """Return the titles of the networks that were trained."""
    return " and ".join(sorted({run.result.config.settings.plural for run in found}, key=str.lower))


def seconds(result: RunResult) -> float:
    """Return for how long a run was trained."""
    return result.seconds or 0.0


def spelled(value: Any) -> str:
    """Return a JSON value in its one spelling."""
    return canonical(value).decode()
