"""Activation clustering against the reference's partitions, with principal components and as ICA has it."""

import made_context
import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences.detectors import activation_clustering as clustering

ARRAYS = made_context.golden()
LABELS = ARRAYS["labels"].astype(int)


def distances(points):
    return np.sqrt(((points[:, None].astype(np.float64) - points) ** 2).sum(-1))


@pytest.fixture(scope="module")
def found():
    return clustering.clusters(ARRAYS["H"], LABELS, 10, 10, False, 0)


def test_the_poisoned_class_splits_as_the_reference_splits_it(found):
    own, reference = found[0].smaller, ARRAYS["ac_bt_cluster"][LABELS == 0] == 1
    assert np.array_equal(own, reference) or np.array_equal(own, ~reference)
    assert found[0].silhouette == pytest.approx(float(ARRAYS["ac_bt_silhouette"][0]), abs=1e-5)
    assert found[0].share == pytest.approx(float(ARRAYS["ac_bt_smaller_share"][0]))


def test_rows_that_the_reference_flags_from_every_seed_or_from_none(found):
    share = ARRAYS["ac_bt_flag_share_of_20_seeds"]
    flagged = clustering.cut(found, LABELS, 0.35)
    np.testing.assert_array_equal(flagged[share == 1], True)
    np.testing.assert_array_equal(flagged[share == 0], False)
    assert flagged[ARRAYS["poisoned"] == 1].all()


@pytest.mark.parametrize("number", [0, 3])
def test_independent_components_are_whitened_principal_ones_turned(number):
    """2-means sees distances alone, and these are the same: so `whiten` is what ICA does, without ICA."""
    whitened = clustering.project(ARRAYS["H"][number == LABELS], 10, True)
    np.testing.assert_allclose(distances(whitened), distances(ARRAYS[f"ac_bb_projected_{number}"]), atol=1e-3)


def test_whitening_takes_away_what_two_means_finds_the_poisoned_class_by(found):
    whitened = clustering.clusters(ARRAYS["H"], LABELS, 10, 10, True, 0)
    assert whitened[0].silhouette < 0.25 < 0.45 < found[0].silhouette
    assert clustering.cut(whitened, LABELS, 0.35)[ARRAYS["poisoned"] == 1].sum() == 31


def test_rows_nearest_to_a_small_and_separate_cluster_come_first(found):
    scores = clustering.scores(found, LABELS)
    assert made_context.auc(scores, ARRAYS["poisoned"] == 1) > 0.99
    assert np.abs(scores).max() <= 1


def test_the_silhouette_may_be_asked_for_too(found):
    assert clustering.cut(found, LABELS, 0.35, silhouette=0.4).sum() == 40
    assert not clustering.cut(found, LABELS, 0.35, silhouette=0.6).any()


def test_a_class_with_too_few_rows_gets_nought_and_is_named():
    features, labels, bad, *_ = made_context.blobs()
    keep = (labels != 1) | (np.cumsum(labels == 1) <= 4)
    context = made_context.MadeContext(features[keep], labels[keep])
    found = made_context.scored("activation-clustering", context, components=4)
    assert found.findings["classes_with_too_few_rows"] == ["class 1"]
    assert not found.scores[labels[keep] == 1].any()
    assert found.flagged[bad[keep]].all() and found.findings["classes"]["class 0"]["flagged"]
    with pytest.raises(Failure, match="no class has more than 300 rows: name fewer --option"):
        made_context.scored("activation-clustering", context, components=300)


def test_a_class_whose_features_do_not_vary_is_not_split():
    features, labels, *_ = made_context.blobs()
    features[labels == 2] = 1
    found = made_context.scored("activation-clustering", made_context.MadeContext(features, labels))
    assert found.findings["classes"]["class 2"] == {"smaller_share": 0.0, "silhouette": 0.0, "flagged": False}
    assert not found.flagged[labels == 2].any()
