"""I-BAU: the search's first step and the hypergradient of the reference; what unlearning does to a network."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences.repairs import i_bau  # noqa: E402
from benchmark.format.dataset import Rows  # noqa: E402

GOLDEN = golden_network.golden()
IMAGES = golden_network.images(GOLDEN["anp.images"])
LABELS = GOLDEN["anp.labels"].astype(np.int32)
PLAN = i_bau.Unlearning(rounds=2, batch_size=8, search_rate=1.0)


@pytest.fixture(scope="module")
def losses():
    return i_bau.Losses(golden_network.network(GOLDEN), PLAN, unit=np.float32(1))


def test_the_search_steps_as_the_reference(losses):
    model = golden_network.network(GOLDEN)
    said = np.asarray(model(IMAGES, training=False)).argmax(1).astype(np.int32)
    found = i_bau.search(losses, [(IMAGES, LABELS)], [said], 10.0, radius=0)
    expected = golden_network.images(GOLDEN["ibau.search_step_from_zero"])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    within = i_bau.search(losses, 3 * [(IMAGES, LABELS)], 3 * [said], 10.0, radius=0.02)
    assert np.linalg.norm(within) <= 0.02 * (1 + 1e-6) < np.linalg.norm(expected)


def test_the_hypergradient_is_the_references(losses):
    perturbation = golden_network.images(GOLDEN["ibau.perturbation"])[0]
    carried = np.zeros(len(LABELS), np.float32)
    carried[GOLDEN["ibau.patched_rows"]] = 1
    found = losses.hypergradient(perturbation, (IMAGES, LABELS), carried, (IMAGES, LABELS))
    for name, gradient in zip(golden_network.WEIGHTS, found, strict=True):
        expected = golden_network.ours(GOLDEN[f"ibau.hypergrad.{name}"])
        np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-3, atol=1e-6, err_msg=name)


def test_a_share_of_rows_carries_it_and_at_least_one():
    assert [i_bau.carriers(count, 0.01, 0, "x").sum() for count in (5, 256, 300)] == [1, 2, 3]


def test_unlearning_moves_weights_and_not_the_statistics():
    model = golden_network.network(GOLDEN)
    weights, moving = model.get_weights(), [np.asarray(one) for one in model.non_trainable_variables]
    norms = i_bau.unlearn(model, Rows(IMAGES, LABELS), PLAN)
    assert len(norms) == 2 and min(norms) > 0
    assert all(np.array_equal(a, b) for a, b in zip(moving, model.non_trainable_variables, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
