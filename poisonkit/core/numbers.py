"""The one strict reader of numbers in JSON and tables that may be a stranger's: finite, within 64 bits, as usual.

`float("1_0")`, `float("1e400")`, `json.loads("NaN")` and `int` of a million digits are all accepted by Python.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

LARGEST = 2**63 - 1
_LONGEST = 40  # characters of a number: twice what a float or an int64 needs
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


def real(text: str) -> float:
    """Return a finite number in a table: ``-0.5``, ``1e-05``. ValueError for anything else."""
    value = float(text) if len(text) <= 400 and _FLOAT.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {text!r:.40}")
    return value


def loads(data: bytes | str, parse_float: Callable[[str], Any] | None = None) -> Any:
    """JSON whose numbers are finite and within 64 bits. ValueError or RecursionError where it is none.

    `parse_float` makes something else of a fraction than a float: what it is given is its text.
    """
    return json.loads(data, parse_int=_integer, parse_float=parse_float or _float, parse_constant=_constant)


def _integer(text: str) -> int:
    if len(text) <= 20 and abs(value := int(text)) <= LARGEST:
        return value
    raise ValueError(f"a number beyond 64 bits, {text:.20}")


def _float(text: str) -> float:
    if len(text) > _LONGEST or not math.isfinite(value := float(text)):
        raise ValueError(f"a number out of range, {text:.20}")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text}, which is not a number")


def counted(count: int, one: str, more: str | None = None) -> str:
    """Return a number and what it counts: ``1 row``, ``1,200 rows``; `more` where the plural is not `one` and an s."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
