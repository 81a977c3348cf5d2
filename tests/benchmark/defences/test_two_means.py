"""2-means and silhouettes against plain loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.defences import two_means


def inertia(points, side):
    return sum(((points[side == one] - points[side == one].mean(0)) ** 2).sum() for one in (False, True))


def naive_silhouette(points, side):
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(-1))
    widths = []
    for row, own in enumerate(side):
        if np.sum(side == own) == 1:
            widths.append(0.0)
            continue
        inside = apart[row, side == own].sum() / (np.sum(side == own) - 1)
        outside = apart[row, side != own].mean()
        widths.append((outside - inside) / max(inside, outside))
    return np.mean(widths)


SPLITS = [np.array(one) for one in product([False, True], repeat=7) if 0 < sum(one) < 7]


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_no_other_split_of_few_points_is_better(seed):
    points = np.random.default_rng(seed).normal(size=(7, 2))
    side = two_means.two_means(points, seed, "test")
    assert inertia(points, side) <= min(inertia(points, one) for one in SPLITS) * 1.15  # ten starts, mostly the best
    assert 0 < side.sum() <= 3


def test_two_heaps_are_told_apart_the_smaller_is_marked_and_the_seed_decides():
    points = np.concatenate([np.zeros((30, 3)), np.ones((12, 3)) * 5]) + np.random.default_rng(1).normal(size=(42, 3))
    side = two_means.two_means(points, 3, "test")
    np.testing.assert_array_equal(side, np.arange(42) >= 30)
    np.testing.assert_array_equal(side, two_means.two_means(points, 3, "test"))


def test_points_that_are_all_the_same_are_one_cluster():
    assert not two_means.two_means(np.ones((9, 2)), 0, "test").any()
    assert two_means.silhouette(np.ones((9, 2)), np.zeros(9, bool), 0, "test") == 0


@pytest.mark.parametrize("smaller", [1, 2, 9])
def test_silhouettes_are_exact_for_small_clusters(smaller):
    points = np.random.default_rng(2).normal(size=(40, 4))
    side = np.arange(40) < smaller
    assert two_means.silhouette(points, side, 0, "test") == pytest.approx(naive_silhouette(points, side), abs=1e-9)


def test_silhouettes_of_larger_ones_are_measured_against_some(monkeypatch):
    points = np.concatenate([np.zeros((400, 2)), np.ones((90, 2)) * 3]) + np.random.default_rng(3).normal(size=(490, 2))
    side = np.arange(490) >= 400
    exact = naive_silhouette(points, side)
    monkeypatch.setattr(two_means, "SOME", 80)
    found = two_means.silhouette(points, side, 0, "test")
    assert found == pytest.approx(exact, abs=0.02) and found != pytest.approx(exact, abs=1e-6)
