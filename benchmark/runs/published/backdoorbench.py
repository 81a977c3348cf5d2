"""BackdoorBench: the undefended figures of its leaderboard, and when ours may be held against them.

Its attacks are made with `poisonkit make --preset backdoorbench`. Of its networks PreAct-ResNet18 alone is one of ours:
its `vit_b_16` is pretrained on ImageNet and works on images of 224 pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core import text_tables
from benchmark.runs.published.registry import (
    ATTACK,
    FOLDER,
    ROWS,
    TRIGGER,
    DefendedKey,
    Figures,
    Key,
    PublishedSpec,
    compare,
    register,
)

if TYPE_CHECKING:  # what it imports is heavy, and the help of a command names the sources
    from benchmark.runs.published.leaderboard import Row
    from benchmark.runs.result import DatasetRecord, RunResult
    from benchmark.training.common import Common

NETWORK = "preact-resnet18"
NETWORKS = {"preactresnet18": NETWORK}
"""Their name → ours, of networks that are the same."""


@dataclass(frozen=True)
class Attack:
    """One of their attacks: the trigger here that is of its kind, and the recipe that makes the same; `parameters` is
    None where none does. `picture`: the trigger is made of one, which must be theirs."""

    trigger: str
    parameters: dict[str, Any] | None = None
    label_mode: str = "all-to-one"
    select: str = "all"
    picture: bool = False


ATTACKS = {
    "badnet": Attack("square", {"position": "lower-right", "size": 3, "value": [255]}),
    "blended": Attack("blend", {"alpha": "0.2", "rounding": "truncate"}, picture=True),
    "lc": Attack("label-consistent", label_mode="clean-label", select="target"),  # on images from another tool
    "sig": Attack(
        "sig",
        {"delta": "40", "frequency": "6", "orientation": "horizontal", "rounding": "truncate"},
        "clean-label",
        "target",
    ),
    "wanet": Attack("warped"),  # it draws rows and noise anew for each batch, which no file can
}
"""Their name → what makes it here."""
_OF_TRIGGER = {attack.trigger: attack for attack in ATTACKS.values()}


def key(row: "Row") -> Key | None:
    """Return what a row is of in our names; None where nothing of ours can be compared with it."""
    if row.dataset not in ROWS or row.network not in NETWORKS or row.attack not in ATTACKS:
        return None
    return Key(row.dataset, NETWORKS[row.network], ATTACKS[row.attack].trigger, "image", row.rate)


def settings(dataset: str) -> "Common":
    """Return the settings that the figures of a data set were made with; KeyError where there are none."""
    from benchmark.training.settings import PRESETS_OF

    return PRESETS_OF[NETWORK][f"backdoorbench-{dataset}"]


def _label(dataset: str) -> str:
    from benchmark.training.common import label

    return label(settings(dataset))


def deviations(result: "RunResult", defended: bool = False, pictures: frozenset[str] = frozenset()) -> list[str]:
    """Say in what a run is not at BackdoorBench's settings; empty where it is. `pictures`: digests, in
    hexadecimal, of the pictures that are known to be theirs."""
    return compare(result, settings(result.dataset.source), lambda dataset: _other_attack(dataset, pictures), defended)


def _other_attack(dataset: "DatasetRecord", pictures: frozenset[str]) -> list[str]:
    recipe = dataset.recipe
    trigger, *more = recipe.triggers
    attack = _OF_TRIGGER.get(trigger.name)
    same = attack is not None and not more and trigger.parameters == attack.parameters
    if attack and attack.picture and not (dataset.pictures and pictures.issuperset(dataset.pictures)):
        same = False
    rest = {name: value for name, value in recipe.raw.items() if name not in ("rate", "seed", "streams", "triggers")}
    wanted = {"application": "image", "patch": None, "target": 0}
    if attack:
        wanted |= {"label_mode": attack.label_mode, "select": attack.select}
    return [*([] if same else [TRIGGER]), *([] if rest == wanted else [ATTACK])]


def never_same(pictures: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the triggers of which no run can be theirs, where these pictures alone are known to be."""
    wanting = (one.trigger for one in ATTACKS.values() if one.parameters is None or (one.picture and not pictures))
    return frozenset(wanting)


def of_rows(rows: "Iterable[Row]") -> dict[Key, Figures]:
    """Return the figures of the rows that ours can be compared with."""
    return {found: row.scores for row in rows if row.undefended and (found := key(row)) is not None}


def of_defended(rows: "Iterable[Row]") -> dict[DefendedKey, Figures]:
    """Return the figures after defences, of the attacks that ours can be compared with."""
    found = ((key(row), row) for row in rows if not row.undefended)
    return {DefendedKey(cell, row.defence): row.scores for cell, row in found if cell is not None}


@lru_cache(maxsize=1)
def _rows() -> "list[Row]":
    from benchmark.runs.published import leaderboard

    return leaderboard.read(FOLDER / "backdoorbench.csv")


@lru_cache(maxsize=1)
def defended() -> dict[DefendedKey, Figures]:
    """Return the same after defences."""
    return of_defended(_rows())


@lru_cache(maxsize=1)
def attacks() -> dict[Key, Figures]:
    """Return BA, ASR and RA in percent, of what comes with the program."""
    return of_rows(_rows())


BACKDOORBENCH = register(
    PublishedSpec(
        name="backdoorbench",
        title="BackdoorBench",
        scores=("ba", "asr", "still_right"),
        settings=_label,
        attacks=attacks,
        deviations=deviations,
        defended=defended,
        note="one run, no interval",
        made_with="100 epochs on CIFAR-10, 50 on GTSRB",
        warnings={"blend": "BackdoorBench's blend picture is not part of this program; another picture is no match"},
        never_same=never_same(),
    )
)


def of_file(path: Path) -> PublishedSpec:
    """Return a file of the user's, the whole leaderboard or a part, as a source. Raises as `leaderboard.read`."""
    from benchmark.runs.published import leaderboard

    rows = leaderboard.read(path)
    figures, after = of_rows(rows), of_defended(rows)
    pictures = frozenset(row.picture.removeprefix("sha256:") for row in rows if row.picture)
    defended = sum(not row.undefended for row in rows)
    words = f"rows that ours can be compared with: {len(figures):,} of {len(rows):,} (on defences: {defended:,})"
    return replace(
        BACKDOORBENCH,
        name=text_tables.printable(path.name),
        title=text_tables.printable(path.name),
        attacks=lambda: figures,
        defended=lambda: after,
        deviations=lambda result, defended: deviations(result, defended, pictures),
        remarks=lambda: [words],
        never_same=never_same(pictures),
    )
