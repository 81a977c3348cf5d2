"""Intervals: published values, twins that go through every pair and every resampled row, and how often they hold."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poisonkit.core import intervals, roc
from poisonkit.core.intervals import Placements, Top

few = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])  # so that scores tie
scored = st.lists(st.tuples(few, few, st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: 2 <= sum(right for *_, right in rows) <= len(rows) - 2
)


def split(rows):
    one, two, right = (np.array(column) for column in zip(*rows, strict=True))
    return one, two, right


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_as_published(count, of, low, high):
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert intervals.wilson(count / of, of) == pytest.approx((low, high), abs=5e-5)
    assert intervals.wilson(1 - count / of, of) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@given(st.floats(0, 1), st.floats(1, 1e5), st.floats(0, 0.1))
def test_wilsons_interval_is_where_its_inequality_ends(share, count, more):
    low, high = intervals.wilson(share, count, more)
    assert 0 <= low <= share <= high <= 1
    for bound in {low, high} - {0.0, 1.0}:
        assert (share - bound) ** 2 == pytest.approx(3.841459 * (bound * (1 - bound) / count + more), abs=1e-6)


# ---- AUROC


def naive_components(scores, truth):
    """Of every positive and every negative, the mean over the other kind of: above 1, tied a half."""
    pairs = np.array([[(p > n) + 0.5 * (p == n) for n in scores[~truth]] for p in scores[truth]])
    return pairs.mean(1), pairs.mean(0)


@settings(max_examples=100, deadline=None)
@given(scored)
def test_placements_and_delongs_covariance_are_those_of_their_twins(rows):
    one, two, truth = split(rows)
    first, second = Placements.of(one, truth), Placements.of(two, truth)
    ours, theirs = naive_components(one, truth), naive_components(two, truth)
    assert first.positives == pytest.approx(ours[0]) and first.negatives == pytest.approx(ours[1])
    assert first.auroc == pytest.approx(roc.auroc(roc.curve(one, truth)))
    expected = sum(np.cov(a, b)[0, 1] / len(a) for a, b in zip(ours, theirs, strict=True))
    assert first.covariance(second) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(scored)
def test_a_difference_turns_round_with_its_order(rows):
    one, two, truth = split(rows)
    first, second = Placements.of(one, truth), Placements.of(two, truth)
    low, high = intervals.of_difference(first, second)
    assert low <= first.auroc - second.auroc <= high
    assert intervals.of_difference(second, first) == pytest.approx((-high, -low))
    assert intervals.of_difference(first, first) == (0, 0)


def test_an_interval_is_no_point_where_nothing_is_wrong():
    for positives, least in ((20, 0.93), (500, 0.997)):
        truth = np.arange(5000) < positives
        low, high = intervals.of_auroc(Placements.of(truth.astype(float), truth))
        assert least < low < 1 and high == 1
        nearly = truth.astype(float)
        nearly[0] = 0  # and there is no jump to it
        assert abs(intervals.of_auroc(Placements.of(nearly, truth))[1] - 1) < 0.02


def test_one_row_of_a_kind_says_next_to_nothing():
    truth = np.arange(100) < 1
    alone = Placements.of(truth.astype(float), truth)
    assert alone.covariance(alone) == math.inf and intervals.of_auroc(alone)[0] < 0.5
    assert intervals.of_difference(alone, Placements.of(-truth.astype(float), truth)) == (-1, 1)


@pytest.mark.parametrize("area", [0.5, 0.75, 0.9, 0.97, 0.999])
def test_how_often_the_interval_of_an_auroc_holds_the_true_one(area):
    random, truth = np.random.default_rng(5), np.arange(640) < 40
    shift, held = math.sqrt(2) * NormalDist().inv_cdf(area), 0
    for _ in range(300):
        low, high = intervals.of_auroc(Placements.of(random.normal(size=640) + shift * truth, truth))
        held += low <= area <= high
    assert held >= 0.92 * 300


def test_how_often_a_difference_that_is_none_is_within_the_noise():
    """Paired: what the two share does not count, so that the interval is much narrower than of two sets of rows."""
    random, truth, held, widths = np.random.default_rng(6), np.arange(640) < 40, 0, []
    for _ in range(300):
        shared = random.normal(size=640) + truth
        one, two = (Placements.of(shared + random.normal(size=640) / 3, truth) for _ in range(2))
        low, high = intervals.of_difference(one, two)
        held += low <= 0 <= high
        widths.append((high - low) / (2 * intervals.Z * math.sqrt(2 * one.covariance(one))))
    assert 0.92 * 300 <= held < 300 and np.mean(widths) < 0.5


# ---- TPR at some FPR


@settings(max_examples=100, deadline=None)
@given(scored, st.randoms(), st.sampled_from([1, 5, 50]))
def test_a_resample_is_cut_as_its_rows_would_be(rows, random, percent):
    scores, _, truth = split(rows)
    weights = np.zeros(len(truth), np.int64)
    for kind in (True, False):
        here = np.flatnonzero(truth == kind)
        np.add.at(weights, random.choices(here.tolist(), k=len(here)), 1)
    again = roc.curve(np.repeat(scores, weights), np.repeat(truth, weights))
    allowed = np.array([percent * int((~truth).sum()) // 100])
    found = Top.of(scores, truth, percent).hits(weights, allowed)[0] / truth.sum()
    assert found == pytest.approx(roc.tpr_at_fpr(again, percent))


def test_enough_rows_are_kept_and_not_all():
    truth = np.arange(50_000) < 500
    top = Top.of(np.random.default_rng(0).normal(size=50_000), truth, 5)
    assert 2_700 < len(top.rows) < 3_200
    assert not len(Top.of(np.zeros(50_000), truth, 5).rows), "a cut below a tie of all would take them all"


def test_the_draws_depend_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 50)
    random, truth = np.random.default_rng(1), np.arange(500) < 50
    tops = [Top.of(random.normal(size=500) + truth, truth, 5) for _ in range(3)]
    every = intervals.tpr_variances(tops, truth, (1, 5))
    assert every.shape == (3, 2) and np.array_equal(every[1:], intervals.tpr_variances(tops[1:], truth, (1, 5)))
    assert not np.array_equal(every, intervals.tpr_variances(tops, truth, (1, 5), seed=1))


@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_how_often_the_interval_of_a_tpr_holds_the_true_one(shift, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 100)
    random, truth, held = np.random.default_rng(2), np.arange(1050) < 50, 0
    true = 1 - NormalDist().cdf(NormalDist().inv_cdf(0.99) - shift)
    for _ in range(150):
        scores = random.normal(size=1050) + shift * truth
        (variance,) = intervals.tpr_variances([Top.of(scores, truth, 1)], truth, (1,))[0]
        low, high = intervals.of_tpr(roc.tpr_at_fpr(roc.curve(scores, truth), 1), 50, variance)
        held += low <= true <= high
    assert held >= 0.9 * 150


# ---- chance


@pytest.mark.parametrize(("positives", "negatives", "percent"), [(3, 4, 1), (4, 4, 50), (2, 6, 40), (1, 1, 1)])
def test_chance_as_every_order_of_the_rows_has_it(positives, negatives, percent):
    found = []
    for places in itertools.combinations(range(positives + negatives), positives):
        truth = np.isin(np.arange(positives + negatives), places)
        steps = roc.curve(-np.arange(len(truth), dtype=float), truth)
        found.append(roc.tpr_at_fpr(steps, percent))
    mean, (low, high) = intervals.chance_of_tpr(positives, negatives, percent)
    assert mean == pytest.approx(np.mean(found))
    assert (low, high) == pytest.approx(tuple(np.quantile(found, (0.025, 0.975), method="inverted_cdf")))


def test_chance_where_there_are_many_rows():
    mean, (low, high) = intervals.chance_of_tpr(500, 49_500, 1)
    assert mean == pytest.approx(0.01, abs=1e-4) and 0 < low < 0.005 and 0.015 < high < 0.025
    low, high = intervals.chance_of_auroc(500, 49_500)
    assert 0.5 - low == pytest.approx(high - 0.5) and high == pytest.approx(0.5 + 1.96 * math.sqrt(1 / 5940), abs=1e-4)
