"""SPECTRE against the reference's quantum entropy scores, widths and rows, and its pieces against plain NumPy."""

from types import SimpleNamespace

import made_context
import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import statistics
from benchmark.defences.context import DefenceContext
from benchmark.defences.detectors import spectre

ARRAYS = made_context.golden()
DIMENSIONS = (1, 4, 9, 16, 25, 36, 49, 64)
CASES = [
    (name, rate, index, number)
    for name, rate in (("p01", 0.01), ("p033", 40 / 1200))
    for index, number in ((0, 0), (1, 3))
]


@pytest.fixture(scope="module")
def points():
    rows = ARRAYS["H64_0"]
    mean, directions, _ = statistics.principal(rows, 64)
    return statistics.times(rows, mean, directions)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate", "index", "number"), CASES)
def test_components_width_and_rows_are_the_references(name, rate, index, number):
    rows = ARRAYS[f"H64_{number}"]
    found = spectre.examine(rows, spectre.budget(len(rows), rate, 1200), 64)
    case = f"spectre_{name}_julia"
    assert found.components == ARRAYS[f"{case}_best_k"][index]
    assert found.width == pytest.approx(ARRAYS[f"{case}_opscore"][index].max(), rel=1e-4)
    np.testing.assert_array_equal(found.removed, ARRAYS[f"{case}_flag_{number}"])


@pytest.mark.parametrize("count", [16, 25, pytest.param(64, marks=pytest.mark.slow)])
def test_scores_are_the_references_where_the_filter_removes_rows(points, count):
    found = spectre.que(points[:, :count], 12 / 200, 24)
    reference = ARRAYS["spectre_p01_julia_que_class0_by_k"][DIMENSIONS.index(count)]
    np.testing.assert_allclose(found, reference, rtol=1e-3)


def test_one_component_ranks_as_the_reference(points):
    found = spectre.que(points[:, :1], 12 / 200, 24)
    ratio = found / ARRAYS["spectre_p01_julia_que_class0_by_k"][0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)  # ours is whitened, so that classes compare


@pytest.mark.parametrize("count", [4, 9])
def test_where_the_filter_removes_no_row_directions_weigh_alike_instead_of_by_rounding_errors(points, count):
    some = points[:, :count]
    assert spectre.robust(some, 12 / 200, 24).all()
    white = some @ statistics.power(np.cov(some, rowvar=False), -0.5)
    np.testing.assert_allclose(spectre.que(some, 12 / 200, 24), (white**2).sum(1) / count, rtol=1e-9)
    reference = ARRAYS["spectre_p01_julia_que_class0_by_k"][DIMENSIONS.index(count)]
    assert abs(np.corrcoef((white**2).sum(1), reference)[0, 1]) < 0.9


def test_by_element_the_scores_depend_on_the_signs_of_components_and_else_do_not(points):
    some = points[:, :16]
    other = some * np.where(np.arange(16) % 2, -1, 1)
    np.testing.assert_allclose(spectre.que(other, 0.06, 24), spectre.que(some, 0.06, 24), rtol=1e-6)
    by_element = spectre.que(some, 0.06, 24, True)
    assert not np.allclose(spectre.que(other, 0.06, 24, True), by_element, rtol=0.1)


def test_by_element_the_scores_are_those_of_the_published_port(points):
    """With the signs of scikit-learn's components: the largest weight of each is positive."""
    rows = ARRAYS["H64_0"]
    mean, directions, _ = statistics.principal(rows, 16)
    turned = directions * np.sign(directions[np.abs(directions).argmax(0), np.arange(16)])
    found = spectre.que(statistics.times(rows, mean, turned), 12 / 200, 24, True)
    reference = ARRAYS["spectre_p01_port_que_class0_by_k"][3]
    np.testing.assert_allclose(found, reference, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_widest_quadratic_form_is_the_top_eigenvector_of_the_fourth_moments(size):
    rows = np.random.default_rng(size).standard_t(4, (60, size))
    white = rows @ statistics.power(rows.T @ rows / len(rows), -0.5)
    pairs = np.einsum("ni,nj->nij", white, white).reshape(len(white), -1)
    eye = np.eye(size).ravel()
    values, vectors = np.linalg.eigh(pairs.T @ pairs / len(white) - np.outer(eye, eye))
    value, form = spectre.widest(white)
    assert value == pytest.approx(values[-1], rel=1e-6)
    assert abs((form.ravel() * vectors[:, -1]).sum()) == pytest.approx(1, abs=1e-5)


def test_the_robust_filter_removes_outliers_at_most_as_many_as_allowed_and_spares_normal_rows():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 4))
    assert spectre.robust(rows, 0.02, 24).all()
    rows[:4] += 25
    kept = spectre.robust(rows, 0.02, 24)
    assert not kept[:4].any() and kept.sum() >= 600 - 24
    assert np.sum(~spectre.robust(rows, 0.02, 3)) == 3


def test_the_tail_and_the_budget_are_the_rules():
    np.testing.assert_allclose(spectre.tail(np.array([1.0, 60.0]), 0.01), [1, 0.03 / (60 * np.log(60)) ** 2])
    assert [
        spectre.budget(*one) for one in ((5000, 0.01, 50_000), (600, 0.5, 1000), (110, 0.5, 1000), (9, 0.001, 90))
    ] == [500, 198, 11, 1]
    assert spectre.dimensions(40) == (1, 4, 9, 16, 25, 36) and spectre.dimensions(64) == DIMENSIONS


def test_on_a_run_the_suspect_class_alone_loses_rows_unless_every_class_is_asked_for():
    features, labels, bad, *_ = made_context.blobs(rows_each=120, size=8)
    context = made_context.MadeContext(features, labels, classes=6)
    found = made_context.scored("spectre", context, expected=0.02)
    assert found.findings["suspect_class"] == "class 0" and not found.flagged[labels != 0].any()
    assert found.flagged.sum() == 14 and found.flagged[bad].all()
    assert made_context.auc(found.scores, bad) > 0.99
    assert context.logged[0] == "spectre: class 1 of 4 …" and len(context.logged) == 4, "a sign of life"
    every = made_context.scored("spectre", context, expected=0.02, classes="every")
    assert [int(every.flagged[labels == one].sum()) for one in range(4)] == [14] * 4


def test_the_suspect_class_loses_rows_also_where_others_have_its_name():
    """Names of classes are a stranger's: findings are by name, and rows must not be."""
    features, labels, bad, *_ = made_context.blobs(rows_each=120, size=8)
    labels = 3 - labels
    context = made_context.MadeContext(features, labels)
    data = SimpleNamespace(classes=["cat", "dog", "cat", "cat"])
    context.class_names = DefenceContext.class_names.fget(SimpleNamespace(data_set=data))
    found = made_context.scored("spectre", context, expected=0.02)
    assert found.flagged[bad].all() and not found.flagged[labels != 3].any()
    assert list(found.findings["classes"]) == ["cat (0)", "dog", "cat (2)", "cat (3)"]


def test_classes_that_are_too_small_or_do_not_vary_get_nought_and_are_named():
    features, labels, *_ = made_context.blobs()
    features[labels == 2] = 1
    labels[labels == 1] = 3
    labels[5] = 1
    found = made_context.scored("spectre", made_context.MadeContext(features, labels))
    assert found.findings["classes_with_too_few_rows"] == ["class 1", "class 2"]
    assert found.scores[5] == 0 and not found.scores[labels == 2].any()
    with pytest.raises(Failure, match="no class has enough rows that vary"):
        made_context.scored("spectre", made_context.MadeContext(features[:4], np.arange(4)))


def test_a_direction_in_which_only_removed_rows_vary_does_not_count_without_bound():
    rows = np.random.default_rng(0).normal(size=(300, 3)) * [1, 1, 0]
    removed = np.arange(300) < 4
    rows[removed, 2] = 1e-3
    rows -= rows.mean(0)
    kept = rows.copy()
    kept[~removed, 2] += np.linspace(-1e-6, 1e-6, 296)
    assert spectre.width(kept, removed) > 1e3
    assert spectre.width(kept, removed, ridge=1e-3) < 2


def test_a_class_that_is_nowhere_wider_than_usual_weighs_directions_alike():
    """With a ridge every direction is narrower than 1, some by far."""
    narrow = np.diag([0.9999, 0.5, 0.1])
    np.testing.assert_allclose(spectre.entropy(narrow), np.eye(3) / 3)
    wide = spectre.entropy(np.diag([3.0, 1, 0.1]))
    np.testing.assert_allclose(np.diag(wide) / wide[0, 0], np.exp([0, -4, -5.8]), rtol=1e-9)
