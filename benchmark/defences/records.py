"""Results of defences as they are stored in the folders of runs, typed: read, and checked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmark.core import file_names, files, numbers
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.defences.measures import Measures
from benchmark.defences.score_files import FLAGGED, SCORES
from benchmark.runs import records
from benchmark.runs.result import RunResult
from benchmark.training.metrics import Json, Scores

VERSION = 1
DETECT, REPAIR = "detect", "repair"
"""What the folders of results begin with, and the commands that make them."""
T = TypeVar("T")


@dataclass(frozen=True)
class MethodResult:
    """What every result of a defence says.

    Attributes
    ----------
    method : str
        Its name in the registry, or that of a function of the user's.
    settings : dict
        All its options.
    clean_rows : int
        How many clean rows it had, and `clean_are` where from: `held out`, `test` (of a sealed file) or `none`.
    clean_run : str or None
        The name of the clean run that it was also tried on.
    seconds : float
        What it took.
    """

    method: str
    settings: Json
    clean_rows: int
    clean_are: str
    clean_run: str | None
    seconds: float
    raw: Json = field(repr=False)

    @property
    def trained(self) -> RunResult:
        """What the run was trained on and how: its `dataset` and `config`."""
        return RunResult(self.raw)

    @property
    def asked(self) -> Json:
        """The method and all that was asked of it, with what else decides what it says."""
        return {name: self.raw.get(name) for name in ("defence", "settings", "asked", "code", "depends")}

    @property
    def question(self) -> str:
        """The same as one string: equal for results that can be summed up."""
        return canonical(self.asked).decode()


@dataclass(frozen=True)
class Detected(MethodResult):
    """What a detector found.

    Attributes
    ----------
    inspected : int
        Rows that got a score; `of` how many that could have.
    poisoned, covers : int or None
        How many of them are; None where nobody knows.
    flagged : int or None
        How many the method's own cut flags; None where it has none.
    flagged_share : float or None
        The share of all inspectable rows that stands for.
    measures : Measures or None
        Of the poisoned rows against clean ones; None where there are not both.
    covers_measured : Measures or None
        Of the covers against clean ones: false alarms.
    """

    inspected: int
    of: int
    poisoned: int | None
    covers: int | None
    flagged: int | None
    flagged_share: float | None
    measures: Measures | None
    covers_measured: Measures | None

    @property
    def files(self) -> list[str]:
        """What else must lie in its folder."""
        return [SCORES] if self.flagged is None else [SCORES, FLAGGED]


@dataclass(frozen=True)
class Step:
    """A network of a repair, scored: `before`, or a stage; of that what was done to it (`findings`), the file of its
    network, the seconds that it took, and scores on the way to it (`history`, see `DefenceContext.watch`)."""

    stage: str
    label: str
    scores: Scores
    seconds: float = 0.0
    model: str | None = None
    findings: Json = field(default_factory=dict)
    history: tuple[Scores, ...] = ()

    def json(self) -> Json:
        """Return it as result.json has it."""
        found: Json = {"stage": self.stage, "label": self.label, "scores": self.scores.json()}
        if self.model is not None:
            found |= {"seconds": self.seconds, "model": self.model, "findings": self.findings}
        if self.history:
            found["history"] = [scores.json() for scores in self.history]
        return found


@dataclass(frozen=True)
class Repaired(MethodResult):
    """What a repair left of a backdoor, stage by stage; the first step is the network as it was."""

    steps: tuple[Step, ...]

    @property
    def files(self) -> list[str]:
        """What else must lie in its folder."""
        return [step.model for step in self.steps if step.model is not None]

    @property
    def before(self) -> Scores:
        """Of the network as it was."""
        return self.steps[0].scores

    @property
    def after(self) -> Scores:
        """Of the last stage, which is the repaired network."""
        return self.steps[-1].scores


def detected(raw: Json) -> Detected:
    """Return the detector's result that JSON holds. `Failure`, or another of `records`' errors, where it holds none."""
    common = _common(raw, DETECT)
    rows = raw["rows"]
    return Detected(
        **common,
        inspected=_count(rows["inspected"]),
        of=_count(rows["of"]),
        poisoned=_maybe(rows["poisoned"], _count),
        covers=_maybe(rows["covers"], _count),
        flagged=_maybe(rows["flagged"], _count),
        flagged_share=_maybe(rows["flagged_share"], _share),
        measures=Measures.of(raw["measures"]),
        covers_measured=Measures.of(raw["covers"]),
    )


def repaired(raw: Json) -> Repaired:
    """Return the repair's result that JSON holds. Raises as `detected`."""
    common = _common(raw, REPAIR)
    steps = tuple(map(_step, raw["steps"]))
    if len(steps) < 2:
        raise ValueError("no stage")
    return Repaired(**common, steps=steps)


def _step(raw: Json) -> Step:
    scores, model = records.scores_of(raw["scores"]), raw.get("model")
    if model is not None and not file_names.plain(model):
        raise ValueError(f"{model!r:.40} is no file of this folder")
    findings = raw.get("findings", {})
    if not isinstance(findings, dict):
        raise TypeError("findings")
    seconds, history = _real(raw.get("seconds", 0.0)), tuple(map(records.scores_of, raw.get("history", ())))
    return Step(_text(raw["stage"]), _text(raw["label"]), scores, seconds, model, findings, history)


def _common(raw: Json, kind: str) -> Json:
    known = isinstance(raw, dict) and raw.get("kind") == kind and raw.get("result_version") == VERSION
    if not known or not isinstance(raw.get("settings"), dict):
        raise Failure(f"not a result of `benchmark {kind}` of this version")
    canonical([raw["dataset"], raw["config"], raw["settings"]])
    name = _text(raw["defence"])
    if not file_names.plain(name):
        raise ValueError("its method has no plain name")
    clean = raw["clean"]
    return {
        "method": name,
        "settings": raw["settings"],
        "clean_rows": _count(clean["rows"]),
        "clean_are": _text(clean["are"]),
        "clean_run": _maybe(raw.get("clean_run"), _text),
        "seconds": _real(raw["seconds"]),
        "raw": raw,
    }


def in_run(
    folder: Path, kind: str, parse: Callable[[Json], T], errors: dict[Path, str] | None = None
) -> list[tuple[Path, T]]:
    """Read all results of a kind, `detect` or `repair`, in a run's folder, by folder name; what cannot be read goes
    into `errors`: its path, and a line that says why."""
    errors = {} if errors is None else errors
    errors |= files.links(folder, f"{kind}-*")
    found = []
    for inside in files.folders(folder, f"{kind}-*"):
        path = inside / "result.json"
        try:
            if files.there(path):
                found.append((inside, records.parsed(path, parse, "not a result that can be shown")))
        except Failure as error:
            errors[path] = str(error)
    return found


def take_over(run: Path, target: Path) -> None:
    """Copy the results of methods in a run's folder, those that are finished, to the folder `target`, to be shared; see
    `runs.records.take_over`."""
    for kind in (DETECT, REPAIR):
        for inside in files.folders(run, f"{kind}-*"):
            if files.there(inside / "result.json"):
                raw = records.without_places(files.read_json(inside / "result.json"))
                (target / inside.name).mkdir(parents=True, exist_ok=True)
                text = json.dumps(raw, ensure_ascii=False, separators=(",", ":")) + "\n"
                (target / inside.name / "result.json").write_text(text, "utf-8")


def shared(folder: Path, result: MethodResult, twin: MethodResult | None) -> Json:
    """Return a result as programs are given it: the folder that it is in, all of it, and that of the clean twin."""
    return {"folder": str(folder)} | result.raw | {"clean_twin": twin and twin.raw}


def _maybe(value: Any, check: Callable[[Any], T]) -> T | None:
    return None if value is None else check(value)


def _count(value: Any) -> int:
    if not numbers.is_count(value):
        raise ValueError(f"{value!r:.40} is no number of anything")
    return int(value)


def _real(value: Any) -> float:
    if not numbers.is_real(value):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)


def _share(value: Any) -> float:
    if not 0 <= _real(value) <= 1:
        raise ValueError(f"{value!r:.40} is no share")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value
