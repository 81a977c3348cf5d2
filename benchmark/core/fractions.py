"""Shares that a user names: decimal fractions between 0 and 1, kept as text and counted exactly."""

from decimal import Decimal, InvalidOperation

from benchmark.core import numbers
from benchmark.core.errors import Usage

MOST_DIGITS = 18


def parse(text: str, expected: str) -> str:
    """Return a share, as a fraction (``0.03``) or in percent (``3%``), in its one spelling; `Usage` for what is none,
    in which `expected` says what was wanted."""
    percent = text.strip().endswith("%")
    try:
        share = Decimal(text.strip().removesuffix("%"))
        # bounded before it is spelled out: 1e-999999999 has as many zeros
        inside = 0 < share < (100 if percent else 1) and len(text) <= 40
        inside = inside and max(len(share.as_tuple().digits), -int(share.as_tuple().exponent)) <= MOST_DIGITS
    except InvalidOperation:  # no number, or one that cannot be compared
        inside = False
    if not inside:
        raise Usage(expected)
    return format((share.scaleb(-2) if percent else share).normalize(), "f")


def count(share: str, of: int) -> int:
    """⌊share · of⌋, exactly, and at least 1."""
    return max(1, int(numbers.share(share) * of))
