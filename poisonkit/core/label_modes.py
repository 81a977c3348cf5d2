"""The label modes, and what goes together with each: no numbers are drawn here."""

import enum
from collections.abc import Callable
from typing import Any


class Usual(enum.Enum):
    """In place of a class: the data set's usual target, which is known once its rows are."""

    TARGET = "the usual one"


USUAL = Usual.TARGET

SELECTIONS = {
    "all-to-one": ("all", "non-target", "class"),
    "all-to-all": ("all", "class"),
    "source-specific": ("class",),
    "clean-label": ("target",),
    "untargeted": ("all", "class"),
}
"""Label mode → which rows may be chosen under it, its default first."""

NO_TARGET = ("all-to-all", "untargeted")
"""The label modes without a target label."""

ALIASES = {"all2one": "all-to-one", "all2all": "all-to-all"}
"""What others call a label mode → its name here."""

CHOICES = ("all", "non-target", "target", "class")
"""Every `--select`."""


def contradiction(
    label_mode: str,
    select: str,
    target: int | str | Usual | None,
    source_classes: tuple[int | str, ...],
    spell: Callable[[Any], str] = str,
) -> str | None:
    """Return what does not go together in a request, in one line; None where all does. `spell` gives a class's name."""
    if (label_mode, select) == ("all-to-one", "target"):
        return "--select: target does not go with all-to-one, no label would change: --label-mode clean-label"
    if select not in SELECTIONS[label_mode]:
        return f"--select: {select} does not go with {label_mode}, expected {' or '.join(SELECTIONS[label_mode])}"
    if select == "class" and not source_classes:
        return f"--source-class: needed for {label_mode if label_mode == 'source-specific' else '--select class'}"
    if select != "class" and source_classes:
        return f"--source-class: given, but the rows are those of --select {select} (--label-mode {label_mode})"
    if label_mode in NO_TARGET and target is not None:
        becomes = "the next one" if label_mode == "all-to-all" else "another one, drawn for the row"
        return f"--target: {label_mode} has none, every class becomes {becomes}"
    if label_mode not in NO_TARGET and target is None:
        return f"--target: needed for {label_mode}"
    if target in source_classes:
        return f"--source-class: {spell(target)} is the target itself, its rows are what the attacker wants already"
    return None


def never_covers(label_mode: str, target: Any, source_classes: tuple[Any, ...]) -> list[Any]:
    """Return the classes whose rows are no covers: those of the target would be poisoned rows, those of a source class
    undo them."""
    aims = [] if target is None else [target]
    if label_mode == "source-specific":
        return [*source_classes, *aims]
    return aims if label_mode == "clean-label" else []


def cover_contradiction(
    label_mode: str,
    target: Any,
    source_classes: tuple[Any, ...],
    cover_classes: tuple[Any, ...],
    covered: bool,
    spell: Callable[[Any], str] = str,
) -> str | None:
    """Return what of the cover classes does not go together with the rest, in one line; None where all does. `covered`:
    whether there are cover rows."""
    if cover_classes and not covered:
        return "--cover-class: there are no cover rows without --cover-rate"
    never = [one for one in cover_classes if one in never_covers(label_mode, target, source_classes)]
    if never:
        what = "the target" if never[0] == target else "a source class"
        return f"--cover-class: {spell(never[0])} is {what}, under {label_mode} its rows are no covers"
    return None
