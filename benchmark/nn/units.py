"""Units of a network that a mask weakens or takes out: channels of batch normalisations, hidden units of transformers.

A mask multiplies one weight of its layer: batch normalisation's gamma, in stacked experts' of shape (experts, channels)
too; in a block of a transformer the rows of the second dense layer, which is to mask the hidden units behind their
activation. So no layer needs a mask of its own.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANNELS, HIDDEN = "channels of batch normalisation", "hidden units of dense layers"


@dataclass(frozen=True)
class Units:
    """The units of one layer: `weight`, a Keras variable whose first axes `shape` are units, (n,) or (experts, n), is
    what a mask multiplies; `bias` (shape) or None is added before it, or with it."""

    name: str
    layer: Any
    weight: Any
    bias: Any
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return math.prod(self.shape)

    def spread(self, mask: Any) -> Any:
        """Give a mask (count,) the shape in which it multiplies the weight."""
        from keras import ops

        return ops.reshape(mask, self.shape + (1,) * (len(self.weight.shape) - len(self.shape)))


def normalisations(model: Any) -> list[Units]:
    """Return the channels of every batch normalisation that scales them, in the order of the layers."""
    from benchmark.nn import layers

    found = [layer for layer in layers.batch_norms(model) if layer.gamma is not None]
    return [Units(layer.name, layer, layer.gamma, layer.beta, tuple(layer.gamma.shape)) for layer in found]


def vit_blocks(model: Any) -> list[Any]:
    """Return the blocks of a vision transformer, in order; of another network none."""
    from benchmark.nn.layers import ViTBlock

    return [layer for layer in model.layers if isinstance(layer, ViTBlock)]


def hidden(model: Any) -> list[Units]:
    """Return the hidden units of a vision transformer's blocks, those of its experts too."""
    found = []
    for block in vit_blocks(model):
        weight, bias = (block.moe.kernel2, block.moe.bias1) if block.experts else (block.fc2.kernel, block.fc1.bias)
        found.append(Units(block.name, block, weight, bias, tuple(bias.shape)))
    return found


def all_units(model: Any) -> tuple[str, list[Units]]:
    """Return what a network's units are, in words, and the units of each of its layers: channels of its batch
    normalisations, or where it has none hidden units; an empty list where it has neither."""
    found = normalisations(model)
    return (CHANNELS, found) if found else (HIDDEN, hidden(model))


def total(units: list[Units]) -> int:
    """Return the number of units of all layers."""
    return sum(one.count for one in units)


def parts(units: list[Units], values: Any) -> list[Any]:
    """Cut values of all units, (total,), into those of each layer, (count,)."""
    ends = np.cumsum([one.count for one in units])
    return [values[end - one.count : end] for one, end in zip(units, ends, strict=True)]


def scope(model: Any, units: list[Units], masks: Any, biases: Any = None) -> Any:
    """Return a scope in which weights are multiplied by `masks` (total,), biases by `biases` (total,) or as they are.

    Nothing is changed; gradients go through to masks and biases, tensors of the backend.
    """
    from keras import ops

    from benchmark.nn.engines import common

    variables, values = [], []
    for one, mask in zip(units, parts(units, masks), strict=True):
        variables.append(one.weight)
        values.append(one.weight * ops.cast(one.spread(mask), one.weight.dtype))
    for one, factor in zip(units, [] if biases is None else parts(units, biases), strict=biases is not None):
        if one.bias is not None:
            variables.append(one.bias)
            values.append(one.bias * ops.cast(ops.reshape(factor, one.shape), one.bias.dtype))
    return common.at(model, variables, values)


def prune(units: list[Units], dead: np.ndarray, biases: bool = False) -> None:
    """Set the weights of units, (total,) bool, to zero, in place; with `biases` also their biases."""
    from keras import ops

    for one, gone in zip(units, parts(units, dead), strict=True):
        alive = 1 - np.asarray(gone, np.float32)
        one.weight.assign(one.weight * one.spread(ops.convert_to_tensor(alive)))
        if biases and one.bias is not None:
            one.bias.assign(one.bias * ops.reshape(ops.convert_to_tensor(alive), one.shape))


def by_part(units: list[Units], flags: np.ndarray) -> list[dict[str, Any]]:
    """Count flagged units, (total,) bool: for each layer `layer`, `units` and `flagged`, of experts a list each."""
    found = []
    for one, part in zip(units, parts(units, flags), strict=True):
        counts = part.reshape(one.shape).sum(axis=-1).tolist()
        found.append({"layer": one.name, "units": one.shape[-1], "flagged": counts})
    return found
