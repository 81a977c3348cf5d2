"""What the functions of the Python interface share: numbers of any kind, errors and warnings for the caller."""

import decimal
import functools
import logging
import numbers
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from benchmark.core.errors import Failure, Usage

P = ParamSpec("P")
R = TypeVar("R")
INSIDE = str(Path(__file__).parents[1]) + os.sep, logging.__file__


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors of the system (no permission, a full disk) reach the caller as `Failure`, in one line."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            raise Failure(where + (error.strerror or str(error))) from error

    return call


class AsWarnings(logging.Handler):
    """Turns what the modules warn of into Python's warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            warnings.warn(record.getMessage(), stacklevel=_depth())


def _depth() -> int:
    """Return the `stacklevel` of whoever called the interface, however deep in the package a warning arises."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame, level = frame.f_back, level + 1
    return level


def flag(value: Any, name: str) -> bool:
    """Return True or False. `Usage` for anything else: any text, "no" too, would count as true."""
    truth = type(value).__name__ in ("bool", "bool_")
    if not truth and not (isinstance(value, numbers.Integral) and value in (0, 1)):
        raise Usage(f"{name}: expected True or False, got {value!r:.60}")
    return bool(value)


def plain(value: Any) -> Any:
    """Return Python's number for one of NumPy or `decimal`: of a float, the one that is written the same."""
    if type(value) in (bool, int, float):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(str(value)) if isinstance(value, numbers.Real | decimal.Decimal) else value
