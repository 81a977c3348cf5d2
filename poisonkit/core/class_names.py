"""The names of classes: how they are sorted, compared and spelled in a message."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from poisonkit.core import texts

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
ANY_WHOLE = re.compile(r"-?[0-9]{1,255}")
MISSING = ("nan", "na", "n/a", "null", "none", "nil")
LISTED, WIDTH = 8, 40
"""Classes that a line names, and letters of each."""


def counted(rows: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """How many of some labels (n,) are of each class, (C,) int64."""
    return np.bincount(rows, minlength=len(classes))


def folded(name: str) -> str:
    """Return a name in the one spelling of what reads the same (NFC)."""
    return unicodedata.normalize("NFC", name)


def is_number(name: str) -> bool:
    """Whether a class's name is a number: ``7``, ``-1``, ``00014``, ``1.0``."""
    return NUMBER.fullmatch(name.strip()) is not None


def by_number(names: Iterable[str], whole: re.Pattern[str] = ANY_WHOLE) -> list[str]:
    """Names in the order of their numbers where all are `whole` numbers, else of their code points. ``1`` and ``01``,
    which are the same number, stand in the order of their code points."""
    names = sorted(names)
    return sorted(names, key=int) if all(map(whole.fullmatch, names)) else names


def spelled(classes: Sequence[str], index: int) -> str:
    """Return a class for a message: ``7 (index 1)``."""
    return (
        f"{texts.truncated(classes[index], WIDTH)} (index {index})" if 0 <= index < len(classes) else f"index {index}"
    )


def listed(classes: Sequence[str], most: int = LISTED) -> str:
    """Return the first names, with commas between."""
    names = [texts.truncated(name, WIDTH) for name in classes[:most]]
    return ", ".join([*names, *(["…"] if len(classes) > most else [])])


# ---------------------------------------------------------------- what should be known of them


def look_alikes(classes: Sequence[str]) -> list[str]:
    """Return a line for classes whose names differ only in case, in how a number is written, or not even to the eye;
    and for names that stand for a value that is missing."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_seen(name), []).append(repr(texts.truncated(name, WIDTH)))
    alike = [" and ".join(names) for names in groups.values() if len(names) > 1]
    lines = [f"{pair} are classes of their own: were they meant to be one?" for pair in _few(alike)]
    missing = [repr(texts.truncated(name, WIDTH)) for name in classes if name.casefold() in MISSING]
    return lines + [f"{name} is a class of its own: is that a label which is missing?" for name in _few(missing)]


def _few(lines: list[str]) -> list[str]:
    return [*lines[:3], f"{len(lines) - 3} more"] if len(lines) > 4 else lines


def _seen(name: str) -> str:
    """Return what a reader takes a name for."""
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if not is_number(plain) or len(plain) > WIDTH:
        return plain
    value = Decimal(plain)
    return str(value.normalize()) if value else "0"


def without_rows(source: Any) -> list[str]:
    """Return a line for classes of which there is no training row, and for those of which there is no test row."""
    lines = []
    for part, split in (("training", source.train), ("test", source.test)):
        empty = np.flatnonzero(counted(split.labels, source.classes) == 0).tolist()
        if empty:
            some = ", ".join(spelled(source.classes, label) for label in empty[:LISTED])
            more = ", …" if len(empty) > LISTED else ""
            lines.append(f"{len(empty)} of {len(source.classes)} classes have no {part} row: {some}{more}")
    return lines
