"""Which class `--target`, `--source-class` and a grid's keys mean; one rule for all of them.

An index is written ``index:1``. Anything else is the class of exactly that name; else, where no class has a number for
its name, a whole number is an index; else nobody could tell, and it is refused with both readings.
"""

import functools
import re
from dataclasses import replace

import numpy as np

from poisonkit.core import label_modes, texts
from poisonkit.core.class_names import LISTED, counted, folded, is_number, listed, spelled
from poisonkit.core.errors import Usage
from poisonkit.sources import registry

INDEX = re.compile(r"index:\s*([0-9]{1,18})")
WHOLE = re.compile(r"-?[0-9]{1,18}")


def _silent(_line: str) -> None:
    pass


def resolve_class_names(request, source, say=_silent):
    """The request with an index for each class: names are looked up, the usual target is one that has rows.

    `say` is told where a name was found in another spelling. Raises `Usage` for a class that none is, or several are,
    and for classes that do not go together.
    """
    if request.clean:
        return request
    names = source.classes
    target = request.target
    target = default_target(source) if target is label_modes.USUAL else _index("--target", target, names, say)
    chosen = tuple(sorted({_index("--source-class", one, names, say) for one in request.source_classes}))
    spell = functools.partial(spelled, names)
    if wrong := label_modes.contradiction(request.label_mode, request.select, target, chosen, spell):
        raise Usage(wrong)
    return replace(request, target=target, source_classes=chosen)


def default_target(source) -> int:
    """The class that an attacker wants if nothing is said: the source's own, or else the first that has rows."""
    rows, own = counted(source.train.labels, source.classes), registry.default_target(source.name)
    return own if own < len(rows) and rows[own] else int(np.flatnonzero(rows)[0])


def _index(option: str, typed, classes, say) -> int | None:
    """The index of a class as it was typed; an `int` is one already, None stays None."""
    if not isinstance(typed, str):
        return typed
    if found := INDEX.fullmatch(typed.strip()):
        return _within(option, int(found[1]), classes)
    for wanted in (typed, typed.strip()):
        same = [label for label, name in enumerate(classes) if name == wanted]
        if len(same) > 1:
            ways = ", ".join(f"index:{label}" for label in same[:LISTED])
            raise Usage(f"{option}: several classes are called {texts.truncated(typed)!r}: say which by {ways}")
        if same:
            return same[0]
    alike = [label for label, name in enumerate(classes) if folded(name) == folded(typed.strip())]
    if len(alike) == 1:
        say(f"{option}: {spelled(classes, alike[0])} is written with other code points than what was typed (NFC, NFD)")
        return alike[0]
    return _by_number(option, typed, classes, alike)


def _by_number(option: str, typed: str, classes, alike: list[int]) -> int:
    """The index that a whole number is where no class's name is a number; else `Usage` with every reading."""
    if alike:
        ways = " or ".join(f"index:{label}" for label in alike[:LISTED])
        raise Usage(f"{option}: {len(alike)} classes read like {texts.truncated(typed)!r}: say which by {ways}")
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
    raise Usage(f"{option}: expected {expected}, got {texts.truncated(typed)!r}")


def _within(option: str, index: int, classes) -> int:
    if not 0 <= index < len(classes):
        raise Usage(f"{option}: expected a class from 0 to {len(classes) - 1}, got {index}")
    return index


def own(source: str) -> bool:
    """Whether a source's class names are its data's, and not the program's."""
    return registry.is_user_data(source)


def towards_nothing(request, source) -> list[str]:
    """A line where an attack wants a class that has no training row of its own."""
    rows = counted(source.train.labels, source.classes)
    if request.target is not None:
        return [] if rows[request.target] else [f"the target, {spelled(source.classes, request.target)}, has no row"]
    attacked = request.source_classes or range(len(rows))
    wanted = {label: (label + 1) % len(rows) for label in attacked if rows[label]}
    empty = [label for label, next_one in wanted.items() if not rows[next_one]]
    some = ", ".join(f"{spelled(source.classes, y)} to {spelled(source.classes, wanted[y])}" for y in empty[:LISTED])
    why = "all-to-all takes the next index, which may be a class without rows of its own (number classes without gaps)"
    return [f"{why}: {some}{', …' if len(empty) > LISTED else ''}"] if empty else []
