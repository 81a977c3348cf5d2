"""The distance to held-out rows of the given label, against NumPy row by row."""

import made_context
import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences.detectors import mahalanobis

ARRAYS = made_context.golden()
LABELS, CLEAN_LABELS = ARRAYS["labels"].astype(int), ARRAYS["labels_clean"].astype(int)


def test_distances_are_those_of_the_definition():
    _, _, _, clean, known = made_context.blobs(dead=0)
    features, labels, *_ = made_context.blobs(seed=1, dead=0)
    fitted = mahalanobis.fit(clean, known, 4, 0.2)
    means = np.stack([clean[known == one].mean(0, dtype=np.float64) for one in range(4)])
    covariance = sum(np.outer(row - means[one], row - means[one]) for row, one in zip(clean, known, strict=True)) / len(
        clean
    )
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / 6 * np.eye(6)
    inverse = np.linalg.inv(shrunk)
    expected = [(row - means[one]) @ inverse @ (row - means[one]) for row, one in zip(features, labels, strict=True)]
    np.testing.assert_allclose(fitted.distances(features, labels), expected, rtol=1e-6)


def test_the_shrinkage_by_default_is_ledoit_and_wolfs():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 5)) * np.arange(1, 6)
    rows -= rows.mean(0)
    covariance = rows.T @ rows / 40
    level = np.trace(covariance) / 5
    spread = np.sum((covariance - level * np.eye(5)) ** 2)
    noise = sum(np.sum((np.outer(row, row) - covariance) ** 2) for row in rows) / 40**2
    found = mahalanobis.fit(rows, np.zeros(40, int), 1)
    assert found.shrinkage == pytest.approx(min(noise, spread) / spread, rel=1e-9)
    assert mahalanobis.fit(np.repeat(np.eye(2), 9, axis=0) * 3, np.zeros(18, int), 1, 0.0).shrinkage == 0


def test_poisoned_rows_of_the_reference_input_come_first():
    context = made_context.MadeContext(ARRAYS["H"], LABELS, ARRAYS["H_clean"], CLEAN_LABELS)
    found = made_context.scored("mahalanobis", context)
    bad = ARRAYS["poisoned"] == 1
    assert made_context.auc(found.scores, bad) > 0.999 and found.flagged[bad].all()
    assert found.flagged[~bad].mean() == pytest.approx(0.05, abs=0.02)


def test_clean_rows_are_measured_beside_a_fit_to_others():
    _, _, _, clean, known = made_context.blobs()
    own = mahalanobis.own_distances(clean, known, 4)
    fold = np.zeros(len(known), int)
    for one in range(4):
        fold[known == one] = np.arange(60) % 5
    out = fold != 2
    expected = mahalanobis.fit(clean[out], known[out], 4).distances(clean[~out], known[~out])
    np.testing.assert_allclose(own[~out], expected)
    assert np.median(own) > np.median(mahalanobis.fit(clean, known, 4).distances(clean, known))


def test_rows_of_a_class_without_clean_rows_get_the_median_and_are_not_flagged():
    features, labels, bad, clean, known = made_context.blobs()
    some = known != 0
    found = made_context.scored("mahalanobis", made_context.MadeContext(features, labels, clean[some], known[some]))
    assert found.findings["classes_without_clean_rows"] == ["class 0"]
    assert not found.flagged[labels == 0].any()
    np.testing.assert_array_equal(found.scores[labels == 0], np.median(found.scores[labels != 0]))


def test_features_that_do_not_vary_on_clean_rows_say_nothing():
    features, labels, _, clean, known = made_context.blobs()
    fitted = mahalanobis.fit(clean, known, 4, 0.0)
    moved = features.copy()
    moved[:, -1] += 100
    np.testing.assert_allclose(fitted.distances(moved, labels), fitted.distances(features, labels))


@pytest.mark.parametrize(
    ("labels", "known", "words"),
    [
        ([0, 0, 1], [2, 2, 2], "no class has both clean rows and rows to inspect"),
        ([0, 0, 1], [0, 1, 2], "no class has two clean rows"),
    ],
)
def test_clean_rows_that_do_not_serve_are_one_line(labels, known, words):
    features = np.arange(9, dtype=np.float32).reshape(3, 3)
    with pytest.raises(Failure, match=words):
        made_context.scored("mahalanobis", made_context.MadeContext(features, labels, features**2, known, classes=3))
