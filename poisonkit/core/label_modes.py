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
}
"""Label mode → which rows may be chosen under it, its default first."""

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
    if label_mode == "all-to-all" and target is not None:
        return "--target: all-to-all has none, every class becomes the next one"
    if label_mode != "all-to-all" and target is None:
        return f"--target: needed for {label_mode}"
    if target in source_classes:
        return f"--source-class: {spell(target)} is the target itself, its rows are what the attacker wants already"
    return None
