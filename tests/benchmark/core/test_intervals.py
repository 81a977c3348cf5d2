"""Intervals against published tables, against other ways to compute them, and against chance itself."""

import math
import random
import statistics as plain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core import intervals

QUANTILES = {  # two-sided 95 %, from the usual table
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 14: 2.145,
    19: 2.093, 24: 2.064, 29: 2.045, 40: 2.021, 60: 2.000, 120: 1.980,
}  # fmt: skip


@pytest.mark.parametrize("freedom", QUANTILES)
def test_student_s_quantiles_are_those_of_the_table(freedom):
    assert round(intervals.student(freedom), 3) == QUANTILES[freedom]


@given(st.floats(0.001, 0.999))
def test_student_s_quantile_where_it_has_a_formula(level):
    assert intervals.student.__wrapped__(1, level) == pytest.approx(math.tan(math.pi * level / 2), rel=1e-9)
    exact = level * math.sqrt(2 / (1 - level**2))
    assert intervals.student.__wrapped__(2, level) == pytest.approx(exact, rel=1e-9)


def test_student_s_quantile_goes_to_the_normal_one():
    assert intervals.student(10**6) == pytest.approx(plain.NormalDist().inv_cdf(0.975), abs=1e-5)
    with pytest.raises(ValueError, match="freedom"):
        intervals.student(0)


@given(st.floats(0.5, 50), st.floats(0.5, 50), st.integers(0, 2**30).map(lambda k: k / 2**30))  # 1 − x is exact
def test_the_incomplete_beta_function_is_symmetric_and_between_0_and_1(a, b, x):
    value = intervals.incomplete_beta(a, b, x)
    assert -1e-12 <= value <= 1 + 1e-12
    assert value + intervals.incomplete_beta(b, a, 1 - x) == pytest.approx(1, abs=1e-9)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.01, 0.99))
def test_the_incomplete_beta_function_is_a_binomial_tail(a, b, x):
    n = a + b - 1
    tail = math.fsum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert intervals.incomplete_beta(a, b, x) == pytest.approx(tail, rel=1e-9, abs=1e-14)


def test_wilson_s_interval_of_a_textbook_example():
    low, high = intervals.wilson(15, 148)  # Newcombe 1998, table I: 0.0624 to 0.1605
    assert (round(low, 2), round(high, 2)) == (6.24, 16.05)
    low, high = intervals.wilson(81, 263)  # 0.2553 to 0.3662
    assert (round(low, 2), round(high, 2)) == (25.53, 36.62)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_s_interval_holds_the_share_and_solves_its_equation(pair):
    count, of = pair
    low, high = intervals.wilson(count, of)
    share, z = count / of, plain.NormalDist().inv_cdf(0.975)
    assert 0 <= low <= 100 * share <= high <= 100
    for end in {low, high} - {0.0, 100.0}:
        p = end / 100
        assert abs(share - p) == pytest.approx(z * math.sqrt(p * (1 - p) / of), rel=1e-6, abs=1e-9)


def test_seeds_are_summed_up():
    found = intervals.summary([10.0, 12.0, 17.0])
    assert found.mean == 13.0 and found.deviation == pytest.approx(math.sqrt(13)) and found.seeds == 3
    assert found.half == pytest.approx(4.302652729749 * math.sqrt(13 / 3)) and found.over == "seeds"
    assert (found.low, found.high) == (pytest.approx(13 - found.half), pytest.approx(13 + found.half))


def test_one_seed_is_summed_up_over_its_images():
    found = intervals.summary([75.0], 75, 100)
    assert found.over == "images" and found.deviation is None and found.half is None
    assert (found.low, found.high) == intervals.wilson(75, 100)
    alone = intervals.summary([-1.5], least=-100)
    assert alone.over is None and alone.low is None and alone.mean == -1.5
    assert intervals.summary([]) is None


def test_intervals_are_cut_to_what_is_possible():
    found = intervals.summary([90.0, 100.0])
    assert found.high == 100.0 and found.half > 60 and found.low > 0
    assert intervals.summary([0.0, 10.0]).low == 0.0
    assert intervals.summary([-3.0, 4.0], least=-100.0).low < -3


def test_the_interval_over_seeds_holds_the_truth_in_95_of_100_cases():
    chance = random.Random(0)
    hits = 0
    for _ in range(2000):
        found = intervals.summary([chance.gauss(50, 3) for _ in range(5)])
        hits += found.low <= 50 <= found.high
    assert 0.935 < hits / 2000 < 0.965
