"""The paper's figures, and when ours may be held against them."""

import csv
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmark.core.intervals import Summary
from benchmark.format.manifest import Recipe
from benchmark.runs.result import RunResult
from benchmark.training.settings import PRESETS

FOLDER = Path(__file__).with_name("paper")
SCORES = ("ba", "asr", "cad")
TRIGGERS = ("square", "blend", "warped")
NEAR = 2.0  # points: this close it agrees, whatever the interval
NARROW = 5.0  # points, half the interval's width: what a wider one holds is undecided
ENOUGH = 3  # seeds: an interval over fewer proves no agreement

_ROWS = {"cifar10": (50_000, 10_000), "gtsrb": (39_209, 12_630)}
_ATTACK = {"label_mode": "all-to-one", "target": 0, "select": "all"}
# what the text says, then what the published notebooks do: the tables came from some version of them
_PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "square": [
        {"position": "upper-left", "size": 4, "value": [0]},
        {"position": "upper-left", "size": 4, "value": [1]},
    ],
    "blend": [{"alpha": "0.5"}],
    "warped": [
        {"k": 4, "s": "0.5", "sampling": "bilinear", "upsample": "aligned"},
        {"k": 2, "s": "0.25", "sampling": "truncate", "upsample": "half-pixel"},
    ],
}  # fmt: skip
_PRECISIONS = ("float32", "tf32")  # TensorFlow's float32 is tf32 on the GPUs of that time


def rows(table: str) -> list[dict[str, str]]:
    """Return a table as it was printed, one dictionary of strings a row: `attacks` or `fine_pruning`."""
    with open(FOLDER / f"{table}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=1)
def attacks() -> dict[tuple[str, str, str, Fraction], dict[str, float]]:
    """Return (data set, trigger, application, rate) → BA, ASR and CAD in percent; for trigger `clean` BA alone."""
    found = {}
    for row in rows("attacks"):
        key = row["dataset"], row["trigger"], row["application"], Fraction(row["rate_percent"]) / 100
        found[key] = {score: float(row[f"{score}_percent"]) for score in SCORES}
        clean = found[key]["ba"] + found[key]["cad"]
        found[row["dataset"], "clean", "", Fraction(0)] = {"ba": round(clean, 1)}
    return found


@lru_cache(maxsize=1)
def fine_pruning() -> dict[tuple[str, str, str, Fraction, str, Fraction | None], dict[str, float]]:
    """Return (data set, trigger, application, rate, stage, share of channels) → BA and ASR in percent (Table 3); the
    share is None before pruning."""
    found = {}
    for row in rows("fine_pruning"):
        share = Fraction(row["pruning_rate_percent"]) / 100 if row["pruning_rate_percent"] else None
        rate = Fraction(row["rate_percent"]) / 100
        key = row["dataset"], row["trigger"], row["application"], rate, row["stage"], share
        found[key] = {score: float(row[f"{score}_percent"]) for score in ("ba", "asr")}
    return found


def deviations(result: RunResult, defended: bool = False) -> list[str]:
    """Say in what a run is not at the paper's settings; empty where it is. Of one that is `defended` it does not count
    that it left rows out for the defender."""
    dataset, config, paper = result.dataset, result.config, PRESETS["paper"]
    training = config.training | ({"hold_out": paper.hold_out} if defended else {})
    found = []
    if (dataset.counts.get("train"), dataset.counts.get("test")) != _ROWS.get(dataset.source):
        found.append("data set")
    if not dataset.is_clean and not _is_published_attack(dataset.recipe):
        found.append("attack")
    if config.model != {"name": paper.NETWORK} | paper.model():
        found.append("network")
    if training != {"optimizer": paper.OPTIMIZER} | paper.training():
        found.append("training")
    if config.precision not in _PRECISIONS:
        found.append("precision")
    return found


def _is_published_attack(recipe: Recipe) -> bool:
    known = {"rate", "seed", "streams", "application", "patch", "triggers"}
    rest = {key: value for key, value in recipe.raw.items() if key not in known}
    if rest != _ATTACK or recipe.patch not in (None, (8, 8)) or len(recipe.triggers) != 1:
        return False
    (trigger,) = recipe.triggers
    return trigger.parameters in _PARAMETERS.get(trigger.name, [])


def verdict(ours: Summary, figure: float) -> str:
    """`agrees`, `undecided` or `differs`: what runs at the paper's settings say of a published figure.

    Within 2 points it agrees; else it must lie in the interval over seeds, and agrees if that is narrow enough and
    from enough seeds. A single seed has no such interval and decides nothing else.
    """
    if round(abs(ours.mean - figure), 1) <= NEAR:
        return "agrees"
    if ours.half is None:
        return "undecided"
    if abs(ours.mean - figure) > ours.half:
        return "differs"
    return "agrees" if ours.half <= NARROW and ours.seeds >= ENOUGH else "undecided"
