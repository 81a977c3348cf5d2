"""SCAn against the reference's covariances, statistics and flags, and against the rules as plain loops."""

import made_context
import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import statistics
from benchmark.defences.detectors import scan

ARRAYS = made_context.golden()
LABELS, CLEAN_LABELS = ARRAYS["labels"].astype(int), ARRAYS["labels_clean"].astype(int)


@pytest.fixture(scope="module")
def variation():
    return scan.fit(ARRAYS["H_clean"], CLEAN_LABELS, 10)


@pytest.fixture(scope="module", params=[True, False])
def found(request, variation):
    rows = ARRAYS["H"], LABELS, ARRAYS["H_clean"], CLEAN_LABELS
    return request.param, scan.examine(*rows, 10, variation, 0, request.param)


def naive_fit(clean, labels, classes):
    """The rules of (i), row by row, with pseudo-inverses of everything."""
    x = clean.astype(np.float64) - clean.mean(0, dtype=np.float64)
    means = np.stack([x[labels == k].mean(0) for k in range(classes)])[labels]
    between, within = np.cov(means.T), np.cov((x - means).T)
    for _ in range(100):
        inverse, old = np.linalg.pinv(within), (between, within)
        common = np.stack([
            within @ np.linalg.pinv(np.sum(labels == k) * between + within) @ between @ inverse @ x[labels == k].sum(0)
            for k in range(classes)
        ])[labels]  # fmt: skip
        between, within = np.cov(common.T), np.cov((x - common).T)
        if np.linalg.norm(between - old[0]) + np.linalg.norm(within - old[1]) <= 1e-5:
            break
    return between, within


def test_the_covariances_of_clean_rows_are_the_references(variation):
    np.testing.assert_allclose(variation.between, ARRAYS["scan_Su"], atol=1e-5)
    np.testing.assert_allclose(variation.within, ARRAYS["scan_Se"], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_fit_from_sums_is_the_rules_row_by_row(classes):
    features, labels, _, _, _ = made_context.blobs(classes=classes, rows_each=23, dead=0)
    own, (between, within) = scan.fit(features, labels, classes), naive_fit(features, labels, classes)
    np.testing.assert_allclose(own.between, between, atol=1e-8)
    np.testing.assert_allclose(own.within, within, atol=1e-8)
    assert 1 < own.steps <= 100


def test_features_that_do_not_vary_and_few_clean_rows_leave_a_fit(variation):
    _, _, _, clean, labels = made_context.blobs(rows_each=2, size=12, dead=3)
    own = scan.fit(clean, labels, 4)
    assert np.isfinite(own.within).all() and np.isfinite(own.inverse).all()
    assert len(statistics.positive(own.within)[0]) < 8


def test_statistics_indices_and_flags_are_the_references(found):
    published, classes = found
    ratios = np.array([one.statistic for one in classes])
    indices = scan.anomaly(ratios)
    if published:
        np.testing.assert_allclose(ratios, ARRAYS["scan_statistic"], rtol=1e-3)
        np.testing.assert_allclose(indices, ARRAYS["scan_index"], rtol=1e-3, atol=1e-3)
    else:  # with the factor that the model's own means have
        assert indices[0] > 7 * ARRAYS["scan_index"][0] and indices[1:].max() < np.e
    np.testing.assert_array_equal(scan.cut(classes, indices, 1200, np.e**2), ARRAYS["scan_flag_bb"])
    np.testing.assert_array_equal(scan.cut(classes, indices, 1200, np.e), ARRAYS["scan_flag_bt"])
    assert made_context.auc(scan.scores(classes, indices, 1200), ARRAYS["poisoned"] == 1) > 0.99


def test_the_statistic_is_the_sum_over_rows(variation):
    """(iii) as the rules have it, row by row."""
    rows, mean = ARRAYS["H"][LABELS == 0].astype(np.float64), ARRAYS["H"].mean(0, dtype=np.float64)
    inverse = variation.inverse
    groups = scan.split(rows, mean, inverse, 0, 0)
    x = rows - mean
    common = variation.within @ np.linalg.pinv(len(x) * variation.between + variation.within) @ x.sum(0)
    total = 0.0
    for row, second in zip(x, groups.second, strict=True):
        own = groups.means[int(second)]
        total += common @ inverse @ common - own @ inverse @ own - 2 * row @ inverse @ (common - own)
    assert scan.statistic(groups, common, inverse) == pytest.approx(total / len(x), rel=1e-9)
    fast = variation.common_means(x.sum(0)[None], np.array([len(x)]))[0]
    np.testing.assert_allclose(fast, common, rtol=1e-6, atol=1e-6)


def test_groups_do_not_depend_on_the_start(variation):
    rows, mean = ARRAYS["H"][LABELS == 0], statistics.mean_of(ARRAYS["H"])
    seen = [scan.split(rows, mean, variation.inverse, seed, 0) for seed in range(4)]
    for one in seen[1:]:
        assert np.array_equal(one.second, seen[0].second) or np.array_equal(one.second, ~seen[0].second)
    at = seen[0]
    assert at.margin[at.second].mean() == pytest.approx(1) and at.margin[~at.second].mean() == pytest.approx(-1)


def test_no_index_where_more_than_half_of_the_classes_are_equal():
    assert scan.anomaly(np.array([1.0, 1, 1, 9])).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(
        scan.anomaly(np.array([1.0, 2, 3, 9])), [1.5 / 1.4826, 0.5 / 1.4826, 0.5 / 1.4826, 6.5 / 1.4826]
    )


def test_on_a_run_the_poisoned_class_is_found_and_a_class_without_clean_rows_named():
    features, labels, bad, clean, known = made_context.blobs(classes=6)
    few = known != 3
    context = made_context.MadeContext(features, labels, clean[few], known[few])
    found = made_context.scored("scan", context)
    assert found.findings["flagged_classes"] == ["class 0"]
    np.testing.assert_array_equal(found.flagged, bad)
    assert found.findings["classes_without_clean_rows"] == ["class 3"]
    assert found.findings["directions"] == {"of": 6, "that_clean_rows_vary_in": 5}
    assert made_context.auc(found.scores, bad) == 1
    published = made_context.scored(
        "scan", context, published_mean=True
    )  # its "mean" is mostly the number of rows: other classes stand out
    assert "class 0" not in published.findings["flagged_classes"]


def test_the_suspicious_group_is_the_one_with_fewer_clean_rows_even_if_it_is_the_larger():
    features, labels, bad, clean, known = made_context.blobs(classes=6, poisoned=45)
    found = made_context.scored("scan", made_context.MadeContext(features, labels, clean, known))
    np.testing.assert_array_equal(found.flagged, bad)
    none = known != 0  # of two groups without clean rows the smaller is suspicious: here the wrong one
    context = made_context.MadeContext(features, labels, clean[none], known[none])
    found = made_context.scored("scan", context)
    np.testing.assert_array_equal(found.flagged, (labels == 0) & ~bad)


@pytest.mark.parametrize(
    ("classes", "known", "words"),
    [(2, 2, "at least 3 classes with rows, and this run has 2;"), (4, 1, "clean rows are of one class")],
)
def test_too_few_classes_are_one_line(classes, known, words):
    features, labels, _, clean, clean_labels = made_context.blobs(classes=classes)
    some = clean_labels < known
    with pytest.raises(Failure, match=words):
        made_context.scored("scan", made_context.MadeContext(features, labels, clean[some], clean_labels[some]))
