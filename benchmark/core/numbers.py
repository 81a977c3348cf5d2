"""The one strict reader of numbers that a file or a user spells: bounded before anything is computed from them.

`Fraction("1e-999999999")` never ends, `float("1e400")` is infinite, `int` of a million digits takes minutes, `True` is
1: whatever a text or a JSON file says is read here, or refused with a ValueError of one line.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

LARGEST = 2**63 - 1
SMALLEST = 2.0**-126  # normal number of float32
_LONGEST = 40  # characters of a number: twice what a float or an int64 needs
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,31})?")
_FLOAT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")


def decimal(text: object) -> Fraction:
    """Return a decimal as files spell it, ``0.0005``: digits and a point, no sign, no exponent; exactly."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError(f"expected a decimal such as 0.05, got {_short(text)}")
    return Fraction(text)


def share(text: object) -> Fraction:
    """Return a decimal from 0 to 1."""
    value = decimal(text)
    if value > 1:
        raise ValueError(f"expected a decimal from 0 to 1, got {_short(text)}")
    return value


def real(text: object) -> float:
    """Return a finite number in a table: ``-0.5``, ``1e-05``."""
    fits = isinstance(text, str) and len(text) <= _LONGEST and _FLOAT.fullmatch(text)
    value = float(str(text)) if fits else math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a number, got {_short(text)}")
    return value


def is_count(value: object) -> bool:
    """Is it a whole number from 0 to 2⁶³ − 1, and no truth value?"""
    return type(value) is int and 0 <= value <= LARGEST


def is_real(value: object) -> bool:
    """Is it a finite number, a whole one within 64 bits, and no truth value?"""
    return (type(value) is int and abs(value) <= LARGEST) or (type(value) is float and math.isfinite(value))


def single(value: float) -> float:
    """Return a number as float32 has it: infinite beyond its range, and 0 below its smallest normal number, to which
    compiled code may flush."""
    try:
        (found,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return found if abs(found) >= SMALLEST else 0.0


def loads(data: bytes | str, parse_float: Callable[[str], Any] | None = None) -> Any:
    """JSON whose numbers are finite and within 64 bits, and whose keys stand once. ValueError or RecursionError.

    `parse_float` is given the text of a fraction, and makes something else of it than a float.
    """
    hooks: dict[str, Any] = {"parse_constant": _constant, "object_pairs_hook": _object}
    return json.loads(data, parse_int=_integer, parse_float=parse_float or _float, **hooks)


def _integer(text: str) -> int:
    if len(text) <= 20 and abs(value := int(text)) <= LARGEST:
        return value
    raise ValueError(f"a number beyond 64 bits, {_short(text)}")


def _float(text: str) -> float:
    if len(text) > _LONGEST or not math.isfinite(value := float(text)):
        raise ValueError(f"a number out of range, {_short(text)}")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text}, which is not a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a duplicate key")
    return found


def _short(value: object) -> str:
    return f"{value!r:.40}"


def counted(count: int, one: str, more: str | None = None) -> str:
    """Return a number and what it counts: ``1 row``, ``1,200 rows``; `more` where the plural is not `one` and an s."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
