"""What is found in a folder, one file a thing: triggers, sources, export formats.

Each module of such a folder has one `SPEC`, a frozen dataclass with a `name`: the module's own, with hyphens for
underscores. So a new one is one file, and no table has to be changed. Names are read from the folders, and nothing is
imported before a spec is asked for. Modules whose names begin with an underscore are left out.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from poisonkit.core import naming
from poisonkit.core.errors import Usage


class Named(Protocol):
    """What every spec has."""

    @property
    def name(self) -> str:
        """Its name on the command line and in manifests."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """What others call it; understood on the command line, never stored."""


S = TypeVar("S", bound=Named)


class Registry(Generic[S]):
    """The specs of one type in the folders of some packages, in the order of the packages, then by name.

    Parameters
    ----------
    unknown : str
        How the message about an unknown name begins (``unknown trigger``).
    spec : type
        The class that every `SPEC` is an instance of.
    packages : str
        The dotted names of the packages.
    """

    def __init__(self, unknown: str, spec: type[S], *packages: str) -> None:
        self._unknown, self._spec, self._packages = unknown, spec, packages

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Name → dotted name of its module; the folders are listed once a process."""
        return {
            module.name.replace("_", "-"): f"{package}.{module.name}"
            for package in self._packages
            for module in sorted(pkgutil.iter_modules(importlib.import_module(package).__path__), key=lambda m: m.name)
            if not module.name.startswith("_")
        }

    def names(self) -> list[str]:
        """All names."""
        return list(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[S]:
        return map(self.__getitem__, self.names())

    def find(self, typed: str) -> str:
        """Return the name that is meant by what somebody typed (`naming`). Raises `Usage` as `[]` does where it is
        none, or could be several. Only for a name that is not on the list are all specs imported."""
        found = typed if typed in self._modules else naming.understood(typed, self._modules, self._aliases)
        if found is None:
            raise self._none(typed)
        return found

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """Alias → name; none of a module without a fitting spec, which whoever asks for it hears of."""
        specs = {name: getattr(importlib.import_module(module), "SPEC", None) for name, module in self._modules.items()}
        return {alias: name for name, spec in specs.items() for alias in getattr(spec, "aliases", ())}

    def _none(self, typed: str) -> Usage:
        near = naming.hint(typed, self._modules, self._aliases)
        return Usage(f"{self._unknown} {typed!r:.60}: expected one of {', '.join(self._modules)}{near}")

    def __getitem__(self, name: str) -> S:
        """Return the spec of exactly that name, as manifests have it. Raises `Usage` for an unknown one: the message
        lists the known ones."""
        modules = self._modules
        if name not in modules:
            raise self._none(name)
        spec = getattr(importlib.import_module(modules[name]), "SPEC", None)
        if not isinstance(spec, self._spec) or spec.name != name:
            raise TypeError(
                f"{modules[name]}: expected SPEC = {self._spec.__name__}(name={name!r}, …), got {spec!r:.80}"
            )
        return spec
