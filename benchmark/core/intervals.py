"""What a few runs say of all that could have been made: mean, standard deviation, 95 % intervals.

Over seeds Student's interval, for a single seed Wilson's over its images. Percentages go in and come out.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """A score in percent over the seeds of one cell.

    `low` and `high` are the 95 % interval, cut to what is possible; `over` says over what ("seeds", "images") it is,
    None where there is none. `half` is half its width before it was cut, None unless it is over seeds.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    over: str | None
    half: float | None = None

    @property
    def seeds(self) -> int:
        """The number of values."""
        return len(self.values)


def summary(
    values: Iterable[float], count: int | None = None, of: int | None = None, least: float = 0.0
) -> Summary | None:
    """Sum up one value a seed; None of no values.

    Parameters
    ----------
    values : sequence of float
        Percent, or percentage points.
    count, of : int, optional
        The images behind a single value, for Wilson's interval; without them a single value has none.
    least : float
        The least value possible: 0, or −100 for a difference. The greatest is 100.
    """
    values = tuple(float(value) for value in values)
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) > 1:
        deviation = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
        half = student(len(values) - 1) * deviation / math.sqrt(len(values))
        return Summary(values, mean, deviation, max(least, mean - half), min(100.0, mean + half), "seeds", half)
    if of and count is not None:
        return Summary(values, mean, None, *wilson(count, of), "images")
    return Summary(values, mean, None, None, None, None)


def wilson(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion, in percent (Wilson 1927, without continuity correction)."""
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    share, square = count / of, z * z / of
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return 0.0 if count == 0 else 100 * (middle - half), 100.0 if count == of else 100 * (middle + half)


@lru_cache(maxsize=256)
def student(freedom: int, level: float = LEVEL) -> float:
    """Return the two-sided quantile t of Student's distribution: P(|T| ≤ t) = level. By bisection, to the last
    digits."""
    if freedom < 1 or not 0 < level < 1:
        raise ValueError(f"expected freedom ≥ 1 and 0 < level < 1, got {freedom} and {level}")
    low, high = 0.0, 1.0
    while _beyond(high, freedom) > 1 - level:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if _beyond(middle, freedom) > 1 - level else (low, middle)


def _beyond(t: float, freedom: int) -> float:
    """P(|T| > t)."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image does not
        return 1 - incomplete_beta(b, a, 1 - x)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log) / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Its continued fraction (DLMF 8.17.22), by Lentz' method."""
    tiny = 1e-300
    d = 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    c, total = 1.0, d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            total *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return total


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
