"""Confusion training: its rules against plain ones and the reference's outputs, and on a run."""

import csv
import json

import mini_network
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import invoke

from benchmark.core.errors import Usage
from benchmark.defences.detectors import confusion
from benchmark.defences.registry import Size

ARRAYS = mini_network.golden()
FEATURES, LABELS = ARRAYS["ct_H"].astype(np.float64), ARRAYS["ct_labels"].astype(int)
RIGHT = ARRAYS["ct_confused_pred"] == LABELS


def test_ratios_and_flags_are_the_references():
    """Of four of its ten classes; the reference's PCA is randomised, and its ratios move with the seed (± 14 of 36)."""
    ratios = confusion.class_ratios(FEATURES, LABELS, RIGHT, 10)
    assert ratios[0] == pytest.approx(ARRAYS["ct_own_ratio"][0], rel=0.4)
    np.testing.assert_allclose(ratios[1:4], ARRAYS["ct_own_ratio"][1:4], atol=0.05)
    assert (ratios[4:] == 1).all()  # of no row
    flagged = RIGHT & confusion.flagged_classes(ratios)[LABELS]
    np.testing.assert_array_equal(flagged, ARRAYS["ct_own_flag"])


def test_the_published_toolboxs_ratio_passes_a_clean_class():
    assert ARRAYS["ct_bt_ratio"][0] > 1e40 and ARRAYS["ct_bt_ratio"][3] > 5
    assert not confusion.flagged_classes(confusion.class_ratios(FEATURES, LABELS, RIGHT, 10))[3]


def test_ratio_of_a_class_against_a_plain_loop():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=(30, 2)), rng.normal(size=(8, 2)) * 0.3 + 4])
    right = np.arange(38) >= 30

    def log_density(x, points):
        covariance = np.cov(points.T) + 1e-3 * np.eye(2)
        away = x - points.mean(0)
        return -0.5 * (away @ np.linalg.inv(covariance) @ away + np.log(np.linalg.det(2 * np.pi * covariance)))

    gained = [log_density(x, values[right]) - log_density(x, values[~right]) for x in values[right]]
    found = confusion.class_ratios(values, np.zeros(38, int), right, 2)
    assert found[0] == pytest.approx(np.exp(sum(gained) / 38)) and found[0] > 2
    assert found[1] == 1


def test_too_few_rows_or_constant_features_say_nothing():
    right = np.array([True, True] + [False] * 20)
    assert confusion.class_ratios(np.random.default_rng(0).random((22, 5)), np.zeros(22, int), right, 1) == 1
    assert confusion.class_ratios(np.ones((22, 5)), np.zeros(22, int), np.arange(22) < 9, 1) == pytest.approx(1)


def test_classes_that_divide():
    assert confusion.flagged_classes(np.array([1.0, 2.1, 1.9, 3])).tolist() == [False, True, False, True]
    assert confusion.flagged_classes(np.array([1.0, 1.6, 1.55])).tolist() == [False, True, False]
    assert not confusion.flagged_classes(np.array([1.0, 1.4])).any()


@settings(max_examples=30)
@given(st.integers(2, 12), st.integers(0, 1000), st.data())
def test_labels_are_wrong_and_change_with_every_step(classes, step, data):
    predicted = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=20)))
    found = confusion.confusing_labels(predicted, classes, step)
    assert (found != predicted).all() and found.min() >= 0 and found.max() < classes
    if classes > 2:
        assert (found != confusion.confusing_labels(predicted, classes, step + 1)).all()
    every = {tuple(confusion.confusing_labels(predicted, classes, step + more)) for more in range(classes - 1)}
    assert len(every) == classes - 1


def test_weights_make_the_published_loss():
    losses = np.random.default_rng(0).random(14)
    inspected = np.array([1.0, 3, 2, 2])
    found = confusion.weights_of(10, inspected, 20)
    plain = (19 * losses[:10].mean() + (losses[10:] * inspected).sum() / inspected.sum()) / 20
    assert losses @ found == pytest.approx(plain) and found.sum() == pytest.approx(1)
    np.testing.assert_allclose(confusion.weights_of(5, inspected[:0], 20), 0.2)
    np.testing.assert_allclose(confusion.class_weights(np.array([0, 0, 0, 2]), 3), 1 / np.sqrt([0.751, 0.001, 0.251]))


def test_rows_of_the_lowest_loss_are_kept_and_some_of_each_class():
    losses, labels = np.arange(200)[::-1].astype(float), np.repeat([0, 1], 100)
    assert confusion.distilled(losses, labels, 0.1, 0).tolist() == list(range(180, 200))
    assert confusion.distilled(losses, labels, 0.1, 1 / 50).tolist() == [98, 99, *range(180, 200)]
    assert len(confusion.distilled(losses, labels, 1e-9, 0)) == 1


def test_batches_go_through_every_row_once_an_epoch():
    batches = confusion.endless(10, 4, 3, "a test")
    found = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(found[:10]) == sorted(found[10:]) == list(range(10)) and not np.array_equal(found[:10], found[10:])
    assert len(next(confusion.endless(3, 8, 0, "a test"))) == 8


@pytest.mark.parametrize("text", ["", "0", "-1", "0.1,x", "inf", "nan", "1e9"])
def test_rates_that_are_none(text):
    with pytest.raises(Usage, match="numbers above 0"):
        confusion.parse_numbers(text)


def test_published_settings_and_what_they_cost():
    published = {option.name: option.default for option in confusion.SPEC.options}
    work = confusion.SPEC.work(Size(10_000, 500, 10, 8), published)
    ordinary = 100 * (10_000 + 5_000) + 40 * (2_000 + 400 + 200 + 600)
    assert work.trained == pytest.approx(ordinary + (4 * 6000 + 2 * 2000) * 32 * 1.5)
    assert confusion._published("gtsrb") == ((0.001,), (20,)) and confusion._published("signs")[1][-1] == 15
    assert confusion.SPEC.by_name


@pytest.mark.slow
def test_on_a_run(run):
    quick = {
        "rounds": 2,
        "first_epochs": 1,
        "epochs": 1,
        "steps": 3,
        "last_steps": 3,
        "batch": 8,
        "rates": "0.01,0.1",
    }
    given = [word for name, value in quick.items() for word in ("--option", f"{name}={value}")]
    done = invoke("detect", run, "--method", "confusion", *given, "--clean-rows", "30", "--no-twin")
    assert done.exit_code == 0, (done.output, done.exception)
    (folder,) = run.glob("detect-confusion-*")
    findings = json.loads((folder / "result.json").read_text())["findings"]
    assert findings["rows_by_round"] == [90, 45] and len(findings["ratios"]) == 4
    with open(folder / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 90 and all(float(row["score"]) <= 0 for row in rows)
