"""Optimizers: PyTorch's SGD by its formula and by one of its own steps, AdamW's decay, rates that are looked up."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(sys.argv[1] if __name__ == "__main__" else "tensorflow", threads=2)

import keras  # noqa: E402

from benchmark.nn import optimizers  # noqa: E402

RATES = [0.1, 0.1, 0.05, 0.02, 0.02]


def gradients(step, shapes):
    return [
        np.random.default_rng([step, number]).normal(size=shape).astype("f4") for number, shape in enumerate(shapes)
    ]


def sgd_by_hand(weights, momentum, decay, spared=()):
    """`torch.optim.SGD`: decay is part of the gradient, the rate is not part of the buffer."""
    weights = [weight.astype("f8") for weight in weights]
    buffers = [np.zeros_like(weight) for weight in weights]
    for step, rate in enumerate(RATES):
        for number, gradient in enumerate(gradients(step, [weight.shape for weight in weights])):
            coupled = gradient + (0 if number in spared else decay) * weights[number]
            buffers[number] = momentum * buffers[number] + coupled
            weights[number] = weights[number] - rate * buffers[number]
    return weights


def stepped(make, weights):
    """The weights after five steps of an optimizer made of a rate and the variables."""
    variables = [keras.Variable(weight, name=f"w{number}") for number, weight in enumerate(weights)]
    optimizer = make(optimizers.Rates(RATES), variables)
    optimizer.build(variables)
    for step in range(len(RATES)):
        optimizer.apply([keras.ops.convert_to_tensor(one) for one in gradients(step, [v.shape for v in variables])])
    return [keras.ops.convert_to_numpy(variable.value) for variable in variables]


WEIGHTS = [np.linspace(-1, 1, 6).reshape(2, 3).astype("f4"), np.linspace(0.5, 2, 4).astype("f4")]


@pytest.mark.parametrize("momentum, decay", [(0.9, 5e-2), (0.9, 0.0), (0.0, 5e-2), (0.0, 0.0)])
def test_sgd_is_pytorch_s_while_the_rate_changes(momentum, decay):
    found = stepped(lambda rate, _: optimizers.TorchSGD(rate, momentum, decay), WEIGHTS)
    for one, expected in zip(found, sgd_by_hand(WEIGHTS, momentum, decay), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-6)


def test_a_step_that_pytorch_has_taken():
    """The first weights of a PreAct-ResNet18, their gradients, and what `torch.optim.SGD` (2.13) made of them."""
    before = np.array([-0.47140452, -0.3519824, -0.21480626, 0.17498928], "f4")
    gradient = np.array([0.108490504, 0.067816496, 0.14496505, 0.3915391], "f4")
    after = np.array([-0.47248706, -0.3526588, -0.21625483, 0.17107302], "f4")
    variable = keras.Variable(before)
    optimizer = optimizers.TorchSGD(0.01, 0.9, 5e-4)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable.value), after, atol=6e-8, rtol=0)


def test_decay_spares_what_it_is_told_to_spare():
    found = stepped(lambda rate, variables: optimizers.TorchSGD(rate, 0.9, 0.3, variables[1:]), WEIGHTS)
    for one, expected in zip(found, sgd_by_hand(WEIGHTS, 0.9, 0.3, spared=(1,)), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-6)


def adamw_by_hand(number, decay):
    weight = WEIGHTS[number].astype("f8")
    first = second = np.zeros(weight.shape)
    for step, rate in enumerate(RATES):
        gradient = gradients(step, [one.shape for one in WEIGHTS])[number]
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2.0
        weight = weight * (1 - rate * decay)
        denominator = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
        weight = weight - rate * (first / (1 - 0.9 ** (step + 1))) / denominator
    return weight


def test_adamw_decays_beside_the_gradient_and_spares_what_it_is_told_to_spare():
    found = stepped(lambda rate, variables: optimizers.adamw(rate, 0.1, variables[1:]), WEIGHTS)
    np.testing.assert_allclose(found[0], adamw_by_hand(0, 0.1), rtol=1e-4)
    np.testing.assert_allclose(found[1], adamw_by_hand(1, 0.0), rtol=1e-4)


def test_which_variables_are_norms_and_biases():
    model = keras.Sequential([
        keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(),
        keras.layers.Flatten(), keras.layers.Dense(2),
    ])  # fmt: skip
    spared = {one.path for one in optimizers.norms_and_biases(model.trainable_variables)}
    kept = {one.path for one in model.trainable_variables} - spared
    assert {path.split("/")[-1] for path in kept} == {"kernel"} and len(kept) == 2 and len(spared) == 4
    stacked = keras.Variable(np.zeros((4, 6)), name="bias")
    assert [one.path for one in optimizers.norms_and_biases([stacked])] == [stacked.path]


def test_rates_after_the_last_step_stay():
    rates = optimizers.Rates([0.5, 0.25])
    assert [float(rates(step)) for step in (0, 1, 2, 9)] == [0.5, 0.25, 0.25, 0.25]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_step_alike(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run([sys.executable, __file__, backend], capture_output=True, text=True, check=True)
    for line, expected in zip(done.stdout.splitlines(), in_lines(), strict=True):
        np.testing.assert_allclose(np.array(line.split(), float), np.array(expected.split(), float), rtol=1e-5)


def in_lines():
    made = [
        stepped(lambda rate, variables: optimizers.TorchSGD(rate, 0.9, 0.3, variables[1:]), WEIGHTS),
        stepped(lambda rate, variables: optimizers.adamw(rate, 0.1, variables[1:]), WEIGHTS),
    ]
    return [" ".join(f"{number:.9g}" for number in one.reshape(-1)) for weights in made for one in weights]


if __name__ == "__main__":
    print("\n".join(in_lines()))
