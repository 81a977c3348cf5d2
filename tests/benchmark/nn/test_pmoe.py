"""`PatchMoE` and the network around it, against the plain network of `tests/perf/plain_pmoe.py` and NumPy."""

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from plain_pmoe import copy_weights, plain_pmoe  # noqa: E402

from benchmark.nn.layers import PatchMoE  # noqa: E402
from benchmark.nn.networks.pmoe import pmoe  # noqa: E402

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("u1")
LABELS = np.arange(6) % 5


def naive_expert_maps(layer: PatchMoE, x: np.ndarray) -> np.ndarray:
    """The layer in plain NumPy, float64, with the statistics of the batch: one image and expert at a time."""
    batch, height, width, channels = x.shape
    patches = x.reshape(batch, height * width, channels).astype(float)
    gamma, beta = np.asarray(layer.gamma), np.asarray(layer.beta)
    maps = []
    for expert in range(layer.experts):
        seen = np.zeros_like(patches)
        for image in range(batch):
            score = patches[image] @ np.asarray(layer.router, float)[:, expert]
            gate = np.exp(score - score.max())
            gate /= gate.sum()
            for patch in np.argsort(-gate, kind="stable")[: layer.top_k]:
                seen[image, patch] = patches[image, patch] * gate[patch]
        mean, variance = seen.mean((0, 1)), seen.var((0, 1))
        seen = gamma[expert] * (seen - mean) / np.sqrt(variance + layer.epsilon) + beta[expert]
        maps.append(np.maximum(seen, 0) @ np.asarray(layer.kernel[expert], float) + np.asarray(layer.bias[expert]))
    return np.concatenate(maps, axis=-1).reshape(batch, height, width, -1)


def test_the_layer_is_what_numpy_computes():
    layer = PatchMoE(experts=3, top_k=5, filters=7, router_stddev=1.0, seed=1)
    x = np.random.default_rng(1).normal(size=(4, 4, 5, 6)).astype("f4")
    layer.build(x.shape)
    for weight in layer.weights[2:5]:  # bias, gamma, beta: else 0 and 1
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    found = np.asarray(layer(x, training=True))
    assert found.shape == (4, 4, 5, 21) == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(found, naive_expert_maps(layer, x), rtol=1e-4, atol=1e-4)


def test_routing_takes_the_best_k_and_the_lower_patch_on_a_tie():
    layer = PatchMoE(experts=2, top_k=3, filters=1)
    layer.build((None, 2, 4, 1))
    layer.router.assign([[1.0, 0.0]])
    x = np.array([5, 1, 7, 1, 3, 7, 0, 1], "f4").reshape(1, 2, 4, 1)
    scores, taken = (np.asarray(value) for value in layer.route(x))
    assert np.flatnonzero(taken[0, :, 0]).tolist() == [0, 2, 5]
    assert np.flatnonzero(taken[0, :, 1]).tolist() == [0, 1, 2]  # all scores are equal
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("classes, width, expected", [(10, 10, 3_971_242), (10, 1, 45_082), (43, 1, 47_227)])
def test_parameter_count(classes, width, expected):
    assert pmoe((32, 32, 3), classes, width=width).count_params() == expected


def test_each_expert_starts_with_its_own_fans():
    layer = PatchMoE(experts=8, top_k=4, filters=30, seed=3)
    layer.build((None, 4, 4, 50))
    kernel = np.asarray(layer.kernel)
    limit = np.sqrt(6 / 80)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(np.asarray(layer.router).std(), 1e-4, rtol=0.1)


def test_initial_weights_follow_the_seed_and_nothing_else():
    keras.utils.set_random_seed(1)
    first = pmoe((16, 16, 3), 4, width=1, seed=5).get_weights()
    keras.utils.set_random_seed(2)
    again, other = (pmoe((16, 16, 3), 4, width=1, seed=seed).get_weights() for seed in (5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def gradients(model):
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(LABELS, model(PICTURES, training=True)))
    return tape.gradient(loss, model.trainable_variables)


def test_same_outputs_gradients_and_statistics_as_the_plain_network():
    model, plain = pmoe((32, 32, 3), 5, width=1, seed=1), plain_pmoe((32, 32, 3), 5, width=1)
    copy_weights(model, plain)
    for training in (False, True):
        a, b = (np.asarray(network(PICTURES, training=training)) for network in (model, plain))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    networks = ((network, [v.path for v in network.trainable_variables]) for network in (model, plain))
    ours, theirs = (dict(zip(paths, gradients(network), strict=True)) for network, paths in networks)
    for number in range(4):
        for name, part in (("router", ours["experts/router"][:, number]), ("expert", ours["experts/kernel"][number])):
            twin = np.squeeze(theirs[f"{name}_{number}/kernel"])
            np.testing.assert_allclose(part, twin, rtol=2e-3, atol=1e-4 * np.abs(twin).max())
    stem = [value for path, value in theirs.items() if path.startswith("conv2d") and path.endswith("kernel")]
    np.testing.assert_allclose(ours["stem_conv/kernel"], stem[0], rtol=2e-3, atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        statistics = np.asarray(getattr(model.get_layer("experts"), name))[2]
        np.testing.assert_allclose(statistics, getattr(plain.get_layer("bn_2"), name), rtol=1e-4, atol=1e-7)


def test_the_layer_survives_its_configuration():
    layer = PatchMoE(experts=2, top_k=3, filters=4, seed=9)
    again = PatchMoE.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("wrong", [{"experts": 0}, {"top_k": -1}, {"filters": 1.5}])
def test_bad_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be a positive integer. Received"):
        PatchMoE(**wrong)


def test_more_patches_than_there_are():
    with pytest.raises(ValueError, match="at most the 4 patches"):
        PatchMoE(top_k=5).build((None, 2, 2, 8))
