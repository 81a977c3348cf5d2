"""The settings of a method, as data: what commands, help and documentation say of them, and how they are parsed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.core import naming, numbers
from benchmark.core.errors import Usage

WORDS = {True: ("yes", "true", "on", "1"), False: ("no", "false", "off", "0")}
OPTION = "--option"


@dataclass(frozen=True)
class Option:
    """One setting of a method.

    Parameters
    ----------
    name : str
        In the configuration and after `--option`, with underscores.
    help : str
        A sentence.
    type : type
        int, float, str or bool.
    default : int, float, str, bool or None
        None: chosen from the run; `help` says how.
    above, below, least, most : float, optional
        Its range, exclusive and inclusive bounds.
    choices : tuple of str
        The words that it may be.
    parse : callable, optional
        Text → its one spelling, of a value that is a list or a share; raises `Usage` or ValueError: what was expected,
        and what came.
    source : str
        Where the default comes from: the paper's section, or the published code.
    """

    name: str
    help: str
    type: type
    default: Any
    above: float | None = None
    below: float | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    source: str = ""

    @property
    def range(self) -> str:
        """What it may be, in words: `yes or no`, `mean or max`, `a number above 0, at most 1`."""
        if self.type is bool:
            return "yes or no"
        if self.choices:
            return " or ".join(self.choices)
        kind = {int: "a whole number", float: "a number", str: "text"}[self.type]
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("above", self.above), ("from", self.least), ("below", self.below), ("at most", self.most)
            )
            if bound is not None
        ]  # fmt: skip
        return ", ".join([f"{kind} {bounds[0]}", *bounds[1:]]) if bounds else kind

    def value(self, given: Any, method: str) -> Any:
        """Return a value as the method takes it, of text or of a value of its type.

        Raises `Usage`: what was expected, and what came.
        """
        where = f"{OPTION} {method}.{self.name}"
        if given is None and self.default is None:
            return None
        if self.parse is not None:
            return self._parsed_by_its_own(where, given)
        if self.choices:
            return naming.one_of(given, self.choices, lambda words: Usage(f"{where}: {words}"))
        if self.type is bool:
            return self._truth(where, given)
        if self.type is str:
            return given if isinstance(given, str) and given else self._wrong(where, given)
        return self._number(where, given)

    def _parsed_by_its_own(self, where: str, given: Any) -> Any:
        if self.parse is None or not isinstance(given, str):
            return self._wrong(where, given)
        try:
            return self.parse(given)
        except (Usage, ValueError) as error:
            raise Usage(f"{where}: {error}") from None

    def _truth(self, where: str, given: Any) -> bool:
        text = str(given).strip().lower()
        for truth, words in WORDS.items():
            if given is truth or (isinstance(given, str) and text in words):
                return truth
        return self._wrong(where, given)

    def _number(self, where: str, given: Any) -> int | float:
        value = given
        if isinstance(given, str):
            try:
                value = self._parsed(given.strip())
            except ValueError:
                self._wrong(where, given)
        if self.type is float and type(value) is int:
            value = float(value)
        sound = type(value) is self.type and numbers.is_real(value)
        if sound and type(value) is float and value:  # computed in float32, it would be another number
            sound = 0 < abs(numbers.single(value)) < math.inf
        if not sound or not self._inside(value):
            self._wrong(where, given)
        return value

    def _parsed(self, text: str) -> int | float:
        if self.type is int:
            value = numbers.real(text)
            if value != int(value) or abs(value) > numbers.LARGEST or "." in text or "e" in text.lower():
                raise ValueError
            return int(text)
        return numbers.real(text.removesuffix("%")) / 100 if text.endswith("%") else numbers.real(text)

    def _inside(self, value: float) -> bool:
        return not (
            (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
            or (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
        )

    def _wrong(self, where: str, given: Any) -> Any:
        raise Usage(f"{where}: expected {self.range}, got {given!r:.60}")


def parse(given: Sequence[str], methods: Mapping[str, Iterable[Option]]) -> dict[str, dict[str, Any]]:
    """Parse `NAME=VALUE` and `METHOD.NAME=VALUE` to the settings of each method, defaults included.

    Parameters
    ----------
    given : sequence of str
        Values of `--option`. One without a method is for every method named that has it.
    methods : mapping
        Method → its options.

    Raises
    ------
    Usage
        If one is spelled otherwise, given twice, of no method named, or out of its range.
    """
    chosen: dict[tuple[str, str], str] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name.strip():
            raise Usage(f"{OPTION}: expected NAME=VALUE or METHOD.NAME=VALUE, got {text!r:.60}")
        for key in _meant(name.strip(), methods):
            if key in chosen:
                raise Usage(f"{OPTION} {'.'.join(key)}: given twice, {chosen[key]!r:.40} and {value!r:.40}")
            chosen[key] = value
    return {method: complete(method, options, {name: text for (of, name), text in chosen.items() if of == method})
            for method, options in methods.items()}  # fmt: skip


def complete(method: str, options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a method: those given, text or values, and the defaults. `Usage` for an unknown name."""
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            near = naming.hint(name, known) if known else ""
            raise Usage(f"{OPTION} {method}.{name}: {method} has no such option{near or _those(known)}")
    return {name: option.value(given.get(name, option.default), method) for name, option in known.items()}


def _meant(name: str, methods: Mapping[str, Iterable[Option]]) -> list[tuple[str, str]]:
    """Return the methods, each with the option, that a name stands for."""
    method, found, option = name.partition(".")
    if found:
        if (known := naming.understood(method, methods)) is None:
            raise Usage(f"{OPTION} {name}: {method!r:.40} is not a --method that was named: {', '.join(methods)}")
        return [(known, option.replace("-", "_"))]
    option = name.replace("-", "_")
    having = [(one, option) for one, options in methods.items() if option in {each.name for each in options}]
    if not having:
        every = dict.fromkeys(each.name for options in methods.values() for each in options)
        raise Usage(f"{OPTION} {name}: no --method named has such an option{naming.hint(name, every) or _those(every)}")
    return having


def _those(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"; there are {names}" if names else "; it has none"
