"""Results of the commands on heads as they are stored in the folders of runs: how they are read, and their numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import files
from benchmark.core.errors import Failure

Result = dict[str, Any]
"""What a command wrote as result.json."""
DETECT, ALIGN, ABLATE = COMMANDS = ("heads-detect", "heads-align", "heads-ablate")
NAMES = {DETECT: "Detection", ALIGN: "Alignment", ABLATE: "Ablation"}
"""What titles call the results of these commands."""
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)
"""What a result raises that somebody edited."""


def read(folder: Path, errors: dict[Path, str] | None = None) -> Result | None:
    """Read the result in a folder; None where there is none.

    Parameters
    ----------
    folder : Path
        A folder that a command on heads wrote.
    errors : dict, optional
        Takes the path of a file that cannot be read, and one line that says why.
    """
    path = folder / "result.json"
    try:
        if not files.there(path):
            return None
        result = files.read_json(path)
        known = isinstance(result, dict) and result.get("defence") in COMMANDS and result.get("result_version") == 1
        if not known or not isinstance(result.get("settings"), dict):
            raise Failure(f"{path}: not a result of `benchmark heads` of this version")
        return result
    except Failure as error:
        if errors is not None:
            errors[path] = str(error)
        return None


def in_run(folder: Path, errors: dict[Path, str] | None = None) -> list[tuple[Path, Result]]:
    """Read all results of these commands in a run's folder.

    Of several with the same settings, as before and after there was a clean twin, one counts: with the twin rather than
    without, and the last.
    """
    if errors is not None:
        errors |= files.links(folder, "heads-*")
    results = [(inside, read(inside, errors)) for inside in files.folders(folder, "heads-*")]
    readable = [(path, result) for path, result in results if result is not None]
    readable.sort(key=lambda entry: (entry[1].get("clean_run") is not None, str(entry[1].get("finished"))))
    latest = {question(result): (path, result) for path, result in readable}
    return sorted(latest.values(), key=lambda entry: entry[0])


def question(result: Result) -> str:
    """Return the command and its settings as one string: equal for results that can be summed up.

    Not `manifest.canonical`, which refuses what an edited result may hold.
    """
    return json.dumps([result["defence"], result["settings"]], sort_keys=True)


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Describe a command's settings in one line, without those that were not asked for."""
    asked = {key.replace("_", " "): value for key, value in settings.items() if value is not None and value != []}
    return ", ".join(f"{key} {_word(value)}" for key, value in asked.items())


def triggered(result: Result) -> dict[str, Any] | None:
    """Return the figures of the triggered test texts; None where there are none."""
    return result["controls"]["poisoned"].get("trigger")


def percent(scores: Mapping[str, Any], name: str) -> float | None:
    """Return a score in percent, None where there is none."""
    return None if scores[name] is None else scores[name]["percent"]


def changes(result: Result) -> dict[str, np.ndarray]:
    """Return by how many points `ba` and, for a poisoned file, `asr` change with each head switched off, (L, H)."""
    found = {}
    for name in ("ba", "asr"):
        before = percent(result["before"], name)
        if before is not None:
            found[name] = np.array(result["off"][name], float) - before
    return found


def most_changing(changed: Mapping[str, np.ndarray], most: int) -> list[tuple[int, int]]:
    """Return the heads (layer, head) whose absence changes ASR most, and of equal ones BA; most first."""
    keys = [-np.abs(changed[name]).round(6).reshape(-1) for name in ("ba", "asr") if name in changed]
    heads = changed["ba"].shape[1]
    return [divmod(int(flat), heads) for flat in np.lexsort(keys)[:most]]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
