"""CLP: constants and thresholds against the reference, which normalisation belongs to which convolution, what goes."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences.repairs import clp  # noqa: E402
from benchmark.nn.networks import NETWORKS  # noqa: E402

GOLDEN = golden_network.golden()
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("convolution", "norm"), [("conv1", "bn1"), ("conv2", "bn2")])
def test_constants_threshold_and_pruned_channels_are_the_references(convolution, norm):
    kernel = GOLDEN[f"clp.{convolution}.weight"]
    kernels = kernel.reshape(*kernel.shape[:2], -1)
    found = clp.lipschitz(kernels, GOLDEN[f"clp.{norm}.weight"], GOLDEN[f"clp.{norm}.running_var"])
    np.testing.assert_allclose(found, GOLDEN[f"clp.{norm}.lipschitz"], rtol=1e-5)
    dead, limit = clp.outliers(found[None], 3, pooled=False)
    np.testing.assert_allclose(limit, [GOLDEN[f"clp.{norm}.threshold_u3"]], rtol=1e-5)
    assert np.array_equal(dead[0], GOLDEN[f"clp.{norm}.pruned_u3"]) and dead.any()


def test_no_channel_of_ten_can_lie_three_deviations_out_and_one_of_eleven_can():
    for count, possible in ((10, False), (12, True)):
        constants = np.zeros((1, count))
        constants[0, 0] = 1e6
        assert clp.outliers(constants, 3, pooled=False)[0].any() == possible == (clp.farthest(count) > 3)


def test_experts_of_few_channels_are_judged_together():
    constants = np.ones((4, 8)) + RANDOM.normal(size=(4, 8)) / 100
    constants[2, 5] = 3
    assert not clp.outliers(constants, 3, pooled=False)[0].any()
    assert np.argwhere(clp.outliers(constants, 3, pooled=True)[0]).tolist() == [[2, 5]]


def test_one_channel_alone_is_no_outlier():
    assert not clp.outliers(np.ones((1, 1)), 3, pooled=False)[0].any()


def network(name, **sizes):
    return NETWORKS[name].build({"image_shape": (16, 16, 3), "classes": 4, "seed": 1} | sizes)


def test_the_pairs_of_a_preact_resnet_are_those_without_a_sum_between():
    names = [pair.units.name for pair in clp.pairs(network("preact-resnet18", width=2))]
    assert names == ["layer1_0_bn1", *(f"layer{stage}_{block}_bn2" for stage in range(1, 5) for block in range(2))]
    paired = {name.replace(".", "_", 1).replace(".", "_") for name, _ in map(split, GOLDEN["clp.preact_pairs"])}
    sums = paired - set(names)
    assert len(sums) == 7, "which BackdoorBench pairs with one branch of the sum that they normalise"


def split(pair):
    return str(pair).split("<-")


@pytest.mark.parametrize("name", ["pmoe", "pmoe-dense"])
def test_experts_belong_to_the_convolution_before_and_their_maps_to_their_own(name):
    model = network(name, width=1, experts=3, **({"top_k": 4} if name == "pmoe" else {}))
    found = {pair.units.name: pair.kernels.shape for pair in clp.pairs(model)}
    assert found == {
        "block1_1_bn": (1, 16, 3, 9),
        "block1_2_bn": (1, 16, 16, 9),
        "block2_2_bn": (1, 32, 16, 9),
        "experts": (3, 64, 32, 9),
        "head_bn": (3, 16, 64, 1),
    }
    kernel = np.asarray(model.get_layer("experts").kernel)
    (head,) = (pair for pair in clp.pairs(model) if pair.units.name == "head_bn")
    assert np.array_equal(head.kernels[1, 5, :, 0], kernel[1, :, 5])


def test_pruned_channels_give_nothing_and_no_other_changes():
    model = network("pmoe", width=1, experts=3, top_k=4)
    experts = model.get_layer("experts")
    gamma = np.asarray(experts.gamma).copy()
    gamma[1, 7] = 50
    experts.gamma.assign(gamma)
    experts.beta.assign(np.ones_like(gamma))
    findings = {one["layer"]: one for one in clp.prune(model, 5.0, None)}
    assert findings["experts"]["pruned"] == [0, 1, 0] and not findings["experts"]["pooled"]
    assert findings["head_bn"]["pooled"]
    gone = np.argwhere(np.asarray(experts.gamma) == 0).tolist()
    assert gone == np.argwhere(np.asarray(experts.beta) == 0).tolist() == [[1, 7]]
    gamma[1, 7] = 0
    assert np.array_equal(np.asarray(experts.gamma), gamma)


def test_a_transformer_has_no_pairs():
    assert clp.pairs(network("vit", width=6)) == []
