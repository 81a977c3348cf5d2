"""`DenseExperts` and pmoe-dense: the control differs from pMoE in nothing but the routing."""

import numpy as np

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

from benchmark.nn.layers import DenseExperts, PatchMoE  # noqa: E402
from benchmark.nn.networks.pmoe import pmoe  # noqa: E402
from benchmark.nn.networks.pmoe_dense import pmoe_dense  # noqa: E402


def test_the_layer_is_batch_norm_relu_and_convolution_an_expert():
    layer = DenseExperts(experts=3, filters=7, seed=1)
    x = np.random.default_rng(1).normal(size=(4, 4, 5, 6)).astype("f4")
    layer.build(x.shape)
    for weight in layer.weights[1:4]:  # bias, gamma, beta: else 0 and 1
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    maps = []
    for expert in range(3):
        seen = (x.astype(float) - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + layer.epsilon)
        seen = np.asarray(layer.gamma)[expert] * seen + np.asarray(layer.beta)[expert]
        maps.append(np.maximum(seen, 0) @ np.asarray(layer.kernel)[expert] + np.asarray(layer.bias)[expert])
    found = np.asarray(layer(x, training=True))
    assert found.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(found, np.concatenate(maps, axis=-1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, np.tile(0.01 * x.mean((0, 1, 2)), (3, 1)), rtol=1e-4, atol=1e-6)


def test_it_is_patch_moe_that_takes_every_patch_with_a_gate_of_one():
    """A router of zeros gives each of 20 patches a gate of 1/20; taken all, PatchMoE sees the map times 1/20, which the
    normalisation undoes, up to its epsilon."""
    x = 100 * np.random.default_rng(3).normal(size=(4, 4, 5, 6)).astype("f4")
    routed, dense = PatchMoE(experts=2, top_k=20, filters=3, seed=4), DenseExperts(experts=2, filters=3, seed=4)
    for layer in (routed, dense):
        layer.build(x.shape)
    routed.router.assign(np.zeros(routed.router.shape))
    np.testing.assert_allclose(routed(x, training=True), dense(x, training=True), rtol=1e-2, atol=1e-3)


def test_equal_layers_of_the_two_networks_begin_with_equal_weights():
    routed, dense = pmoe((32, 32, 3), 10, seed=5), pmoe_dense((32, 32, 3), 10, seed=5)
    assert routed.count_params() == 3_971_242 and dense.count_params() == 3_971_242 - 4 * 640
    others = {one.path: np.asarray(one) for one in routed.weights}
    assert set(others) - {one.path for one in dense.weights} == {"experts/router"}
    for weight in dense.weights:
        assert np.array_equal(np.asarray(weight), others[weight.path]), weight.path
