"""Spectral signatures against the reference's scores, the paper's and the published code's."""

import made_context
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.core.errors import Failure
from benchmark.defences.detectors import spectral

ARRAYS = made_context.golden()
LABELS = ARRAYS["labels"].astype(int)
RATE = 40 / 1200


def test_the_papers_scores_and_rows_removed_are_the_references():
    found = spectral.scores(ARRAYS["H"], LABELS, 10)
    np.testing.assert_allclose(found, ARRAYS["spectral_bt_score"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(spectral.budgets(LABELS, 10, RATE), ARRAYS["spectral_bt_k"])
    removed = spectral.cut(found, LABELS, 10, RATE)
    np.testing.assert_array_equal(removed, ARRAYS["spectral_bt_flag"])
    assert removed[ARRAYS["poisoned"] == 1].all()


def test_scores_of_uncentred_features_are_those_of_the_published_code_and_find_a_third():
    found = spectral.scores(ARRAYS["H"], LABELS, 10, centred=False)
    np.testing.assert_allclose(found, ARRAYS["spectral_bb_score"], rtol=1e-4, atol=1e-6)
    removed = spectral.cut(found, LABELS, 10, RATE, percentile=85)
    np.testing.assert_array_equal(removed, ARRAYS["spectral_bb_flag"])
    assert removed[ARRAYS["poisoned"] == 1].mean() == pytest.approx(0.33, abs=0.01)


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (3, 2)])
def test_a_class_against_a_singular_value_decomposition(shape):
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32) + 3
    centred = features - features.astype(np.float64).mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[2][0]
    np.testing.assert_allclose(spectral.class_scores(features), (centred @ first) ** 2, rtol=1e-6, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_moving_and_turning_all_features_changes_no_score(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, 4)) * [4, 2, 1, 1]
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    moved = features @ turn + rng.normal(size=4) * 10
    np.testing.assert_allclose(spectral.class_scores(moved), spectral.class_scores(features), rtol=1e-6, atol=1e-9)


def test_on_a_run_the_poisoned_rows_come_first_and_every_class_loses_as_many():
    features, labels, bad, _, _ = made_context.blobs()
    found = made_context.scored("spectral", made_context.MadeContext(features, labels), expected=0.05)
    assert made_context.auc(found.scores[labels == 0], bad[labels == 0]) == 1
    assert found.findings["removed"] == {f"class {number}": 18 for number in range(4)}


def test_a_class_whose_features_do_not_vary_loses_nothing_and_is_named():
    features, labels, *_ = made_context.blobs()
    features[labels == 2] = 1
    found = made_context.scored("spectral", made_context.MadeContext(features, labels, classes=6))
    assert not found.flagged[labels == 2].any() and not found.scores[labels == 2].any()
    assert found.findings["classes_without_variation"] == ["class 2"]


def test_one_row_of_a_class_and_one_class_only():
    features, labels, bad, *_ = made_context.blobs()
    labels = np.where(np.arange(len(labels)) == 7, 5, 0)
    found = made_context.scored("spectral", made_context.MadeContext(features, labels, classes=6))
    assert found.scores[7] == 0 and not found.flagged[7]


@pytest.mark.parametrize(("value", "words"), [(np.nan, "of 1 of 240 rows are not finite"), (1.0, "are the same")])
def test_features_that_say_nothing_are_one_line(value, words):
    features, labels, *_ = made_context.blobs()
    features = np.full_like(features, 1.0)
    features[3, 2] = value
    with pytest.raises(Failure, match=words):
        made_context.scored("spectral", made_context.MadeContext(features, labels))
