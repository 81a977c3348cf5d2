"""FT-SAM: offsets, gradients and steps of the reference; its loss and its swinging learning rate."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences.repairs import ft_sam  # noqa: E402
from benchmark.nn.optimizers import TorchSGD  # noqa: E402

GOLDEN = golden_network.golden()
IMAGES = golden_network.images(GOLDEN["anp.images"])
LABELS = GOLDEN["anp.labels"].astype(np.int32)


@pytest.mark.parametrize(("case", "adaptive"), [("sam_adaptive", True), ("sam_plain", False)])
def test_a_step_is_the_references(case, adaptive):
    model = golden_network.network(GOLDEN)
    seen = []

    def spy(values, gradients):
        moved = ft_sam.offsets(2.0, adaptive)(values, gradients)
        seen.append(len(moved))
        return moved

    step = engines.stepped(model, TorchSGD(0.01, 0.9, 5e-4), ft_sam.smoothed_loss(model, 0.1), spy)
    before = [np.asarray(weight).copy() for weight in model.trainable_variables]
    loss = step(IMAGES, LABELS)
    assert float(loss) == pytest.approx(GOLDEN[f"{case}.loss"], rel=1e-4) and seen
    for name, was, weight in zip(golden_network.WEIGHTS, before, model.trainable_variables, strict=True):
        after = golden_network.ours(GOLDEN[f"{case}.after.{name}"])
        np.testing.assert_allclose(np.asarray(weight), after, rtol=1e-4, atol=1e-6, err_msg=name)
        gradient = golden_network.ours(GOLDEN[f"{case}.grad_at_perturbed.{name}"])
        np.testing.assert_allclose(
            (was - np.asarray(weight)) / 0.01 - 5e-4 * was, gradient, rtol=2e-3, atol=2e-4, err_msg=name
        )


def test_moving_statistics_are_those_of_the_first_pass():
    model = golden_network.network(GOLDEN)
    engines.stepped(model, 0.01, ft_sam.smoothed_loss(model, 0.1), ft_sam.offsets(2.0, True))(IMAGES, LABELS)
    plain = golden_network.network(GOLDEN)
    engines.stepped(plain, 0.01, ft_sam.smoothed_loss(plain, 0.1))(IMAGES, LABELS)
    for one, other in zip(model.non_trainable_variables, plain.non_trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6)
    assert not np.allclose(
        np.asarray(model.get_layer("c1").kernel), np.asarray(plain.get_layer("c1").kernel), atol=1e-5
    )


def test_the_references_learning_rate_swings():
    np.testing.assert_allclose(0.01 * ft_sam.swinging(401), GOLDEN["sam.lr_per_batch_first_401"], rtol=1e-4, atol=1e-8)


def test_without_smoothing_the_loss_is_the_cross_entropy():
    model = golden_network.network(GOLDEN)
    from benchmark.nn.engines import common

    network = common.network(model)
    expected = float(common.cross_entropy(LABELS, network(IMAGES, training=True)))
    model = golden_network.network(GOLDEN)
    assert float(ft_sam.smoothed_loss(model, 0.0)(IMAGES, LABELS)) == pytest.approx(expected, rel=1e-5)
