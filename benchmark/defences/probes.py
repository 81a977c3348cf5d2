"""What a network computes on its way: tensors of its inside, and what its batch normalisations get."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import evidence
from benchmark.nn import engines

BATCH = 256


def probe(model: Any, tensors: list[Any], function: Callable[..., Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of images that computes `function` of some tensors of a network, compiled, in batches.

    Parameters
    ----------
    model : keras.Model
        Evaluated as it is (no training); what its variables are is looked up at each call.
    tensors : list of KerasTensor
        Of the network's graph, as `layer.input`.
    function : callable
        The tensors' values for a batch → one tensor (m, …).

    Returns
    -------
    callable
        Images (n, H, W, C) uint8 → (n, …) float32, for any n ≥ 1.
    """
    import keras
    from keras import ops

    inside = keras.Model(model.inputs, list(tensors))

    def run(batch: Any) -> Any:
        found = inside(batch, training=False)
        return ops.cast(function(*(found if isinstance(found, (list, tuple)) else [found])), "float32")

    call = engines.compiled(model, run)

    def over(images: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            full = np.resize(
                batch, (BATCH, *images.shape[1:])
            )  # one shape, compiled once; the last batch repeats itself
            found.append(np.asarray(keras.ops.convert_to_numpy(evidence.guarded(model, call, full)))[: len(batch)])
        return np.concatenate(found)

    return over


def norm_inputs(model: Any, layers: list[Any]) -> list[Any]:
    """Return the tensors that go into these layers of a network. `Failure` where they are not of its own graph."""
    own = {id(layer) for layer in model.layers}
    if not all(id(layer) in own for layer in layers):
        raise Failure("this network's batch normalisations lie in a model inside it, where their inputs cannot be read")
    return [layer.input for layer in layers]


def standardised(layer: Any, inputs: Any) -> Any:
    """Return what a batch normalisation standardises, as (m, positions, channels): its inputs, with all positions in
    one axis. Of stacked experts the patches that each takes, with an axis for the experts before the channels:
    (m, positions, experts, channels)."""
    from keras import ops

    if hasattr(layer, "standardised_inputs"):
        return ops.transpose(layer.standardised_inputs(inputs), (0, 2, 1, 3))
    return ops.reshape(inputs, (ops.shape(inputs)[0], -1, inputs.shape[-1]))
