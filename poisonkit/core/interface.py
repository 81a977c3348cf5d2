"""What the functions of the Python interface share: arguments of the right kind, errors and warnings for the caller."""

import contextvars
import functools
import numbers
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage

P = ParamSpec("P")
R = TypeVar("R")
AnyPath = str | os.PathLike[str]
PACKAGE = str(Path(__file__).parents[1]) + os.sep
MOST_THREADS = 256


LINES = re.compile(r"\s*\n\s*")
"""Ends of lines, which the values that a message quotes may have, as arrays do."""
OPTION = re.compile(r"(?<![\w-])(?:--[a-z][a-z-]*[a-z]|-o)(?![\w-])")
COMMAND = re.compile(r"(`[^`]*`|pip\b [^;]*)")
SHELL = re.compile(r" \$\(python3 -c 'import \w+; print\((.*)\)'\)")
"""An expression of Python's that a shell is to insert."""
ARGUMENTS = {
    "-o": "out",
    "--force": "force=True",
    "--no-truth": "truth=False",
    "--cover-class": "cover_classes",
    "--source-class": "source_classes",
    "--source-option": "source_options",
    "--option": "options",
}
"""Option → what does the same in Python, where that is not the argument of the same name."""


def in_python(text: str) -> str:
    """Return a message in which options of the command line are the arguments of functions: `--cover-rate` is
    `cover_rate`. Whole commands, which stand between backquotes, and pip's are left as they are."""

    def argument(found: re.Match[str]) -> str:
        option = found[0]
        plain = option.removeprefix("--").replace("-", "_") if option.startswith("--") else option
        return ARGUMENTS.get(option, plain)

    parts = COMMAND.split(SHELL.sub(r"=\1", text))
    return "".join(part if part.startswith(("`", "pip ")) else OPTION.sub(argument, part) for part in parts)


def in_a_context(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function; what it or anything beneath it sets in a context variable (code that the user named) is gone
    when it returns."""
    return contextvars.copy_context().run(function, *args, **kwargs)


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Let errors reach the caller of a function as Python has them: those of the system (no permission, a name that is
    too long) as `Failure`, in one line; options of the command line as arguments. Each call has a context of its own
    (`in_a_context`)."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return in_a_context(function, *args, **kwargs)
        except Failure as error:
            error.args = (LINES.sub(" ", in_python(str(error))),)
            raise
        except OSError as error:
            where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            raise Failure(where + files.reason(error)) from error

    return call


def warn(line: str) -> None:
    """Give a warning that points at whoever called the interface, however deep in the package it arises."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(in_python(line), stacklevel=level)


def path(value: AnyPath, name: str = "path") -> Path:
    """Return a path. `Usage` where it is none, or none that a system could have."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes) or "\0" in os.fspath(value):
        raise Usage(f"{name}: expected a path, got {value!r:.60}")
    return Path(value)


def optional_path(value: AnyPath | None, name: str = "path") -> Path | None:
    """Return a path, or None. Raises as `path` does."""
    return None if value is None else path(value, name)


def whole(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """Return a whole number, NumPy's among them, in [low, high]. `Usage` for any other."""
    fits = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not fits or (low is not None and value < low) or (high is not None and value > high):
        span = f" of at least {low}" if high is None and low is not None else f" from {low} to {high}" if high else ""
        raise Usage(f"{name}: expected a whole number{span}, got {value!r:.60}")
    return int(value)


def flag(value: Any, name: str) -> bool:
    """Return True or False. `Usage` for anything else: any text, "no" too, would count as true."""
    truth = type(value).__name__ in ("bool", "bool_")
    if not truth and not (isinstance(value, numbers.Integral) and value in (0, 1)):
        raise Usage(f"{name}: expected True or False, got {value!r:.60}")
    return bool(value)


def name(value: str, argument: str) -> str:
    """Return a name, or other text. `Usage` where it is none."""
    if not isinstance(value, str):
        raise Usage(f"{argument}: expected a name, got {value!r:.60}")
    return value


def optional_name(value: str | None, argument: str) -> str | None:
    """Return a name, or None. Raises as `name` does."""
    return None if value is None else name(value, argument)


def threads(value: int | None) -> int | None:
    """Return a number of threads, or None. `Usage` where it is out of range."""
    return None if value is None else whole(value, "threads", 1, MOST_THREADS)
