"""Parse the numbers, choices and sizes that a user types as options."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from poisonkit.core import naming
from poisonkit.core.errors import Usage

DEFAULT_PATCH = 8


MINUS = "\N{MINUS SIGN}"
"""What word processors and web pages have in the place of a hyphen before a number."""


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in [low, high]."""

    def parse(text: str) -> int:
        try:
            value = int(text.replace(MINUS, "-"))
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {text!r}")
        return value

    return parse


def decimal(low: str, high: str) -> Callable[[str], str]:
    """Return a parser of decimal fractions in [low, high], kept as a string in one spelling."""

    def parse(text: str) -> str:
        try:
            value = Decimal(text.strip().replace(MINUS, "-"))
            inside = Decimal(low) <= value <= Decimal(high)
        except InvalidOperation:
            inside = False
        if not inside or max(len(value.as_tuple().digits), -int(value.as_tuple().exponent)) > 12:
            raise ValueError(f"expected a decimal number from {low} to {high}, got {text!r}")
        return spell(value)

    return parse


def spell(value: Decimal) -> str:
    """Return a decimal in its one spelling: no exponent, no trailing zeros."""
    return format(value.normalize(), "f") if value else "0"


def choice(*names: str) -> Callable[[str], str]:
    """Return a parser of one of several names, in whatever spelling (`naming`), to that name."""

    def parse(text: str) -> str:
        return naming.one_of(text, names, ValueError)

    return parse


SAME = "same"


def or_same(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser of what another parser takes, or of the word `SAME`: what test rows get is what training rows
    get."""

    def parse_either(text: str) -> Any:
        if text.strip().casefold() == SAME:
            return SAME
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error}; or {SAME}") from None

    return parse_either


def several(parse: Callable[[str], Any], most: int = 1000) -> Callable[[str], list[Any]]:
    """Return a parser of one value or more, separated by commas."""

    def parse_all(text: str) -> list[Any]:
        parts = text.split(",")
        if len(parts) > most:
            raise ValueError(f"expected at most {most:,} values, got {len(parts):,}")
        return [parse(part.strip()) for part in parts]

    return parse_all


def parse_patch(text: str) -> tuple[int, int]:
    """``8`` or ``8x4`` (height × width) in pixels."""
    parts = text.lower().replace("×", "x").split("x")
    if not 1 <= len(parts) <= 2 or not all(_small(part) and int(part) > 0 for part in parts):
        raise Usage(f"--patch-size: expected a number of pixels (8) or height x width (8x4), got {text!r}")
    return int(parts[0]), int(parts[-1])


def _small(text: str) -> bool:
    """Whether a text is a whole number of at most five digits (far longer ones cannot even be converted)."""
    return text.isdecimal() and len(text) <= 5
