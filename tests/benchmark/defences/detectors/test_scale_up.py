"""SCALE-UP against the reference's outputs, and on a run."""

from types import SimpleNamespace

import mini_network
import numpy as np
import pytest
from in_process import invoke

from benchmark.core.errors import Failure, Usage
from benchmark.defences.detectors import scale_up
from benchmark.format.dataset import Rows

ARRAYS = mini_network.golden()
FACTORS = (3, 5, 7, 9, 11)


def test_scaled_images_saturate_as_pixels_do():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for factor in (2, 3, 255):
        np.testing.assert_array_equal(scale_up.scaled(images, factor), np.minimum(images.astype(int) * factor, 255))
    assert scale_up.scaled(images, 3).dtype == np.uint8


def test_classes_under_each_factor_are_the_references():
    found = scale_up.scaled_classes(lambda images: mini_network.logits(ARRAYS, images), ARRAYS["img"], FACTORS)
    np.testing.assert_array_equal(found, ARRAYS["scaleup_pred_scaled"])


def test_data_free_scores_are_the_references():
    found = scale_up.consistency(ARRAYS["scaleup_pred"].astype(int), ARRAYS["scaleup_pred_scaled"])
    np.testing.assert_allclose(found, ARRAYS["scaleup_spc"], atol=1e-7)
    np.testing.assert_array_equal(found > 0.5, ARRAYS["scaleup_flag"])


def test_data_limited_scores_with_one_mean_are_the_references():
    labels = ARRAYS["img_clean_labels"].astype(int)
    clean = scale_up.consistency(labels, ARRAYS["scaleup_pred_scaled_clean"])
    shared = scale_up.usual(clean, labels, 10, least=None)
    np.testing.assert_allclose([shared.mean[0], shared.deviation[0]], ARRAYS["scaleup_clean_mean_std"], rtol=1e-6)
    found = shared.standardised(ARRAYS["scaleup_spc"], ARRAYS["scaleup_pred"])
    np.testing.assert_allclose(found, ARRAYS["scaleup_z"], atol=1e-6)
    np.testing.assert_array_equal(found > 0.5, ARRAYS["scaleup_flag_z"])
    assert shared.shared == tuple(range(10))


def test_each_class_has_its_own_mean_where_it_has_enough_rows_that_differ():
    values = np.array([0.2, 0.4] * 5 + [1.0] * 10 + [0.6, 0.8])
    classes = np.repeat([0, 1, 2], [10, 10, 2])
    found = scale_up.usual(values, classes, 4)
    assert found.shared == (1, 2, 3)  # all alike, two rows, none
    assert found.mean[0] == pytest.approx(0.3) and found.deviation[0] == pytest.approx(values[:10].std(ddof=1))
    np.testing.assert_allclose(found.mean[1:], values.mean())
    assert found.standardised(np.array([0.3, values.mean()]), np.array([0, 3])) == pytest.approx([0, 0])
    with pytest.raises(ValueError, match="equally consistent"):
        scale_up.usual(np.ones(12), np.zeros(12, int), 1)


@pytest.mark.parametrize("text", ["", "1", "256", "3,x", "3,,5", "2.5"])
def test_factors_that_are_none(text):
    with pytest.raises(Usage, match="from 2 to 255"):
        scale_up.parse_factors(text)


def context(images, clean=None):
    """What a run of the mini network would give the detector."""
    clean = ARRAYS["img_clean"] if clean is None else clean
    rows = Rows(clean, np.zeros(len(clean), int))

    def predicted(group="train"):
        return mini_network.logits(ARRAYS, images if group == "train" else rows.inputs).argmax(1)

    return SimpleNamespace(
        images=lambda: images,
        clean=rows,
        predicted=predicted,
        predictor=lambda: lambda images: mini_network.logits(ARRAYS, images),
        classes=10,
        class_names=[f"class {number}" for number in range(10)],
    )


def test_both_modes():
    settings = {"factors": "3,5,7,9,11", "threshold": 0.5}
    free = scale_up.score(context(ARRAYS["img"]), mode="data-free", **settings)
    np.testing.assert_allclose(free.scores, ARRAYS["scaleup_spc"], atol=1e-7)
    np.testing.assert_array_equal(free.flagged, ARRAYS["scaleup_flag"])
    limited = scale_up.score(context(ARRAYS["img"]), mode="data-limited", **settings)
    assert not np.allclose(limited.scores, ARRAYS["scaleup_z"], atol=0.1)  # by class, as the paper has it
    own = ARRAYS["scaleup_pred"] == 4
    assert (
        np.argsort(limited.scores[own], kind="stable").tolist() == np.argsort(free.scores[own], kind="stable").tolist()
    )
    assert set(limited.findings["classes_without_own_mean"]) < {f"class {number}" for number in range(10)}


def test_rows_that_nothing_tells_apart_are_refused():
    black = np.zeros((20, 8, 8, 3), np.uint8)
    with pytest.raises(Failure, match=r"every row is equally consistent \(1\)"):
        scale_up.score(context(black), mode="data-free", factors="3", threshold=0.5)
    with pytest.raises(Failure, match=r"option scale-up.mode=data-free"):
        scale_up.score(context(ARRAYS["img"], black), mode="data-limited", factors="3", threshold=0.5)


def test_a_factor_that_is_none_is_refused_before_anything(run):
    done = invoke("detect", run, "--method", "scaleup", "--option", "factors=1,3")
    assert done.exit_code == 2 and "from 2 to 255" in done.stderr
