"""Results of the commands on heads, typed: `Detected`, `Aligned` and `Ablated`. `results` reads and checks them.

`raw` is the JSON of a result, as it is written.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


def percent(scores: Scores, name: str) -> float | None:
    """Return `ba` or `asr` in percent, None where there is none."""
    share = {"ba": scores.ba, "asr": scores.asr}[name]
    return None if share is None else share.percent


def most_changing(changed: Mapping[str, np.ndarray], most: int) -> list[Head]:
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
