"""Results on heads as they are stored in the folders of runs: read, and checked.

`of` makes a record of JSON, whose numbers are then what they ought to be: tables and pictures need no checks of their
own. The detector and the repair `heads` have theirs in the section `study` of their results; before there were these,
`heads detect` and `heads align` had folders of their own, heads-detect-… and heads-align-…, which are read like them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.analysis.heads.records import (
    ABLATE,
    ALIGN,
    COMMANDS,
    DETECT,
    Ablated,
    Aligned,
    Contaminated,
    Detected,
    Figures,
    Flagged,
    Head,
    HeadsResult,
    Separation,
    Step,
    Tuned,
    Variant,
    percent,
)
from benchmark.core import files, numbers
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.runs import records
from benchmark.training.metrics import Json

METHOD, STUDY = "heads", "study"
DETECTIONS, REPAIRS, OLD = f"detect-{METHOD}-*", f"repair-{METHOD}-*", "heads-*"
"""Where in a run's folder results are."""
_KINDS = {"detect": DETECT, "repair": ALIGN}


def of(raw: Json) -> HeadsResult:
    """Return the result that JSON holds. `Failure` where it holds none of this version; other exceptions
    (`records.WRONG`) where something in it is not what it ought to be."""
    whole = raw
    if isinstance(raw, dict) and raw.get("defence") == METHOD and isinstance(raw.get(STUDY), dict):
        raw = raw | raw[STUDY] | {"defence": _KINDS.get(str(raw.get("kind")))}
    known = isinstance(raw, dict) and raw.get("defence") in COMMANDS and raw.get("result_version") == 1
    if not known or not isinstance(raw.get("settings"), dict):
        raise Failure("not a result on attention heads of this version")
    layers, heads = map(_count, raw["shape"])
    clean_run = raw.get("clean_run")
    common = {
        "command": raw["defence"],
        "name": _text(raw["run"]),
        "settings": raw["settings"],
        "shape": (layers, heads),
        "clean_run": clean_run,
        "raw": whole,
    }
    result = {DETECT: _detected, ALIGN: _aligned, ABLATE: _ablated}[raw["defence"]](common, raw)
    canonical([raw["dataset"], raw["config"]])
    return result


def read(folder: Path, errors: dict[Path, str] | None = None) -> HeadsResult | None:
    """Read the result on heads in a folder; None where there is none, where it has no study, as of a run that another
    was compared with, and where it cannot be read: then its path goes into `errors`, with a line that says why."""
    path = folder / "result.json"
    try:
        return records.parsed(path, studied, "not a result that can be shown") if files.there(path) else None
    except Failure as error:
        if errors is not None:
            errors[path] = str(error)
        return None


def studied(raw: Json) -> HeadsResult | None:
    """Return the result that JSON holds, None where it has no study. Raises as `of`."""
    bare = isinstance(raw, dict) and raw.get("defence") == METHOD and STUDY not in raw
    return None if bare else of(raw)


def in_run(folder: Path, errors: dict[Path, str] | None = None) -> list[tuple[Path, HeadsResult]]:
    """Read all results on heads in a run's folder.

    Of several with the same settings, as before and after there was a clean counterpart, one counts: with it rather
    than without, and the last.
    """
    results = []
    for pattern in (DETECTIONS, OLD, REPAIRS):
        if errors is not None:
            errors |= files.links(folder, pattern)
        results += [(inside, read(inside, errors)) for inside in files.folders(folder, pattern)]
    readable = [(path, result) for path, result in results if result is not None]
    readable.sort(key=lambda entry: (entry[1].clean_run is not None, str(entry[1].trained.finished)))
    latest = {result.question: (path, result) for path, result in readable}
    return sorted(latest.values(), key=lambda entry: entry[0])


def _detected(common: Json, raw: Json) -> Detected:
    settings, rows, shape = raw["settings"], raw["rows"], common["shape"]
    suspect = raw["suspect"]
    groups = {"controls": raw["controls"]} | {name: raw[name] for name in ("controls_suspect",) if name in raw}
    if not all("poisoned" in models for models in groups.values()):
        raise ValueError("no controls of the model itself")
    return Detected(
        **common,
        suspect=_count(rows["suspect"]),
        too_short=_count(rows["too_short"]),
        poisoned=_maybe_count(rows["poisoned"]),
        min_words=_count(settings["min_words"]),
        asked=_asked(settings),
        flagged={
            name: Flagged(_count(one["count"]), _maybe_count(one["poisoned"])) for name, one in raw["flagged"].items()
        },
        contaminated=tuple(
            Contaminated(_head([one["layer"], one["head"]], shape), _real(one["median_z"]), _maybe_real(one["auroc"]))
            for one in raw["contaminated"]
        ),
        median_z=_map(raw["flagged_median_z"], shape),
        separation=None if suspect is None else _separation(suspect | {"heads": raw["suspect_heads"]}, shape),
        controls={
            group: {
                which: {name: _separation(one, shape) for name, one in sets.items()} for which, sets in models.items()
            }
            for group, models in groups.items()
        },
    )


def _separation(raw: Json, shape: tuple[int, int]) -> Separation:
    scores = {}
    for name, one in raw.items():
        if name not in ("rows", "against", "heads"):
            values = {key: _maybe_real(value) for key, value in one.items() if key != "intervals"}
            bounds = {key: (_real(low), _real(high)) for key, (low, high) in one.get("intervals", {}).items()}
            scores[name] = Figures(values, bounds)
    heads = raw.get("heads")
    return Separation(scores, None if heads is None else _map(heads["auroc"], shape))


def _aligned(common: Json, raw: Json) -> Aligned:
    rows, shape = raw["rows"], common["shape"]
    contaminated, important, random = (
        tuple(_head(pair, shape) for pair in raw[name]) for name in ("contaminated", "important", "random")
    )
    steps = tuple(_step(step, shape) for step in raw["steps"])
    if not steps:
        raise ValueError("no step")
    return Aligned(
        **common,
        clean=_count(rows["clean"]),
        flagged=_count(rows["flagged"]),
        poisoned=_maybe_count(rows["poisoned"]),
        asked=_asked(raw["settings"]),
        contaminated=contaminated,
        important=important,
        random=random,
        environment=raw["environment"],
        steps=steps,
    )


def _step(raw: Json, shape: tuple[int, int]) -> Step:
    scores = records.scores_of(raw["scores"])
    if "history" not in raw:
        return Step(_text(raw["stage"]), scores)
    heads = raw["heads"]
    moved = None if heads is None else tuple(_head(pair, shape) for pair in heads)
    strength, unlearn, rate, lean = (
        _real(raw.get(name, 0.0)) for name in ("strength", "unlearn", "learning_rate", "lean")
    )
    variant = Variant(moved, strength, unlearn, _count(raw["epochs"]), rate, lean)
    history = [Tuned(_real(one["loss"]), _maybe_real(one["ba"]), _maybe_real(one["asr"])) for one in raw["history"]]
    return Step(_text(raw["stage"]), scores, variant, tuple(history), raw.get("model"))


def _ablated(common: Json, raw: Json) -> Ablated:
    before, together = records.scores_of(raw["before"]), raw.get("together")
    return Ablated(
        **common,
        before=before,
        off={
            name: _map(raw["off"][name], common["shape"]) for name in ("ba", "asr") if percent(before, name) is not None
        },
        heads=tuple(_head(pair, common["shape"]) for pair in raw["settings"]["heads"]),
        together=None if together is None else records.scores_of(together),
    )


def _asked(settings: Json) -> int:
    """How many heads were asked for; 0 where a threshold was."""
    return _count(settings["heads"]) if settings["threshold"] is None else 0


def _count(value: Any) -> int:
    if not numbers.is_count(value):
        raise ValueError(f"{value!r:.40} is no number of anything")
    return value


def _real(value: Any) -> float:
    if not numbers.is_real(value):
        raise ValueError(f"{value!r:.40} is no number")
    return value


def _maybe_count(value: Any) -> int | None:
    return None if value is None else _count(value)


def _maybe_real(value: Any) -> float | None:
    return None if value is None else _real(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def _head(pair: Any, shape: tuple[int, int]) -> Head:
    layer, head = map(_count, pair)
    if layer >= shape[0] or head >= shape[1]:
        raise ValueError(f"there is no head {pair}")
    return layer, head


def _map(values: Any, shape: tuple[int, int]) -> np.ndarray:
    found = np.array([[_real(value) for value in line] for line in values], float)
    if found.shape != shape:
        raise ValueError(f"numbers of {found.shape} heads, expected {shape}")
    return found
