"""What must be the same on every backend: losses that layers add, and the initial weights of our own stream."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

from benchmark.nn.engines import common  # noqa: E402
from benchmark.nn.networks import IMAGE, NETWORKS  # noqa: E402

SIZES = {
    "preact-resnet18": {"width": 2},
    "vit": {"width": 6},
    "moe-vit": {"width": 6, "experts": 3, "routing": "token"},
}
OURS = [name for name, spec in NETWORKS.items() if spec.modality == IMAGE and name not in ("pmoe", "pmoe-dense")]
"""Networks whose initial weights come from our own stream; Keras draws those of pMoE, and so of its control."""
SHAPE = {"image_shape": (16, 16, 3), "classes": 4, "seed": 7}
RANDOM = np.random.default_rng(0)
IMAGES, LABELS = RANDOM.integers(0, 256, (24, 16, 16, 3)).astype("u1"), np.arange(24) % 4
ROWS = np.array([[0, 5, 9, 2, 17, 23, 11, 4], [1, 3, 8, 20, 7, 6, 19, 10]], "i4")
CODE = """
import sys, keras, numpy as np
from keras import ops
from benchmark.nn.networks import NETWORKS

def without_noise(shape, **how):
    return ops.zeros(shape)

def initial(sizes, shape):
    return {f"{name} {i}": ops.convert_to_numpy(one)
            for name, own in sizes.items()
            for i, one in enumerate(NETWORKS[name].build(shape | own).weights)}

def steps(sizes, shape, images, labels, rows):
    from benchmark.nn import engines
    keras.random.normal = without_noise
    model = NETWORKS["moe-vit"].build(shape | sizes["moe-vit"])
    engine = engines.engine(model, 0.1, images, labels)
    losses = np.concatenate([np.asarray(engine.train(rows[i : i + 1])) for i in range(len(rows))])
    return {"losses": losses} | {f"after {i}": ops.convert_to_numpy(one) for i, one in enumerate(model.weights)}
"""
OTHER = """
from benchmark.nn import engines
engines.activate({backend!r}, threads=2)
{code}
from keras import ops
data = np.load(sys.argv[1] + "/data.npz")
found = initial({sizes!r}, {shape!r}) | steps({sizes!r}, {shape!r}, data["images"], data["labels"], data["rows"])
np.savez(sys.argv[1] + "/found.npz", **found)
"""


@pytest.fixture
def quiet_noise(monkeypatch):
    import keras

    monkeypatch.setattr(keras.random, "normal", keras.random.normal)  # put back after the test


@pytest.fixture(params=["jax", "torch"])
def other(request, tmp_path):
    """What another backend says, in a process of its own."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=LABELS, rows=ROWS)
    code = OTHER.format(backend=request.param, code=CODE, sizes=SIZES, shape=SHAPE)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        return dict(found)


def test_weights_and_losses_are_the_same_on_another_backend(other, quiet_noise):
    assert set(SIZES) == set(OURS), "say here in which sizes it is compared"
    space = {}
    exec(CODE, space)  # the same functions as in the other process
    for name, value in space["initial"](SIZES, SHAPE).items():
        assert np.array_equal(other[name], value), name
    ours = space["steps"](SIZES, SHAPE, IMAGES, LABELS, ROWS)
    np.testing.assert_allclose(other["losses"], ours["losses"], rtol=1e-5)
    for name, value in ours.items():
        np.testing.assert_allclose(other[name], value, rtol=2e-3, atol=2e-5, err_msg=name)


def test_the_loss_that_is_minimised_holds_what_layers_add(quiet_noise):
    """Beside the cross-entropy, and its gradient: the router of the last layer, on which little else depends."""
    import keras

    space = {}
    exec(CODE, space)
    keras.random.normal = space["without_noise"]
    results = []
    for weight in (0.0, 0.5):
        model = NETWORKS["moe-vit"].build(SHAPE | SIZES["moe-vit"])
        for block in ("block4", "block6"):
            model.get_layer(block).moe.loss_weight = weight
        network = common.network(model)
        logits = network(IMAGES[ROWS[0]], training=True)
        plain = float(common.cross_entropy(LABELS[ROWS[0]], logits))
        added = float(sum(network.losses))
        engine = engines.engine(model, 0.1, IMAGES, LABELS)
        before = np.asarray(model.get_layer("block6").moe.router)
        (loss,) = np.asarray(engine.train(ROWS[:1]))
        assert loss == pytest.approx(plain + added, rel=1e-5)
        results.append((added, np.abs(np.asarray(model.get_layer("block6").moe.router) - before).max()))
    assert results[0][0] == 0 and results[1][0] > 0 and results[1][1] > 1.5 * results[0][1]
