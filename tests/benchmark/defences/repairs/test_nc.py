"""Neural Cleanse: indices of the reference, its schedule of the cost, a trigger that is found again."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences.repairs import nc  # noqa: E402
from benchmark.format.dataset import Rows  # noqa: E402

GOLDEN = golden_network.golden()
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("case", ["ten", "none", "two", "high", "odd"])
def test_indices_and_flags_are_the_references_with_the_lower_median(case):
    norms = GOLDEN[f"nc.{case}.norms"]
    found = nc.anomaly(norms, lower=True)
    assert list(found.flagged) == GOLDEN[f"nc.{case}.flagged"].tolist()
    assert found.index[norms.argmin()] == pytest.approx(GOLDEN[f"nc.{case}.median_mad_index"][2], rel=1e-4)


def test_the_median_of_an_even_number_of_classes_is_a_mean():
    norms = GOLDEN["nc.ten.norms"]
    middle = np.median(norms)
    index = abs(norms.min() - middle) / (1.4826 * np.median(abs(norms - middle)))
    assert nc.anomaly(norms).index[norms.argmin()] == pytest.approx(index, rel=1e-5)
    assert not np.isclose(index, nc.anomaly(norms, lower=True).index[norms.argmin()], rtol=0.05)
    odd = GOLDEN["nc.odd.norms"]
    np.testing.assert_allclose(nc.anomaly(odd).index, nc.anomaly(odd, lower=True).index)


def test_equal_norms_have_no_outlier_and_another_among_them_has():
    assert nc.anomaly(np.full(5, 3.0)).flagged == ()
    assert nc.anomaly(np.array([3.0, 3, 1, 3, 3])).flagged == (2,)
    assert nc.anomaly(np.array([3.0, 3, 9, 3, 3])).flagged == (), "a large trigger is none"


def test_the_cost_rises_and_falls_as_the_rules_say():
    cost = nc.Cost(patience=2, calm=3)
    assert [cost.after(0.99, norm) for norm in (9, 8)] == [(True, False)] * 2 and cost.value == 0.002
    assert [cost.after(0.5, 7) for _ in range(2)] == [(False, False)] * 2
    assert cost.value == pytest.approx(0.002 / 2**1.5)
    assert cost.after(0.99, 7.99)[1], "once both, and hardly better for three epochs"
    assert cost.best == 7.99


@pytest.fixture(scope="module")
def backdoored():
    """A network on 8×8 images that says class 2 where the corner is white, and the class by brightness elsewhere."""
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 1), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    mean = layers.GlobalAveragePooling2D()(x)
    corner = layers.GlobalAveragePooling2D()(layers.Cropping2D(((0, 6), (0, 6)))(x))
    x = layers.Concatenate()([mean, corner])
    x = layers.Dense(4, name="logits")(x)
    model = keras.Model(inputs, layers.Softmax(name="probabilities")(x))
    kernel = np.array([[-40, 0, 0, 40], [0, 0, 90, 0]], "f4")
    model.get_layer("logits").set_weights([kernel, np.array([20, 0, -70, -20], "f4")])
    return model


def test_the_trigger_of_a_backdoor_is_found_and_is_small(backdoored):
    images = RANDOM.integers(0, 160, (32, 8, 8, 1)).astype("u1")
    rows = Rows(images, np.asarray(backdoored(images)).argmax(1))
    inversion = nc.Inversion(backdoored)
    found = {target: inversion.search(rows, target, 40, 16, seed=0) for target in (2, 3)}
    trigger = found[2]
    assert trigger.reached and trigger.success >= 0.98 and trigger.norm < found[3].norm
    assert trigger.mask[:2, :2].mean() > 5 * trigger.mask[4:, 4:].mean()
    said = np.asarray(backdoored(trigger.put_on(images))).argmax(1)
    assert (said == 2).mean() > 0.9


def test_rows_to_unlearn_on():
    rows = Rows(RANDOM.integers(0, 256, (10, 4, 4, 3)).astype("u1"), np.arange(10))
    mask = np.zeros((4, 4))
    mask[0, 0] = 1
    triggers = [nc.Trigger(mask, np.full((4, 4, 3), level, float), 1.0, 1.0, True) for level in (7, 9)]
    found = nc.with_triggers(rows, triggers, 0.2, seed=0)
    assert len(found) == 8 + 2 * 2 and sorted(found.labels[:8].tolist() + found.labels[8:10].tolist()) == list(
        range(10)
    )
    assert (found.inputs[8:10, 0, 0] == 7).all() and (found.inputs[10:, 0, 0] == 9).all()
    assert np.array_equal(found.labels[8:10], found.labels[10:])
    assert np.array_equal(found.inputs[8, 1:], rows.inputs[found.labels[8], 1:])


def test_a_search_that_has_hardly_begun_is_known():
    def trigger(size):
        return nc.Trigger(np.full((4, 4), size), np.zeros((4, 4, 3)), 16 * size, 1.0, True)

    assert nc.hardly_begun([trigger(0.8), trigger(0.7), trigger(0.1)])
    assert not nc.hardly_begun([trigger(0.3), trigger(0.7), trigger(0.1)])


def test_only_classes_whose_trigger_succeeded_are_flagged():
    norms, mask = [50, 52, 49, 51, 5, 4], np.zeros((4, 4))
    found = [nc.Trigger(mask, np.zeros((4, 4, 3)), norm, 1.0, number != 5) for number, norm in enumerate(norms)]
    flagged, findings = nc.judged(found, list("abcdef"))
    assert flagged == findings["flagged"] == [4] and nc.anomaly(np.array(norms)).flagged == (5, 4)
    assert findings["classes"][5]["reached"] is False and findings["classes"][5]["index"] > 2
