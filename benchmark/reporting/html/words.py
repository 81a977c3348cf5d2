"""What several sections say of runs."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.core.hashing import canonical
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content
from benchmark.runs.groups import Cell
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


def runs(content: Content, cells: Sequence[Cell]) -> tuple[str, list[str]]:
    """Return the column of a table that leads to the runs of its cells, each by its seeds: title, and HTML a row."""
    return "runs (seeds)", [
        " ".join(page.link(content.run_key(run), _seeds(run.result)) for run in cell.runs) for cell in cells
    ]


def _seeds(result: RunResult) -> str:
    """Return `0` for a run of poisoning and training seed 0, `0/1` where they differ."""
    poisoning, training = result.dataset.recipe.seed, result.config.seed
    return f"{training}" if poisoning in (None, training) else f"{poisoning}/{training}"
