"""Commands that are printed for the user to copy: all are made here, as lists of words, and spelled for a shell.

A test runs each of them from the situation that prints it, and fails for one that it does not know. A word in capitals
(`FILE`) is for the user to replace.
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ADVICE: dict[str, Callable[..., str]] = {}
"""Every piece of advice, by the name of its function."""

OWN = ("poisonkit", "benchmark", "__main__")
PACKAGES = {"cv2": "opencv-python-headless"}
"""Module → what pip calls it, where that is another name."""

F = TypeVar("F", bound=Callable[..., str])


class Open(str):
    """A word that the user is to replace: not quoted."""


def advice(function: F) -> F:
    """Register a function that gives advice."""
    ADVICE[function.__name__] = function
    return function


def spelled(*words: object) -> str:
    """Return a command as a line for a shell."""
    return " ".join(word if isinstance(word, Open) else shlex.quote(str(word)) for word in words)


def place(path: Path | None, word: str = "FILE") -> str:
    """Return a path as a word; `word` where it is not known, or no terminal can show it."""
    if path is None or not str(path).isprintable():
        return Open(word)
    return f"./{path}" if str(path).startswith("-") else str(path)


@advice
def install(package: str) -> str:
    """Return the command that installs a package that is absent."""
    return spelled("pip", "install", package)


@advice
def reinstall(package: str) -> str:
    """Return the command that puts a broken package in order."""
    return spelled("pip", "install", "--force-reinstall", package)


@advice
def verify(path: Path | None) -> str:
    """Return the command that says all that is wrong with a file."""
    return spelled("poisonkit", "verify", place(path))


@advice
def unpack(path: Path | None = None) -> str:
    """Return the command that gives the data set of a delta."""
    return spelled("poisonkit", "unpack", place(path))


@advice
def unseal(challenge: Path | None = None, key: Path | None = None) -> str:
    """Return the command that gives the original of a sealed file."""
    words = () if key is None and challenge is None else ("--key", place(key, "KEY"))
    return spelled("poisonkit", "unseal", place(challenge), *words)


@advice
def unseal_with(key: Path | None = None) -> str:
    """Return the same, by its key."""
    return spelled("poisonkit", "unseal", Open("CHALLENGE"), "--key", place(key))


@advice
def grade_with(key: Path | None = None) -> str:
    """Return the command that grades a submission by a key."""
    return spelled("poisonkit", "grade", Open("CHALLENGE"), "--key", place(key), "--submission", Open("CSV"))


@advice
def train(path: Path | None = None) -> str:
    """Return the command that trains on a file."""
    return spelled("benchmark", "train", place(path))


@advice
def clean_file(source: str, options: dict[str, Any], user_data: bool) -> str:
    """Return the command that makes the clean file of a source with these options; `user_data`: where the data are
    the user's own, and must be named."""
    plain = {key: value for key, value in options.items() if not key.startswith("camouflage")}
    words = [word for key, value in plain.items() for word in ("--source-option", f"{key}={value}")]
    if "camouflage" in options:
        words += ["--camouflage", options["camouflage"], "--camouflage-seed", Open("N")]
    if user_data:
        words += ["--source", Open("PATH")]
    return spelled("poisonkit", "make", "--dataset", source, *words, "--rate", "0")


def unusable(error: ImportError) -> str:
    """Return what to say of a package that cannot be imported here. Faults of our own modules go on."""
    name = _package(error)
    if name in ("", *OWN):
        raise error
    importing = _importing(error)
    if isinstance(error, ModuleNotFoundError) and importing is None and "." not in (error.name or ""):
        return f"{name} is not installed: {install(PACKAGES.get(name, name))}"
    broken, why = importing or name, " ".join(str(error).split())[:200]
    return f"{broken} is installed but cannot be imported ({why}): {reinstall(PACKAGES.get(broken, broken))}"


def _importing(error: ImportError) -> str | None:
    """Return the package that our own code was importing when another could not be imported; None where it was that
    one itself."""
    package, trace = None, error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "").split(".")[0]
        if name in OWN:
            package = None
        elif package is None and name != "importlib":
            package = name
        trace = trace.tb_next
    return package


def _package(error: ImportError) -> str:
    """Return the package that could not be imported: the error's own word, else where it was raised."""
    name, trace = error.name, error.__traceback__
    while name is None and trace is not None:
        if trace.tb_next is None:
            name = trace.tb_frame.f_globals.get("__name__")
        trace = trace.tb_next
    return (name or "").split(".")[0]
