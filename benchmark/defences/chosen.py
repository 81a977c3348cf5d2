"""Which methods with which settings: names, `all`, and functions in files, parsed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from benchmark.core import extras
from benchmark.core.errors import Failure, Usage
from benchmark.defences import options, own
from benchmark.defences.context import DefenceContext
from benchmark.defences.registry import WHOLE, Registry, S
from benchmark.defences.subject import Asked
from benchmark.nn.own import Source
from benchmark.training.metrics import Json

ALL = "all"


class Unserved(Failure):
    """A method that a run cannot serve."""


@dataclass(frozen=True)
class Chosen(Generic[S]):
    """A method, its settings by name, and the code that it is, where that is the user's. `beside`: it stands beside
    those that were asked for; a run that cannot serve it is no failure. `of_all`: it was not named, but is one of all:
    that a run cannot serve it is said, and no failure either."""

    spec: S
    settings: dict[str, Any]
    code: Source | None = None
    beside: bool = False
    of_all: bool = False

    @property
    def config(self) -> Json:
        """What decides its result besides the run, as the configuration has it."""
        found: Json = {"defence": self.spec.name, "settings": self.settings}
        if self.code is not None:
            found["code"] = {"digest": self.code.digest, "function": self.code.function}
        return found

    def depends(self, folder: Path) -> Json:
        """Return what of a run's folder decides the result besides the settings, as a result has it. Raises as
        `check`."""
        if self.spec.depends is None:
            return {}
        try:
            return {"depends": self.spec.depends(folder, **self.settings)}
        except Failure as error:
            raise self._unserved(folder, error) from None

    def asked(self, asked: Asked) -> Asked:
        """Return what of all that is asked is for this method: no drawn rows for one that has to see all of them."""
        return replace(asked, rows=None) if getattr(self.spec, "judges", None) == WHOLE else asked

    def check(self, context: DefenceContext) -> None:
        """Raise `Unserved` where a package is missing, or the run has not what the method needs or its settings ask
        for: said in one line."""
        try:
            for package in self.spec.packages:
                extras.check(package, self.spec.extra)
            for need in self.spec.needs:
                need.check(context)
            if self.spec.ready is not None:
                self.spec.ready(context, **self.settings)
        except Failure as error:
            raise self._unserved(context.run.folder, error) from None

    def _unserved(self, folder: Path, error: Failure) -> Unserved:
        words = str(error).removeprefix(f"{folder}: ")  # which whoever shows it puts before all
        return Unserved(f"{self.spec.name}: {words}")


def choose(
    registry: Registry[S], methods: Sequence[str], given: Sequence[str], beside: Sequence[str] = ()
) -> list[Chosen[S]]:
    """Parse the values of `--method` and `--option`. Methods of `beside` come first, where they are not named.

    Raises
    ------
    Usage
        If a method is unknown or named twice, or an option is (see `options.parse`).
    Failure
        If the code of one's own fails.
    """
    if not methods:
        raise Usage(f"--method: expected {ALL}, {', '.join(registry)} or {own.EXPECTED}")
    specs: dict[str, tuple[S, Source | None]] = {name: (registry[name], None) for name in beside}
    named, by_name = set[str](), set[str]()
    for typed in methods:
        found = _meant(registry, typed)
        for spec, code in found:
            if spec.name in named and len(found) == 1 and ALL not in methods:
                raise Usage(f"--method {spec.name}: given twice")
            named.add(spec.name)
            by_name |= {spec.name} if typed.strip().lower() != ALL else set()
            specs[spec.name] = spec, code
    settings = options.parse(given, {name: spec.options for name, (spec, _) in specs.items()})
    return [
        Chosen(spec, settings[name], code, name not in named, name in named - by_name)
        for name, (spec, code) in specs.items()
    ]


def _meant(registry: Registry[S], typed: str) -> list[tuple[S, Source | None]]:
    if typed.strip().lower() == ALL:
        return [(spec, None) for spec in registry.every()]
    if own.is_spelled(typed):
        return [own.spec_of(typed, registry)]  # type: ignore[list-item]
    return [(registry.find(typed), None)]
