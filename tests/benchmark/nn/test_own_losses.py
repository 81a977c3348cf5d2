"""Steps with losses of one's own, and derivatives of derivatives: against plain ones, and the same on every backend."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

from benchmark.nn.networks import NETWORKS  # noqa: E402

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 8, 8, 3)).astype("u1")
LABELS = (np.arange(12) % 4).astype("i4")
POINT = RANDOM.normal(size=(8, 8, 3)).astype("f4")
DIRECTION = RANDOM.normal(size=(8, 8, 3)).astype("f4")
CODE = """
import sys
import numpy as np
from keras import ops
from benchmark.nn import engines, pixels
def network():
    import keras
    from keras import layers
    from benchmark.nn.initial_weights import Uniform
    from benchmark.nn.layers import BatchNorm
    inputs = keras.Input((8, 8, 3), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = layers.Conv2D(4, 3, use_bias=False, kernel_initializer=Uniform(7, "conv"), name="conv")(x)
    x = layers.Activation("tanh", name="tanh")(BatchNorm(name="bn")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(4, kernel_initializer=Uniform(7, "logits"), name="logits")(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(x))

def loss_of(model):
    from benchmark.nn.engines import common
    layers = common.network(model)
    return lambda images, labels: 2 * common.cross_entropy(labels, layers(images, training=True))

def sharp(values, gradients):
    return [0.1 * g for g in gradients]

def everything(images, labels, point, direction):
    from benchmark.nn.engines import common
    found = {}
    for name, offsets in (("plain", None), ("sharp", sharp)):
        model = network()
        step = engines.stepped(model, 0.05, loss_of(model), offsets)
        found[name + " losses"] = np.array([float(step(images, labels)) for _ in range(2)])
        found |= {f"{name} {i}": ops.convert_to_numpy(w) for i, w in enumerate(model.weights)}
    model = network()
    floats = pixels.on_floats(model)
    def inner(point, images, labels):
        return common.cross_entropy(labels, floats(ops.cast(images, "float32") + point, training=False))
    weights = model.trainable_variables
    by_weights, by_point = engines.second_order(model, weights, inner)(point, direction, images, labels)
    found["by point"] = ops.convert_to_numpy(by_point)
    return found | {f"by weight {i}": ops.convert_to_numpy(w) for i, w in enumerate(by_weights)}
"""
OTHER = """
from benchmark.nn import engines
engines.activate({backend!r}, threads=2)
{code}
data = np.load(sys.argv[1] + "/data.npz")
np.savez(sys.argv[1] + "/found.npz", **everything(*(data[name] for name in ("a", "b", "c", "d"))))
"""


@pytest.fixture(scope="module")
def ours():
    space = {}
    exec(CODE, space)  # the same functions as in the other process
    return space, space["everything"](IMAGES, LABELS, POINT, DIRECTION)


def test_a_loss_of_ones_own_trains_as_the_engine_does(ours):
    """Twice the cross-entropy at half the learning rate is the cross-entropy."""
    space, found = ours
    model = space["network"]()
    engine = engines.engine(model, 0.1, IMAGES, LABELS)
    rows = np.arange(12, dtype="i4")[None]
    losses = np.concatenate([np.asarray(engine.train(rows)) for _ in range(2)])
    np.testing.assert_allclose(found["plain losses"], 2 * losses, rtol=1e-4)
    for number, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(found[f"plain {number}"], weight, rtol=1e-3, atol=1e-4)


def test_statistics_move_as_in_the_plain_step_and_weights_otherwise(ours):
    space, found = ours
    names = [weight.path for weight in space["network"]().weights]
    once = [np.array_equal(found[f"plain {i}"], found[f"sharp {i}"]) for i in range(len(names))]
    assert not all(once)
    assert all(name.endswith(("mean", "variance")) or not same for name, same in zip(names, once, strict=True))


def test_second_derivatives_are_differences_of_first_ones(ours):
    from keras import ops

    from benchmark.nn import pixels
    from benchmark.nn.engines import common

    space, found = ours
    model = space["network"]()
    floats = pixels.on_floats(model)

    def inner(point, images, labels):
        return common.cross_entropy(labels, floats(ops.cast(images, "float32") + point, training=False))

    first = engines.differentiated(model, model.trainable_variables, inner)
    far = 2.0
    (_, ahead, _), (_, behind, _) = (first(POINT + sign * far * DIRECTION, IMAGES, LABELS) for sign in (1, -1))
    for number, (more, less) in enumerate(zip(ahead, behind, strict=True)):
        value = (np.asarray(more) - np.asarray(less)) / (2 * far)
        expected = found[f"by weight {number}"]
        np.testing.assert_allclose(value, expected, rtol=0.05, atol=0.02 * np.abs(expected).max(), err_msg=number)


def test_a_network_is_the_same_on_floats():
    from benchmark.nn import pixels
    from benchmark.nn.engines import common

    model = NETWORKS["pmoe"].build({"image_shape": (8, 8, 3), "classes": 4, "width": 1, "experts": 2, "top_k": 2})
    floats = pixels.on_floats(model)
    expected = np.asarray(common.network(model)(IMAGES, training=False))
    np.testing.assert_allclose(np.asarray(floats(IMAGES.astype("f4"), training=False)), expected, rtol=1e-5)
    assert float(pixels.unit(model)) == 255


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_finds_the_same(backend, ours, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    np.savez(tmp_path / "data.npz", a=IMAGES, b=LABELS, c=POINT, d=DIRECTION)
    code = OTHER.format(backend=backend, code=CODE)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        for name, value in ours[1].items():
            scale = max(float(np.abs(value).max()), 1e-6)
            np.testing.assert_allclose(found[name], value, rtol=2e-2, atol=2e-3 * scale, err_msg=name)
