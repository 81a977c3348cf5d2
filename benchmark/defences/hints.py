"""The commands that do again what was done with finished runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.core.hints import Open, advice, place, spelled
from benchmark.defences.catalogue import DETECTORS, REPAIRS
from benchmark.defences.over_runs import Entry
from benchmark.defences.records import DETECT, REPAIR, Detected, MethodResult
from benchmark.nn.own import EXPECTED

LIMITS = {"rows": "--rows", "clean_rows": "--clean-rows"}
METHODS = 12
"""Methods of one command at most; and as many runs."""


@advice
def redo(entries: Iterable[Entry[Any]]) -> list[str]:
    """Give the commands that make these results again, on runs in `runs`: detectors first, since a repair may go by
    one. Runs with which the same was done share a command; what is done on clean twins needs none of its own."""
    by_run: dict[tuple[str, str, tuple[str, ...]], list[tuple[str, ...]]] = {}
    for entry in entries:
        result = entry.result
        kind = DETECT if isinstance(result, Detected) else REPAIR
        by_run.setdefault((kind, entry.run.folder.name, _limits(result)), []).append(_method(result))
    shared: dict[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], list[str]] = {}
    for (kind, run, limits), methods in by_run.items():
        for at in range(0, len(methods), METHODS):
            shared.setdefault((kind, limits, tuple(methods[at : at + METHODS])), []).append(run)
    lines = []
    for (kind, limits, together), runs in sorted(shared.items(), key=lambda item: item[0][0]):
        for at in range(0, len(runs), METHODS):
            places = [place(Path("runs") / run, f"the run {run}"[:200], "RUN") for run in runs[at : at + METHODS]]
            words = [word for method in together for word in method]
            lines.append(spelled(["benchmark", kind, *places, *words, *limits]))
    return lines


def _limits(result: MethodResult) -> tuple[str, ...]:
    asked = result.raw.get("asked")
    found: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
    return tuple(word for name, option in LIMITS.items() if name in found for word in (option, str(found[name])))


def _method(result: MethodResult) -> tuple[str, ...]:
    """Return the words that name a method, with what of its settings is not the default."""
    registry: Mapping[str, Any] = DETECTORS if isinstance(result, Detected) else REPAIRS
    spec = registry.get(result.method)
    named = result.method if spec else Open(EXPECTED, f"the code of {result.method}"[:200])
    defaults = {option.name: option.default for option in spec.options} if spec else {}
    words = ["--method", named]
    for name, value in result.settings.items():
        if value is not None and (name not in defaults or value != defaults[name]):
            shown = ("yes" if value else "no") if isinstance(value, bool) else str(value)
            words += ["--option", f"{result.method}.{name}={shown}"]
    return tuple(words)
