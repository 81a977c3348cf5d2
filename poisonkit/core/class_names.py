"""Which class is meant: one rule for `--target`, `--source-class` and the keys of a grid; and how classes are told.

An index is written ``index:1``. Anything else is the class of exactly that name; else, where no class has a number for
its name, a whole number is an index; else nobody could tell, and it is refused with both readings.
"""

import functools
import re
import unicodedata
from dataclasses import replace
from decimal import Decimal

import numpy as np

from poisonkit.core import label_modes, text
from poisonkit.core.errors import Usage
from poisonkit.sources import registry as sources

INDEX = re.compile(r"index:\s*([0-9]{1,18})")
WHOLE = re.compile(r"-?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
ANY_WHOLE = re.compile(r"-?[0-9]{1,255}")
MISSING = ("nan", "na", "n/a", "null", "none", "nil")
LISTED, WIDTH = 8, 40
"""Classes that a line names, and letters of each."""


def _silent(_line: str) -> None:
    pass


def resolve(request, source, say=_silent):
    """The request with an index for each class: names are looked up, the usual target is one that has rows.

    `say` is told where a name was found in another spelling. Raises `Usage` for a class that none is, or several are,
    and for classes that do not go together.
    """
    if request.clean:
        return request
    names = source.classes
    target = usual(source) if request.target is label_modes.USUAL else _index("--target", request.target, names, say)
    chosen = tuple(sorted({_index("--source-class", one, names, say) for one in request.source_classes}))
    spell = functools.partial(spelled, names)
    if wrong := label_modes.contradiction(request.label_mode, request.select, target, chosen, spell):
        raise Usage(wrong)
    return replace(request, target=target, source_classes=chosen)


def usual(source) -> int:
    """The class that an attacker wants if nothing is said: the source's own, or else the first that has rows."""
    rows, own = counted(source.train.labels, source.classes), sources.target(source.name)
    return own if own < len(rows) and rows[own] else int(np.flatnonzero(rows)[0])


def counted(rows: np.ndarray, classes) -> np.ndarray:
    """How many of some labels (n,) are of each class, (C,) int64."""
    return np.bincount(rows, minlength=len(classes))


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
            raise Usage(f"{option}: several classes are called {text.shown(typed)!r}: say which by {ways}")
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
        raise Usage(f"{option}: {len(alike)} classes read like {text.shown(typed)!r}: say which by {ways}")
    names, whole, numbers = f"({listed(classes)})", WHOLE.fullmatch(typed.strip()), any(map(is_number, classes))
    if whole and not numbers:
        return _within(option, int(whole[0]), classes)
    if whole:
        index = int(whole[0])
        other = f"{spelled(classes, index)}, written index:{index}" if 0 <= index < len(classes) else "none either"
        raise Usage(
            f"{option}: {text.shown(typed)!r} could be a name or an index here, where classes have numbers for names: "
            f"of that name there is none {names}, of that index it is {other}"
        )
    expected = f"a class from 0 to {len(classes) - 1} or a name {names}"
    if numbers:
        expected = f"a name {names}, or index:0 to index:{len(classes) - 1}"
    raise Usage(f"{option}: expected {expected}, got {text.shown(typed)!r}")


def _within(option: str, index: int, classes) -> int:
    if not 0 <= index < len(classes):
        raise Usage(f"{option}: expected a class from 0 to {len(classes) - 1}, got {index}")
    return index


def folded(name: str) -> str:
    """A name in the one spelling of what reads the same (NFC)."""
    return unicodedata.normalize("NFC", name)


def is_number(name: str) -> bool:
    """Whether a class's name is a number: ``7``, ``-1``, ``00014``, ``1.0``."""
    return NUMBER.fullmatch(name.strip()) is not None


def by_number(names, whole: re.Pattern = ANY_WHOLE) -> list[str]:
    """Names in the order of their numbers where all are `whole` numbers, else of their code points. ``1`` and ``01``,
    which are the same number, stand in the order of their code points."""
    names = sorted(names)
    return sorted(names, key=int) if all(map(whole.fullmatch, names)) else names


def spelled(classes, index: int) -> str:
    """A class for a message: ``7 (index 1)``."""
    return f"{text.shown(classes[index], WIDTH)} (index {index})" if 0 <= index < len(classes) else f"index {index}"


def listed(classes, most: int = LISTED) -> str:
    """The first names, with commas between."""
    names = [text.shown(name, WIDTH) for name in classes[:most]]
    return ", ".join([*names, *(["…"] if len(classes) > most else [])])


def own(source: str) -> bool:
    """Whether a source's class names are its data's, and not the program's."""
    return source in sources.TITLES and not sources.module(source).CLASSES


# ---------------------------------------------------------------- what should be known of them


def look_alikes(classes) -> list[str]:
    """A line for classes whose names differ only in case, in how a number is written, or not even to the eye; and for
    names that stand for a value that is missing."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_seen(name), []).append(repr(text.shown(name, WIDTH)))
    alike = [" and ".join(names) for names in groups.values() if len(names) > 1]
    lines = [f"{pair} are classes of their own: were they meant to be one?" for pair in _few(alike)]
    missing = [repr(text.shown(name, WIDTH)) for name in classes if name.casefold() in MISSING]
    return lines + [f"{name} is a class of its own: is that a label which is missing?" for name in _few(missing)]


def _few(lines: list[str]) -> list[str]:
    return [*lines[:3], f"{len(lines) - 3} more"] if len(lines) > 4 else lines


def _seen(name: str) -> str:
    """What a reader takes a name for."""
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if not is_number(plain) or len(plain) > WIDTH:
        return plain
    value = Decimal(plain)
    return str(value.normalize()) if value else "0"


def without_rows(source) -> list[str]:
    """A line for classes of which there is no training row, and for those of which there is no test row."""
    lines = []
    for part, split in (("training", source.train), ("test", source.test)):
        empty = np.flatnonzero(counted(split.labels, source.classes) == 0).tolist()
        if empty:
            some = ", ".join(spelled(source.classes, label) for label in empty[:LISTED])
            more = ", …" if len(empty) > LISTED else ""
            lines.append(f"{len(empty)} of {len(source.classes)} classes have no {part} row: {some}{more}")
    return lines


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
