"""Means, covariances and principal directions of rows, in blocks, against NumPy's of all rows at once."""

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import statistics


@pytest.fixture(params=[7, 4096])
def features(request, monkeypatch):
    monkeypatch.setattr(statistics, "BLOCK", request.param)
    return np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * np.arange(6, dtype=np.float32) + 2


def test_moments_are_numpys(features):
    mean = statistics.mean_of(features)
    np.testing.assert_allclose(mean, features.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(
        statistics.scatter_of(features, mean) / 49, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9,
        atol=1e-12,
    )  # fmt: skip
    turn = np.random.default_rng(1).normal(size=(6, 2))
    np.testing.assert_allclose(statistics.times(features, mean, turn), (features - mean) @ turn, atol=1e-9)
    assert statistics.times(features, mean, turn[:, 0]).shape == (50,)


@pytest.mark.parametrize("rows", [50, 4])
def test_principal_directions_are_singular_vectors_without_those_of_no_variance(features, rows):
    some = features[:rows]
    mean, directions, variances = statistics.principal(some, 4)
    _, values, vectors = np.linalg.svd(some - some.mean(0, dtype=np.float64), full_matrices=False)
    count = min(4, rows - 1)
    assert directions.shape == (6, count)  # the first feature is constant, and few rows span few directions
    np.testing.assert_allclose(variances, values[:count] ** 2 / rows, rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.diag(vectors[:count] @ directions)), 1, atol=1e-9)


def test_a_negative_power_is_the_pseudo_inverses():
    half = np.random.default_rng(2).normal(size=(5, 3))
    matrix = half @ half.T
    np.testing.assert_allclose(statistics.power(matrix, -1), np.linalg.pinv(matrix, rcond=1e-9), atol=1e-9)
    root = statistics.power(matrix, 0.5)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-9)


def test_rows_by_class_and_highest_scores():
    labels = np.array([2, 0, 2, 2, 0])
    assert [rows.tolist() for rows in statistics.by_class(labels, 4)] == [[1, 4], [], [0, 2, 3], []]
    assert [(name, rows.tolist()) for name, rows in statistics.named("abcd", labels)] == [
        ("a", [1, 4]), ("c", [0, 2, 3]),
    ]  # fmt: skip
    assert statistics.highest(np.array([1.0, 3, 3, 2]), 2).tolist() == [False, True, True, False]
    assert statistics.highest(np.array([3.0, 3, 3]), 2).tolist() == [True, True, False]
    assert not statistics.highest(np.array([3.0]), 0).any()


def test_a_single_row_is_not_a_network_that_tells_nothing_apart():
    with pytest.raises(Failure, match="there is a single row"):
        statistics.checked(np.ones((1, 4), np.float32))
