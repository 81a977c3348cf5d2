"""Results of the commands on heads as they are stored in the folders of runs: read, checked, and typed.

`of` makes a `Detected`, `Aligned` or `Ablated` of JSON, whose numbers are then what they ought to be: tables and
pictures need no checks of their own. `raw` is the JSON of a result, as it is written.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import files, numbers
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.runs import records
from benchmark.runs.result import RunResult
from benchmark.training.metrics import Json, Scores

DETECT, ALIGN, ABLATE = COMMANDS = ("heads-detect", "heads-align", "heads-ablate")
NAMES = {DETECT: "Detection", ALIGN: "Alignment", ABLATE: "Ablation"}
"""What titles call the results of these commands."""
Head = tuple[int, int]
"""Layer and number."""
Maps = dict[str, np.ndarray]
"""`ba` and, of a poisoned file, `asr`: a number for each head, (L, H)."""


@dataclass(frozen=True)
class HeadsResult:
    """What every command on heads writes. `settings` are those of the command, by name; `shape`: layers and heads;
    `clean_run` the name of the clean counterpart, if one was measured too."""

    command: str
    name: str
    settings: Json
    shape: tuple[int, int]
    clean_run: str | None
    raw: Json = field(repr=False)

    @property
    def trained(self) -> RunResult:
        """What the run was trained on and how: its `dataset` and `config`."""
        return RunResult(self.raw)

    @property
    def question(self) -> str:
        """The command and its settings as one string: equal for results that can be summed up."""
        return json.dumps([self.command, self.settings], sort_keys=True)

    @property
    def described(self) -> str:
        """The settings in one line, without those that were not asked for."""
        asked = {key: value for key, value in self.settings.items() if value is not None and value != []}
        return ", ".join(f"{key.replace('_', ' ')} {_word(value)}" for key, value in asked.items())


@dataclass(frozen=True)
class Figures:
    """How well a score separates two sets of texts: each of `roc.FIGURES` by name, with its bootstrap interval, if it
    was computed."""

    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Separation:
    """Two sets of texts, one beside the other: what each of `detector.SCORES` makes of them, by name; and each head by
    itself, AUROC (L, H), None where it was not computed."""

    scores: dict[str, Figures]
    heads: np.ndarray | None


@dataclass(frozen=True)
class Flagged:
    """The rows that a pass flags, and how many of them are poisoned, None where that is not known."""

    count: int
    poisoned: int | None


@dataclass(frozen=True)
class Contaminated:
    """A contaminated head: its median z over the flagged rows, and its AUROC on the suspect file where that is
    known."""

    head: Head
    median_z: float
    auroc: float | None


@dataclass(frozen=True)
class Detected(HeadsResult):
    """What `heads detect` found.

    Attributes
    ----------
    suspect, too_short, poisoned : int (`poisoned` or None)
        Ranked rows of the suspect file, those too short to be ranked, and poisoned ones where that is known.
    min_words, asked : int
        Of the settings: the least length of a text, and how many heads were to be contaminated (0: by a threshold).
    flagged : dict of str to Flagged
        By the score that flags.
    contaminated : tuple of Contaminated
    median_z : (L, H) float
        Over the flagged rows.
    separation : Separation or None
        Of the poisoned rows of the suspect file from the others; None where the truth is not known.
    controls : dict
        What they are made of (`controls.MADE_OF`) → model (`poisoned`, `clean`) → control → Separation.
    """

    suspect: int
    too_short: int
    poisoned: int | None
    min_words: int
    asked: int
    flagged: dict[str, Flagged]
    contaminated: tuple[Contaminated, ...]
    median_z: np.ndarray
    separation: Separation | None
    controls: dict[str, dict[str, dict[str, Separation]]]

    @property
    def triggered(self) -> Separation | None:
        """Of the triggered test texts from the clean ones; None where there are none."""
        return self.controls["controls"]["poisoned"].get("trigger")


@dataclass(frozen=True)
class Tuned:
    """An epoch of an alignment: mean loss, and BA and ASR in percent after it."""

    loss: float
    ba: float | None
    asr: float | None


@dataclass(frozen=True)
class Variant:
    """One way to treat the model: which `heads` move (None: all weights), λ (`strength`), the weight of the flat
    prediction (`unlearn`), how long and how fast, and how far the flat prediction leans."""

    heads: tuple[Head, ...] | None
    strength: float
    unlearn: float
    epochs: int
    learning_rate: float
    lean: float = 0.0


@dataclass(frozen=True)
class Step:
    """A variant of an alignment, trained and scored, after each epoch and in the end; of the untouched network, and of
    the one whose heads are off, there is no `variant`. `model`: the file of its network, if it was kept."""

    stage: str
    scores: Scores
    variant: Variant | None = None
    history: tuple[Tuned, ...] = ()
    model: str | None = None

    def json(self) -> Json:
        """Return it as result.json has it."""
        found: Json = {"stage": self.stage}
        if self.variant is not None:
            heads = None if self.variant.heads is None else [list(head) for head in self.variant.heads]
            found |= dataclasses.asdict(self.variant) | {"heads": heads}
            found["history"] = [dataclasses.asdict(one) for one in self.history]
        found["scores"] = self.scores.json()
        return found | ({} if self.model is None else {"model": self.model})


@dataclass(frozen=True)
class Aligned(HeadsResult):
    """What `heads align` did: how many rows it learned from, which heads are contaminated, important and random, and
    every variant."""

    clean: int
    flagged: int
    poisoned: int | None
    asked: int
    contaminated: tuple[Head, ...]
    important: tuple[Head, ...]
    random: tuple[Head, ...]
    environment: Json
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Ablated(HeadsResult):
    """What `heads ablate` measured: scores with no head off, BA and ASR in percent with each off, and scores with the
    heads off that were to be off together."""

    before: Scores
    off: Maps
    heads: tuple[Head, ...]
    together: Scores | None

    @property
    def changes(self) -> Maps:
        """By how many points BA and ASR change with each head off."""
        return {name: values - (percent(self.before, name) or 0.0) for name, values in self.off.items()}


# ---- reading


def of(raw: Json) -> HeadsResult:
    """Return the result that JSON holds. `Failure` where it holds none of this version; other exceptions
    (`records.WRONG`) where something in it is not what it ought to be."""
    known = isinstance(raw, dict) and raw.get("defence") in COMMANDS and raw.get("result_version") == 1
    if not known or not isinstance(raw.get("settings"), dict):
        raise Failure("not a result of `benchmark heads` of this version")
    layers, heads = map(_count, raw["shape"])
    clean_run = raw.get("clean_run")
    common = {
        "command": raw["defence"],
        "name": _text(raw["run"]),
        "settings": raw["settings"],
        "shape": (layers, heads),
        "clean_run": clean_run,
        "raw": raw,
    }
    result = {DETECT: _detected, ALIGN: _aligned, ABLATE: _ablated}[raw["defence"]](common, raw)
    canonical([raw["dataset"], raw["config"]])
    return result


def read(folder: Path, errors: dict[Path, str] | None = None) -> HeadsResult | None:
    """Read the result in a folder that a command on heads wrote; None where there is none, and where it cannot be read:
    then its path goes into `errors`, with a line that says why."""
    path = folder / "result.json"
    try:
        return records.parsed(path, of, "not a result that can be shown") if files.there(path) else None
    except Failure as error:
        if errors is not None:
            errors[path] = str(error)
        return None


def in_run(folder: Path, errors: dict[Path, str] | None = None) -> list[tuple[Path, HeadsResult]]:
    """Read all results of these commands in a run's folder.

    Of several with the same settings, as before and after there was a clean counterpart, one counts: with it rather
    than without, and the last.
    """
    if errors is not None:
        errors |= files.links(folder, "heads-*")
    results = [(inside, read(inside, errors)) for inside in files.folders(folder, "heads-*")]
    readable = [(path, result) for path, result in results if result is not None]
    readable.sort(key=lambda entry: (entry[1].clean_run is not None, str(entry[1].trained.finished)))
    latest = {result.question: (path, result) for path, result in readable}
    return sorted(latest.values(), key=lambda entry: entry[0])


def percent(scores: Scores, name: str) -> float | None:
    """Return `ba` or `asr` in percent, None where there is none."""
    share = {"ba": scores.ba, "asr": scores.asr}[name]
    return None if share is None else share.percent


def most_changing(changed: Mapping[str, np.ndarray], most: int) -> list[Head]:
    """Return the heads (layer, head) whose absence changes ASR most, and of equal ones BA; most first."""
    keys = [-np.abs(changed[name]).round(6).reshape(-1) for name in ("ba", "asr") if name in changed]
    heads = changed["ba"].shape[1]
    return [divmod(int(flat), heads) for flat in np.lexsort(keys)[:most]]


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


def _word(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
