"""The packages that an installation may lack, each of an extra of `poisonkit`: absent, too old or broken is one line.

Whoever needs one asks here, at the start of what may take long, and is told what to install.
"""

import importlib
from importlib.util import find_spec
from typing import Any

from benchmark.core import hints
from benchmark.core.errors import Failure

EXTRAS = {
    "keras": ("benchmark", "3.12"),
    "tensorflow": ("benchmark", "2.18"),
    "jax": ("jax", "0.4.30"),
    "torch": ("torch", "2.4"),
    "tokenizers": ("text", "0.19"),
    "safetensors": ("text", "0.4.3"),
    "matplotlib": ("report", "3.8"),
    "distributed": ("cluster", "2024.5"),
    "umap-learn": ("defences", "0.5.6"),
    "hdbscan": ("defences", "0.8.40"),
}
"""Package → the extra that it comes with, and the least version that will do: as in setup.cfg (a test compares)."""

MODULES = {"umap-learn": "umap"}
"""Packages that are imported by another name."""


def check(name: str, extra: str | None = None) -> None:
    """`Failure` where a package is absent or too old; nothing is imported.

    `extra` is the one to install where it is not the package's own (Keras comes with each backend).
    """
    from importlib import metadata  # every command imports this module, and it brings half of `email`

    own, least = EXTRAS[name]
    command = hints.install(extra or own)
    if not _there(MODULES.get(name, name)):
        raise Failure(f"{name} is not installed: {command}")
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:  # a build under another name, as tensorflow-cpu
        return
    if _numbers(version) < _numbers(least):
        raise Failure(f"{name} {version} is too old, {least} or newer is needed: {command}")


def need(name: str, extra: str | None = None) -> Any:
    """Return the package, imported. `Failure` where it is absent, too old, or cannot be imported."""
    check(name, extra)
    try:
        return importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # half of an installation fails in any way that it likes
        raise Failure(broken(name, error, extra)) from None


def problem(name: str) -> str | None:
    """Why a package cannot be used, in one line with what to install; None where it can."""
    try:
        need(name)
    except Failure as error:
        return str(error)
    return None


def broken(name: str, error: Exception, extra: str | None = None) -> str:
    """Return what to say of a package that is there and cannot be imported."""
    module = MODULES.get(name, name)
    absent = isinstance(error, ModuleNotFoundError) and (error.name or module).split(".")[0] != module
    extra = extra or EXTRAS.get(name, (None,))[0]
    mend = hints.install(extra) if absent and extra else hints.reinstall(name)
    why = " ".join(str(error).split())[:160] or type(error).__name__
    return f"{name} is installed but cannot be imported ({why}): {mend}"


def unusable(error: ImportError) -> str:
    """Return what to say of a package that everybody has, and that cannot be imported here. Our own modules' faults go
    on."""
    name = _package(error)
    if name in ("", "benchmark", "poisonkit", "__main__"):
        raise error
    if isinstance(error, ModuleNotFoundError):
        return f"{name} is not installed: {hints.reinstall_all()}"
    return broken(name, error)


def _package(error: ImportError) -> str:
    """Return the package that could not be imported: the error's own word, else where it was raised."""
    name, trace = error.name, error.__traceback__
    while name is None and trace is not None:
        if trace.tb_next is None:
            name = trace.tb_frame.f_globals.get("__name__")
        trace = trace.tb_next
    return (name or "").split(".")[0]


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (3, 10) of `3.10rc1`."""
    numbers = version[: len(version) - len(version.lstrip("0123456789."))]
    return tuple(int(part) for part in numbers.split(".") if part)
