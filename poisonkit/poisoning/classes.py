"""Which class `--target`, `--source-class` and a grid's keys mean; one rule for all of them.

An index is written ``index:1``. Anything else is the class of exactly that name; else the only one that reads the same
(other code points, NFC), or else is spelled alike (`core.naming`; never a number); else, where no class has a number
for its name, a whole number is an index; else nobody could tell, and it is refused with both readings.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poisonkit.core import label_modes, naming, texts
from poisonkit.core.class_names import LISTED, counted, folded, is_number, listed, spelled
from poisonkit.core.errors import Usage
from poisonkit.core.parsing import MINUS
from poisonkit.core.progress import ignore
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources import registry
from poisonkit.sources.base import Source

INDEX = re.compile(r"index:\s*([0-9]{1,18})")
MOST_COMPARED = 2_000
"""Class names among which one is looked for that is nearly what was typed."""
WHOLE = re.compile(r"-?[0-9]{1,18}")


def resolve_class_names(recipe: Recipe, source: Source, warn: Callable[[str], None] = ignore) -> Recipe:
    """Return the recipe with an index for each class: names are looked up, the usual target is one that has rows.

    `warn` is told where a name was found in another spelling. Raises `Usage` for a class that none is, or several are,
    and for classes that do not go together.
    """
    if recipe.clean:
        return recipe
    names = source.classes
    typed, target = recipe.target, None
    if isinstance(typed, label_modes.Usual):
        target = default_target(source)
    elif typed is not None:
        target = _index("--target", typed, names, warn)
    chosen = tuple(sorted({_index("--source-class", one, names, warn) for one in recipe.source_classes}))
    covers = tuple(sorted({_index("--cover-class", one, names, warn) for one in recipe.cover_classes}))
    spell = functools.partial(spelled, names)
    if wrong := label_modes.contradiction(recipe.label_mode, recipe.select, target, chosen, spell):
        raise Usage(wrong)
    covered = recipe.cover_rate != "0"
    if wrong := label_modes.cover_contradiction(recipe.label_mode, target, chosen, covers, covered, spell):
        raise Usage(wrong)
    return replace(recipe, target=target, source_classes=chosen, cover_classes=covers)


def default_target(source) -> int:
    """Return the usual target label: the source's own, or else the first class that has rows."""
    rows, own = counted(source.train.labels, source.classes), registry.default_target(source.name)
    return own if own < len(rows) and rows[own] else int(np.flatnonzero(rows)[0])


def _index(option: str, typed: str | int, classes, warn) -> int:
    """Return the index of a class as it was typed; an `int` is one already."""
    if not isinstance(typed, str):
        return int(typed)
    if found := INDEX.fullmatch(typed.strip()):
        return _within(option, int(found[1]), classes)
    for exact in (typed, typed.strip()):
        same = [label for label, name in enumerate(classes) if name == exact]
        if len(same) > 1:
            ways = ", ".join(f"index:{label}" for label in same[:LISTED])
            raise Usage(f"{option}: several classes are called {texts.truncated(typed)!r}: say which by {ways}")
        if same:
            return same[0]
    if found := INDEX.fullmatch(typed.strip().lower()):  # as people type it, where no class is called that
        return _within(option, int(found[1]), classes)
    alike = [label for label, name in enumerate(classes) if folded(name) == folded(typed.strip())]
    if len(alike) == 1:
        warn(f"{option}: {spelled(classes, alike[0])} is written with other code points than what was typed (NFC, NFD)")
        return alike[0]
    if not alike and not is_number(typed):
        spellings = [label for label, name in enumerate(classes) if naming.folded(name) == naming.folded(typed)]
        if len(spellings) == 1:
            return spellings[0]
        if spellings:
            ways = " or ".join(f"{texts.truncated(classes[one])!r} (index:{one})" for one in spellings[:LISTED])
            raise Usage(f"{option}: {texts.truncated(typed)!r} could be {ways}: say which, spelled like that")
    return _by_number(option, typed, classes, alike)


def _by_number(option: str, typed: str, classes, alike: list[int]) -> int:
    """Return the index that a whole number is where no class's name is a number; else `Usage` with every reading."""
    if alike:
        ways = " or ".join(f"index:{label}" for label in alike[:LISTED])
        raise Usage(f"{option}: {len(alike)} classes read like {texts.truncated(typed)!r}: say which by {ways}")
    typed = typed.replace(MINUS, "-")  # no class is called that, or it would have been found
    names, whole, numbers = f"({listed(classes)})", WHOLE.fullmatch(typed.strip()), any(map(is_number, classes))
    if whole and not numbers:
        return _within(option, int(whole[0]), classes)
    if whole:
        index = int(whole[0])
        other = f"{spelled(classes, index)}, written index:{index}" if 0 <= index < len(classes) else "none either"
        raise Usage(
            f"{option}: {texts.truncated(typed)!r} could be a name or an index here, where classes have numbers for "
            f"names: of that name there is none {names}, of that index it is {other}"
        )
    expected = f"a class from 0 to {len(classes) - 1} or a name {names}"
    if numbers:
        expected = f"a name {names}, or index:0 to index:{len(classes) - 1}"
    near = "" if is_number(typed) else naming.hint(typed, map(texts.printable, classes[:MOST_COMPARED]))
    raise Usage(f"{option}: expected {expected}, got {texts.truncated(typed)!r}{near}")


def _within(option: str, index: int, classes) -> int:
    if not 0 <= index < len(classes):
        raise Usage(f"{option}: expected a class from 0 to {len(classes) - 1}, got {index}")
    return index


def own(source: str) -> bool:
    """Whether a source's class names are its data's, and not the program's."""
    return registry.is_user_data(source)


def towards_nothing(recipe: Recipe, source: Source) -> list[str]:
    """Return a line where an attack wants a class that has no training row of its own."""
    rows = counted(source.train.labels, source.classes)
    if recipe.target_label is not None:
        return (
            []
            if rows[recipe.target_label]
            else [f"the target, {spelled(source.classes, recipe.target_label)}, has no row"]
        )
    if recipe.label_mode == "untargeted":
        return []
    attacked = recipe.source_labels or range(len(rows))
    targets = {label: (label + 1) % len(rows) for label in attacked if rows[label]}
    empty = [label for label, next_one in targets.items() if not rows[next_one]]
    some = ", ".join(f"{spelled(source.classes, y)} to {spelled(source.classes, targets[y])}" for y in empty[:LISTED])
    why = "all-to-all takes the next index, which may be a class without rows of its own (number classes without gaps)"
    return [f"{why}: {some}{', …' if len(empty) > LISTED else ''}"] if empty else []
