"""Triggers that installed packages bring: entry points of the group `poisonkit.triggers`.

Each is known as PACKAGE.NAME, so that none has the name of a trigger of ours, today or later. Nothing of a package is
imported before one of its triggers is asked for.
"""

import functools
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from poisonkit.core import texts
from poisonkit.core.errors import Failure
from poisonkit.triggers import own_code
from poisonkit.triggers.base import NOT_INSTALLED, Parameters
from poisonkit.triggers.image_base import BuiltTrigger, ImageContext, ImageTrigger, Tile

GROUP = "poisonkit.triggers"
VERSION = "version"  # of the package, in a recipe
RESERVED = ("name", VERSION)
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}\.[a-z0-9][a-z0-9_-]{0,30}", re.ASCII)


@dataclass(frozen=True)
class Packaged:
    """A trigger of a package: PACKAGE.NAME, the package's version, and its entry point."""

    label: str
    version: str
    entry: metadata.EntryPoint

    def owns(self, file: str) -> bool:
        """See `own_code.Code`: whatever lies beside the module that the entry point names."""
        import sys

        module = sys.modules.get(self.entry.module)
        place = getattr(module, "__file__", None)
        return place is not None and Path(file).is_relative_to(Path(place).parent)

    def parameters(self, options: dict[str, str]) -> dict[str, str]:
        """Return what a recipe says of it, with options as they were typed."""
        own_code.check_keys(options, RESERVED)
        return {VERSION: self.version, **options}

    def function(self) -> Any:
        """Import it. Raises `Failure` in one line where that fails, or it is no function."""
        with own_code.one_line(self):
            found = self.entry.load()
        if not callable(found):
            raise Failure(f"{self.label}: {self.entry.value} is no function")
        return found


@functools.cache
def installed() -> dict[str, Packaged]:
    """Return the triggers of all installed packages, by PACKAGE.NAME; what has another kind of name is left out."""
    found = {}
    for entry in metadata.entry_points(group=GROUP):
        if entry.dist is None:
            continue
        package = re.sub(r"[-_.]+", "-", entry.dist.name).lower()
        label = f"{package}.{entry.name}"
        if _WORD.fullmatch(label):
            found[label] = Packaged(label, entry.dist.version, entry)
    return dict(sorted(found.items()))


def unknown(name: str, parameters: Parameters) -> str | None:
    """Say in a few words why a recipe's trigger cannot be made here; None where it can."""
    one = installed().get(name)
    if one is None:
        package, version = name.partition(".")[0], texts.printable(str(parameters.get(VERSION)))
        return f"trigger {name!r:.70}{NOT_INSTALLED}: install {package:.40} {version:.40} if you trust its code"
    if one.version != parameters.get(VERSION):
        return f"trigger {name} of version {parameters.get(VERSION)!s:.40}, {one.version} is installed"
    return None


def check(name: str, parameters: Parameters) -> None:
    """Import a trigger of an installed package, and hold the options of a recipe against its function. Raises as
    `own.check`."""
    if (one := installed().get(name)) is not None:
        own_code.arguments(one, one.function(), _options(parameters))


def _options(parameters: Parameters) -> dict[str, str]:
    return {key: str(value) for key, value in parameters.items() if key not in RESERVED}


def spec(name: str) -> ImageTrigger | None:
    """Return the trigger of that name, None where no installed package has it. Nothing is imported yet."""
    one = installed().get(name)
    if one is None:
        return None

    def build(parameters: Parameters, tile: Tile, context: ImageContext) -> BuiltTrigger:
        return own_code.build(one, one.function(), _options(parameters), tile, context)

    return ImageTrigger(
        name=name, summary=f"of the package {name.partition('.')[0]} {one.version}", free=True, build=build
    )
