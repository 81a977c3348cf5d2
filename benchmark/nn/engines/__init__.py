"""Engines: how one backend of Keras runs the compiled training and prediction steps. One backend a file.

An engine holds the training inputs on the device, images (n, H, W, C) uint8 or `tokens.Tokens`, and takes row
numbers. Its interface:

`train(rows, width, draws)`
    `rows` (steps, batch) int32: that many steps; returns their mean losses (steps,), not yet waited for. `width`: how
    many tokens of the texts are used, None for images. `draws` (steps, batch, 3 or 5) int32: how the images are
    augmented (see `benchmark.nn.augmentation`), None for not at all.
`predict(inputs)`
    n images or texts → (n,) int64, the most probable classes.
`losses(rows)`
    `rows` (n,) of the training inputs → (n,) float32: the cross-entropy of each, the network in evaluation mode.
`steps`
    How many steps `train` likes to get at once.
`variables()`
    All state of the training as Keras variables, up to date: of the network, then of the optimizer.
"""

import contextlib
import importlib
import os
import sys
import tempfile

from benchmark.core import extras
from benchmark.core.errors import Failure
from benchmark.nn import own_guard

EXTRA = {"tensorflow": "benchmark", "jax": "jax", "torch": "torch"}
"""Backend → the extra that it comes with, and Keras."""


def installed(backend: str) -> None:
    """`Failure` where a backend or Keras is absent or too old. Imports nothing: to be asked before what takes long."""
    for name in ("keras", backend):
        extras.check(name, EXTRA[backend])


def activate(backend: str, precision: str = "float32", threads: int = 2) -> None:
    """Choose the backend of Keras for this process, before Keras is first imported.

    Parameters
    ----------
    backend : str
        `tensorflow`, `jax` or `torch`.
    precision : str
        `float32`; `tf32`: the same with the GPU's fast, coarser matrix multiplication; `bfloat16`: mixed
        precision, weights and statistics stay float32. On a CPU `tf32` is `float32`.
    threads : int
        CPU threads of the run. They change the last digits, so they are a setting, never derived.

    Raises
    ------
    Failure
        If the backend is not installed, or Keras already runs with another.
    """
    installed(backend)
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if "jax" not in sys.modules:
            os.environ["NPROC"] = str(threads)  # what XLA's CPU client makes its threads from
    with quiet():
        extras.need(backend, EXTRA[backend])
        keras = extras.need("keras", EXTRA[backend])
        if keras.backend.backend() != backend:
            raise Failure(f"this process already runs Keras with {keras.backend.backend()}, not {backend}")
        keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
        importlib.import_module(f"benchmark.nn.engines.{backend}").configure(precision, threads)


@contextlib.contextmanager
def quiet():
    """Hold back what C++ code writes to stderr while a backend is imported; show it only if that fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Failure:  # already one clear line
            raise
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def engine(model, optimizer, inputs=None, labels=None):
    """Return the engine of the active backend for a network, on the given training inputs and labels (or none).

    `optimizer` is Keras', or the learning rate of plain SGD.
    """
    return own_guard.guarded(lambda: _backend().Engine(model, optimizer, inputs, labels), model)


def compiled(model, function):
    """Return a function of arrays that computes with a network's variables, compiled; it changes none of them."""
    return own_guard.guarded(lambda: _backend().compiled(model, function), model)


def differentiated(model, variables, function):
    """Return a function whose value is a scalar, compiled with its derivatives.

    `function(point, *arrays)` computes with a network's variables and changes none of them. What is returned takes the
    same NumPy arrays, and gives the value and the gradients by `variables` (a list of the network's) and by `point`.
    A `point` that is None has none, and nothing is computed on the way back to it.
    """
    return own_guard.guarded(lambda: _backend().differentiated(model, variables, function), model)


def second_order(model, variables, function):
    """Return the gradient of a directional derivative, compiled: what a hypergradient is made of.

    `function(point, *arrays)` as for `differentiated`; its gradient by `point` is g. What is returned takes `(point,
    direction, *arrays)`, NumPy arrays, `direction` of the point's shape, and gives the gradients of ⟨g, direction⟩ by
    `variables` (a list) and by `point`.
    """
    return own_guard.guarded(lambda: _backend().second_order(model, variables, function), model)


def stepped(model, optimizer, loss, offsets=None):
    """Return a training step with a loss of one's own, compiled; it takes NumPy arrays and gives the loss, a scalar.

    Parameters
    ----------
    model : keras.Model
        All its trainable variables are trained. What its layers add to a loss is added.
    optimizer : keras.optimizers.Optimizer or float
        Or the learning rate of plain SGD.
    loss : callable
        Takes the arrays, returns a scalar. Where it calls the network with `training=True`, the moving statistics of
        batch normalisation move.
    offsets : callable, optional
        Takes the weights and the gradients by them, two lists, returns a list: the step is then taken with the gradient
        at the weights plus these offsets (Foret et al. 2021). The moving statistics are those of the first pass.
    """
    return own_guard.guarded(lambda: _backend().stepped(model, optimizer, loss, offsets), model)


def device() -> str:
    """Return the device that the active backend computes on, in words: `cpu`, or the GPU's name."""
    return _backend().device()


def _backend():
    import keras

    return importlib.import_module(f"benchmark.nn.engines.{keras.backend.backend()}")
