"""`TokenMoE`'s routing and losses against google-research/vmoe's own outputs (tests/golden/networks.npz)."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

import keras  # noqa: E402
from keras import ops  # noqa: E402

from benchmark.nn.layers import token_moe  # noqa: E402
from benchmark.nn.layers.token_moe import TokenMoE  # noqa: E402

GOLDEN = np.load(Path(__file__).resolve().parents[2] / "golden" / "networks.npz")
INPUTS, KERNEL = GOLDEN["vmoe_inputs"], GOLDEN["vmoe_gate_kernel"]
LOGITS = INPUTS @ KERNEL
GATES = np.asarray(ops.softmax(LOGITS, axis=-1))
EXPERTS = 4


def output(routed):
    """What comes back where expert e makes (e + 1) · token of a token."""
    pick, combine = map(np.asarray, routed)
    scale = np.arange(1, EXPERTS + 1)
    return np.einsum("bect,bte,e,btd->btd", pick, combine, scale, INPUTS)


def slots(pick):
    """The place of each token with each expert, −1 where it has none, (batch, tokens, experts)."""
    pick = np.asarray(pick)
    return np.where(pick.any(2), pick.argmax(2), -1).transpose(0, 2, 1)


@pytest.mark.parametrize("name", ["cap105", "cap6", "full"])
def test_tokens_choose_as_in_vmoe(name):
    places = int(GOLDEN[f"vmoe_topk_{name}_capacity"])
    routed = token_moe.top_experts(ops.convert_to_tensor(GATES), 2, places)
    np.testing.assert_allclose(routed.combine, GOLDEN[f"vmoe_topk_{name}_combine"], atol=1e-5)
    assert np.array_equal(slots(routed.pick), GOLDEN[f"vmoe_topk_{name}_slot"])
    np.testing.assert_allclose(output(routed), GOLDEN[f"vmoe_topk_{name}_output"], atol=1e-5)


def test_the_capacity_is_a_multiple_of_four():
    assert token_moe.capacity(16, 2, 1.05, 4) == int(GOLDEN["vmoe_topk_cap105_capacity"]) == 12
    assert token_moe.capacity(65, 2, 1.05, 8) == 20


@pytest.mark.parametrize("name", ["cap4", "cf2"])
def test_experts_choose_as_in_vmoe(name):
    routed = token_moe.top_tokens(ops.convert_to_tensor(GATES), int(GOLDEN[f"vmoe_choice_{name}_capacity"]))
    np.testing.assert_allclose(routed.combine, GOLDEN[f"vmoe_choice_{name}_combine"], atol=1e-5)
    assert np.array_equal(np.asarray(routed.pick).argmax(-1), GOLDEN[f"vmoe_choice_{name}_items"])
    np.testing.assert_allclose(output(routed), GOLDEN[f"vmoe_choice_{name}_output"], atol=1e-5)


def test_losses_and_their_gradients_are_vmoe_s():
    import tensorflow as tf

    noise, deviation = GOLDEN["vmoe_noise_standard_normal"], 1 / EXPERTS
    kernel = tf.Variable(KERNEL)
    with tf.GradientTape(persistent=True) as tape:
        logits = INPUTS @ kernel
        noisy = logits + deviation * noise
        importance = token_moe.unevenness(ops.sum(ops.softmax(logits, axis=-1), axis=1))
        load = token_moe.unevenness(token_moe.load(logits, noisy, 2, deviation))
        means = ops.mean(importance), ops.mean(load)
    np.testing.assert_allclose(importance, GOLDEN["vmoe_importance_loss"], rtol=1e-4)
    np.testing.assert_allclose(load, GOLDEN["vmoe_noisy_load_loss"], rtol=1e-4)
    for mean, name in zip(means, ("importance", "load"), strict=True):
        np.testing.assert_allclose(tape.gradient(mean, kernel), GOLDEN[f"vmoe_noisy_grad_{name}_loss"], atol=1e-5)
    np.testing.assert_allclose(0.005 * (importance + load), GOLDEN["vmoe_noisy_auxiliary_loss"], rtol=1e-4)
    routed = token_moe.top_experts(ops.softmax(ops.convert_to_tensor(noisy), axis=-1), 2, 12)
    np.testing.assert_allclose(routed.combine, GOLDEN["vmoe_noisy_combine"], atol=1e-5)


@pytest.mark.parametrize("routing", ["token", "expert"])
def test_the_layer_is_what_one_token_at_a_time_gives(routing):
    layer = TokenMoE(experts=3, inner=5, routing=routing, seed=1)
    x = np.random.default_rng(0).normal(size=(2, 9, 6)).astype("f4")
    layer.build(x.shape)
    for i, weight in enumerate(layer.weights):
        if np.issubdtype(np.asarray(weight).dtype, np.floating):
            weight.assign(np.random.default_rng(i).normal(size=weight.shape))
    gates, taken = map(np.asarray, layer.route(x))
    expected = np.zeros_like(x)
    kernel1, bias1, kernel2, bias2 = (
        np.asarray(one) for one in (layer.kernel1, layer.bias1, layer.kernel2, layer.bias2)
    )
    for image, token, expert in np.argwhere(taken > 0):
        inner = np.asarray(ops.gelu(x[image, token] @ kernel1[expert] + bias1[expert], approximate=False))
        expected[image, token] += gates[image, token, expert] * (inner @ kernel2[expert] + bias2[expert])
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-4, atol=1e-4)
    assert len(layer.losses) == 0
    layer(x, training=True)
    assert len(layer.losses) == (routing == "token")


def test_a_saved_layer_loads(tmp_path):
    inputs = keras.Input((9, 6))
    model = keras.Model(inputs, TokenMoE(experts=2, inner=4, name="moe")(inputs))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = np.ones((1, 9, 6), "f4")
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), np.asarray(again(x, training=False)))
