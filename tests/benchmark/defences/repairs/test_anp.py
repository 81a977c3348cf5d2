"""ANP: two steps of the reference, what a mask does, which threshold is taken."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences.repairs import anp  # noqa: E402
from benchmark.nn import units  # noqa: E402
from benchmark.nn.networks import NETWORKS  # noqa: E402

GOLDEN = golden_network.golden()
IMAGES = golden_network.images(GOLDEN["anp.images"])
LABELS = GOLDEN["anp.labels"].astype(np.int32)


def both(step, name):
    return np.concatenate([GOLDEN[f"anp.step{step}.b{number}.{name}"] for number in (1, 2)])


def noise_of(step, which):
    return np.stack([both(step, f"neuron_noise{which}"), both(step, f"neuron_noise_bias{which}")])


@pytest.fixture(scope="module")
def case():
    model = golden_network.network(GOLDEN)
    return model, units.normalisations(model)


def test_two_steps_are_the_references(case):
    """The reference takes the batch's statistics, and lets the noise leave its bounds."""
    masks = anp.Masks(*case, anp.Search(2, 16, 0.2, statistics="batch", project=False))
    for step in (1, 2):
        starts = np.stack([both(step, "neuron_noise_start"), both(step, "neuron_noise_bias_start")])
        ends = np.stack([both(step, "neuron_noise_adversarial"), both(step, "neuron_noise_bias_adversarial")])
        before, noise = masks.adversarial(starts, IMAGES, LABELS)
        assert before == pytest.approx(GOLDEN[f"anp.step{step}.loss_before_noise_step"], rel=1e-4)
        np.testing.assert_allclose(noise, ends, rtol=1e-5)
        assert np.abs(ends).max() > 0.4, "the reference's noise is out of bounds"
        total = masks.step(noise, IMAGES, LABELS)
        assert total == pytest.approx(GOLDEN[f"anp.step{step}.loss_nat_rob_total"][2], rel=1e-4)
        np.testing.assert_allclose(masks.values, both(step, "mask"), rtol=1e-4)


def test_ours_keeps_the_noise_within_its_bounds_and_the_network_as_it_is(case):
    model, of = case
    before = [np.asarray(weight).copy() for weight in model.weights]
    rows = anp.Rows(IMAGES, LABELS)
    steps = list(anp.search_masks(model, of, rows, anp.Search(3, 8, 0.2), seed=1))
    assert [number for number, _, _ in steps] == [1, 2, 3] and all(np.isfinite(loss) for _, loss, _ in steps)
    masks = steps[-1][2]
    assert masks.values.min() < 1 and masks.values.max() <= 1
    _, noise = masks.adversarial(np.full((2, len(masks.values)), 0.3, np.float32), IMAGES, LABELS)
    assert np.abs(noise).max() <= np.float32(0.4)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))
    again = list(anp.search_masks(model, of, rows, anp.Search(3, 8, 0.2), seed=1))[-1][2]
    assert np.array_equal(again.values, masks.values)


class Judge:
    def __init__(self, *accuracies):
        self.left = list(accuracies)

    def accuracy(self):
        return self.left.pop(0)


def test_the_largest_threshold_that_loses_no_more_than_is_allowed():
    model = golden_network.network(GOLDEN)
    of = units.normalisations(model)
    masks = np.ones(14, np.float32)
    masks[[2, 9]] = 0.1, 0.6
    points = anp.sweep(model, of, masks, Judge(0.9, 0.88, 0.5), (0.0, 0.05, 0.1, 0.5, 0.6, 0.9))
    assert [(one.threshold, one.pruned) for one in points] == [
        (0.0, 0), (0.05, 0), (0.1, 1), (0.5, 1), (0.6, 2), (0.9, 2)]  # fmt: skip
    assert anp.largest(points, 0.9, 0.05).threshold == 0.5
    assert anp.largest(points, 0.9, 0.6).threshold == 0.9
    assert anp.largest(points, 2.0, 0.05) is None
    gone = [np.flatnonzero(np.asarray(one.weight) == 0).tolist() for one in of]
    assert gone == [[2], [3]]
    assert all((np.asarray(one.bias) != 0).all() for one in of), "the channel becomes the constant β"


@pytest.mark.parametrize(("name", "kind", "count"), [
    ("pmoe", units.CHANNELS, 16 + 16 + 16 + 32 + 32 + 3 * 64 + 3 * 16),
    ("vit", units.HIDDEN, 6 * 24),
    ("moe-vit", units.HIDDEN, 4 * 24 + 2 * 3 * 24),
])  # fmt: skip
def test_units_of_networks(name, kind, count):
    sizes = {"pmoe": {"width": 1, "experts": 3, "top_k": 4}, "vit": {"width": 6}, "moe-vit": {"width": 6, "experts": 3}}
    model = NETWORKS[name].build({"image_shape": (16, 16, 3), "classes": 4, "seed": 1} | sizes[name])
    words, of = units.all_units(model)
    assert words == kind and units.total(of) == count
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("u1")
    dead = np.zeros(count, bool)
    dead[::5] = True
    with units.scope(model, of, (~dead).astype(np.float32)):
        masked = np.asarray(model(images, training=False))
    units.prune(of, dead)
    np.testing.assert_allclose(np.asarray(model(images, training=False)), masked, atol=1e-6)
    assert sum(np.sum(one["flagged"]) for one in units.by_part(of, dead)) == dead.sum()


def test_experts_take_their_moving_statistics_and_all_else_the_batchs():
    model = NETWORKS["pmoe"].build({"image_shape": (16, 16, 3), "classes": 4, "width": 1, "experts": 2, "top_k": 4})
    of = units.normalisations(model)
    anp.Masks(model, of, anp.Search(1, 4, 0.1, statistics="experts"))
    frozen = [one.name for one in of if not one.layer.trainable]
    assert frozen == ["experts"]
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("u1")
    before = np.asarray(model.get_layer("experts").moving_mean).copy()
    head = np.asarray(model.get_layer("head_bn").moving_mean).copy()
    model(images, training=True)
    assert np.array_equal(np.asarray(model.get_layer("experts").moving_mean), before)
    assert not np.array_equal(np.asarray(model.get_layer("head_bn").moving_mean), head)
