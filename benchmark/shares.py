"""Shares that a user names: decimal fractions between 0 and 1, kept as text and counted exactly."""

from decimal import Decimal, InvalidOperation

from benchmark import numbers
from benchmark.errors import Usage


def parse(text: str, expected: str) -> str:
    """A share in one spelling, ``0.03``; `Usage` for what is none, in which `expected` says what was wanted."""
    try:
        share = Decimal(text.strip())
        # bounded before it is spelled out: 1e-999999999 has as many zeros
        inside = 0 < share < 1 and len(text) <= 40 and -share.as_tuple().exponent <= 18
    except InvalidOperation:  # no number, or one that cannot be compared
        inside = False
    if not inside:
        raise Usage(expected)
    return format(share.normalize(), "f")


def count(share: str, of: int) -> int:
    """⌊share · of⌋, exactly, and at least 1."""
    return max(1, int(numbers.share(share) * of))
