"""BadPatches: the figures of the paper's Tables 1 to 3, and when ours may be held against them."""

import csv
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from benchmark.nn.networks import DEFAULT, IMAGE
from benchmark.runs.published.registry import (
    ATTACK,
    FOLDER,
    TRIGGER,
    Key,
    PruningKey,
    PublishedSpec,
    compare,
    register,
)

if TYPE_CHECKING:  # what it imports is heavy, and the help of a command names the sources
    from benchmark.runs.result import DatasetRecord, RunResult
    from benchmark.training.common import Common

TRIGGERS = ("square", "blend", "warped")

_NETWORK = DEFAULT[IMAGE]
_SCORES = ("ba", "asr", "cad")
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


def rows(table: str) -> list[dict[str, str]]:
    """Return a table as it was printed, one dictionary of strings a row: `attacks` or `fine_pruning`."""
    with open(FOLDER / f"badpatches_{table}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=1)
def attacks() -> dict[Key, dict[str, float]]:
    """Return BA, ASR and CAD in percent, of Tables 1 and 2; of a clean model BA alone."""
    found = {}
    for row in rows("attacks"):
        key = Key(row["dataset"], _NETWORK, row["trigger"], row["application"], Fraction(row["rate_percent"]) / 100)
        found[key] = {score: float(row[f"{score}_percent"]) for score in _SCORES}
        clean = found[key]["ba"] + found[key]["cad"]
        found[Key(row["dataset"], _NETWORK, "clean", "", Fraction(0))] = {"ba": round(clean, 1)}
    return found


@lru_cache(maxsize=1)
def fine_pruning() -> dict[PruningKey, dict[str, float]]:
    """Return BA and ASR in percent, of Table 3."""
    found = {}
    for row in rows("fine_pruning"):
        share = Fraction(row["pruning_rate_percent"]) / 100 if row["pruning_rate_percent"] else None
        rate = Fraction(row["rate_percent"]) / 100
        key = Key(row["dataset"], _NETWORK, row["trigger"], row["application"], rate)
        found[PruningKey(key, row["stage"], share)] = {score: float(row[f"{score}_percent"]) for score in ("ba", "asr")}
    return found


def _settings() -> "Common":
    """Return the settings that the figures were made with."""
    from benchmark.training.settings import PRESETS_OF

    return PRESETS_OF[_NETWORK]["paper"]


def _label(_dataset: str) -> str:
    from benchmark.training.common import label

    return label(_settings())


def deviations(result: "RunResult", defended: bool = False) -> list[str]:
    """Say in what a run is not at the paper's settings; empty where it is."""
    return compare(result, _settings(), _other_attack, defended)


def _other_attack(dataset: "DatasetRecord") -> list[str]:
    recipe = dataset.recipe
    known = {"rate", "seed", "streams", "application", "patch", "triggers"}
    rest = {key: value for key, value in recipe.raw.items() if key not in known}
    trigger, *more = recipe.triggers
    found = [] if not more and trigger.parameters in _PARAMETERS.get(trigger.name, []) else [TRIGGER]
    return found + ([] if rest == _ATTACK and recipe.patch in (None, (8, 8)) else [ATTACK])


BADPATCHES = register(
    PublishedSpec(
        name="badpatches",
        title="BadPatches",
        scores=_SCORES,
        settings=_label,
        attacks=attacks,
        deviations=deviations,
        made_with="width 10, 25 epochs",
        fine_pruning=fine_pruning,
        warnings={"blend": "the paper's blend picture is copyrighted: blends of any picture are judged"},
    )
)
