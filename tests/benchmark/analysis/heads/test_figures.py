"""Similarity, standardisation, distance and ranking, each against its plain twin."""

import naive_heads as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.analysis.heads import anomaly, detect, roc, similarity
from benchmark.analysis.heads.anomaly import Reference
from benchmark.analysis.heads.detector import Measured

SEEDS = st.integers(0, 2**32)
SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


def attention(seed, count=3, heads=4, tokens=7):
    """Random softmax maps, and a length for each text."""
    random = np.random.default_rng(seed)
    maps = np.exp(2 * random.normal(size=(count, heads, tokens, tokens))).astype(np.float32)
    lengths = random.integers(2, tokens + 1, count)
    inside = np.arange(tokens) < lengths[:, None]
    maps *= inside[:, None, None, :]
    return maps / maps.sum(-1, keepdims=True), lengths


@settings(max_examples=25)
@given(SEEDS, st.sampled_from(similarity.METRICS), st.sampled_from(["row", "full"]))
def test_similarity_against_the_plain_twin(seed, metric, kind):
    maps, lengths = attention(seed)
    found = similarity.of_attention(maps, lengths, metric, kind)
    for row, (one, length) in enumerate(zip(maps, lengths, strict=True)):
        assert np.allclose(found[row], naive.similarity(one, length, metric, kind), atol=1e-6)


@settings(max_examples=25)
@given(SEEDS, st.sampled_from(similarity.METRICS), st.sampled_from(["row", "full"]), st.integers(0, 5))
def test_padding_and_the_heads_order_change_nothing(seed, metric, kind, more):
    maps, lengths = attention(seed)
    before = similarity.of_attention(maps, lengths, metric, kind)
    wider = np.random.default_rng(seed).random((3, 4, 7 + more, 7 + more)).astype(np.float32)
    wider[:, :, :7, :7] = maps
    order = np.random.default_rng(seed + 1).permutation(4)
    after = similarity.of_attention(wider[:, order], lengths, metric, kind)
    assert np.allclose(before[:, order], after, atol=1e-9)


def test_similarity_has_its_bounds():
    same = np.tile(np.array([0.2, 0.5, 0.3]), (1, 3, 1))
    assert np.allclose(similarity.mean_similarity(same, None, "cosine"), 1)
    assert np.allclose(similarity.mean_similarity(same, None, "pearson"), 1)
    apart = np.eye(3)[None]
    assert np.allclose(similarity.mean_similarity(apart, None, "cosine"), 0)
    assert np.allclose(similarity.mean_similarity(apart, None, "pearson"), -0.5)
    assert np.array_equal(similarity.mean_similarity(np.zeros((2, 3, 4)), None, "cosine"), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="one head"):
        similarity.mean_similarity(np.ones((2, 1, 4)), None, "cosine")


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 6))
def test_principal_axes_of_what_passed_by_are_those_of_the_whole(seed, dimensions):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(40, 3, 6)) @ np.diag([9, 7, 5, 3, 2, 1]) + 4
    moments = similarity.Moments(6)
    for part in np.array_split(vectors, [7, 19]):
        moments.add(part)
    flat = vectors.reshape(-1, 6)
    _, _, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    expected = (flat - flat.mean(0)) @ axes[:dimensions].T
    found = moments.projection(dimensions)(vectors).reshape(-1, dimensions)
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-6)  # an axis may point either way


@pytest.fixture(scope="module")
def reference():
    random = np.random.default_rng(5)
    return Reference(random.normal(size=(30, 4)), random.integers(3, 12, 30), nearest=9)


def test_rows_are_standardised_beside_those_of_like_length(reference):
    random = np.random.default_rng(6)
    values, lengths = random.normal(size=(20, 4)), random.integers(1, 15, 20)
    found = reference.standardised(values, lengths)
    for row in range(20):
        expected = naive.standardised(values[row], lengths[row], reference.values, reference.lengths, nearest=9)
        assert np.allclose(found[row], expected)


def test_a_held_out_row_is_not_among_its_own_neighbours(reference):
    for row in range(30):
        values, lengths = reference.values, reference.lengths
        expected = naive.standardised(values[row], lengths[row], values, lengths, leave_out=row, nearest=9)
        assert np.allclose(reference.own[row], expected)
    few = Reference(reference.values[:5], reference.lengths[:5])  # fewer than are asked for
    expected = naive.standardised(few.values[2], few.lengths[2], few.values, few.lengths, leave_out=2)
    assert np.allclose(few.own[2], expected)


def test_distances_against_the_plain_twin(reference):
    z = np.random.default_rng(7).normal(size=(15, 4)) * 3
    expected = [naive.mahalanobis(row, reference.own) for row in z]
    assert np.allclose(reference.mahalanobis(z), expected)
    assert np.array_equal(anomaly.greatest(z), [max(abs(value) for value in row) for row in z])
    assert np.allclose(anomaly.over_heads(z, np.array([2, 0])), [(abs(a[0]) + abs(a[2])) / 2 for a in z])


def test_contaminated_heads_are_those_of_the_largest_median():
    z = np.array([[1.0, -5, 0, 2], [1, -7, 9, 2], [1, -6, 0, -2]])
    assert anomaly.contaminated(z, 2).tolist() == [1, 3]
    assert anomaly.contaminated(z, 4).tolist() == [1, 3, 0, 2]
    assert anomaly.contaminated(z, threshold=1.0).tolist() == [1, 3, 0]
    assert anomaly.contaminated(z, threshold=99.0).tolist() == []
    assert anomaly.first(np.array([1.0, 3, 3, 2]), 3).tolist() == [1, 2, 3]


@given(SCORES, SCORES)
def test_auroc_against_all_pairs(positive, negative):
    found = roc.auroc(np.array(positive), np.array(negative))
    assert found == naive.auroc(positive, negative)
    assert found + roc.auroc(np.array(negative), np.array(positive)) == pytest.approx(1)


@given(SCORES, SCORES, st.sampled_from(["0.01", "0.05", "0.3", "1"]))
def test_tpr_against_all_thresholds(positive, negative, rate):
    found = roc.tpr(np.array(positive), np.array(negative), rate)
    assert found == naive.tpr(positive, negative, float(rate))


@given(SCORES, SCORES, st.integers(1, 80))
def test_precision_among_the_first(positive, negative, count):
    found = roc.precision(np.array(positive), np.array(negative), count)
    assert found == pytest.approx(naive.precision(positive, negative, count))


def test_precision_of_ties_by_hand():
    assert roc.precision(np.array([3.0, 1]), np.array([1.0, 1, 0]), 2) == pytest.approx((1 + 1 / 3) / 2)
    assert roc.precision(np.array([3.0]), np.array([1.0]), 100) == 0.5


def test_nothing_to_tell_apart():
    none = np.array([])
    assert roc.figures(none, np.ones(3)) == dict.fromkeys(roc.FIGURES)
    assert roc.intervals(np.ones(3), none) == {}
    with pytest.raises(ValueError, match="finite"):
        roc.figures(np.array([np.nan]), np.ones(2))


def test_intervals_hold_the_figure_and_narrow_with_more_rows():
    random = np.random.default_rng(8)
    widths = []
    for count in (40, 640):
        positive, negative = random.normal(size=count) + 1, random.normal(size=count)
        found = roc.intervals(positive, negative)
        low, high = found["auroc"]
        assert low <= roc.auroc(positive, negative) <= high
        assert found == roc.intervals(positive, negative)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_each_head_by_itself():
    positive, negative = np.array([[0.0, 5], [1, 6]]), np.array([[2.0, 1], [3, 2]])
    assert roc.by_head(positive, negative).tolist() == [0, 1]


def test_covers_are_neither_poisoned_nor_clean():
    """They have the trigger too: to rank them high is no mistake about clean rows."""
    scores = np.array([9.0, 8.0, 7.0, 1.0, 2.0])
    measured = Measured(scores[:, None], scores[:, None], {"mahalanobis": scores})
    poisoned, clean = np.array([0, 1, 0, 0, 0], bool), np.array([0, 0, 0, 1, 1], bool)
    suspects = detect.Suspects(np.arange(5), measured, poisoned, 0, clean)
    found = detect.truth_sections(suspects, (1, 1))
    assert found["suspect"]["mahalanobis"]["auroc"] == 1 and found["suspect"]["against"] == 2
    alone = detect.Suspects(np.arange(5), measured, poisoned, 0, np.zeros(5, bool))
    assert detect.truth_sections(alone, (1, 1)) == {"suspect": None, "suspect_heads": None}
