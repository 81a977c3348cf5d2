"""What a network costs: its parameters, and the multiply-adds of a forward pass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.nn.networks import NetworkSpec


@dataclass(frozen=True)
class Cost:
    """Numbers of one network: `trainable` and `parameters` (the running statistics too); `multiply_adds` for one image,
    of convolutions, dense layers, experts and attention; None where a layer does not say its own."""

    trainable: int
    parameters: int
    multiply_adds: int | None


def published(spec: NetworkSpec) -> dict[str, Any]:
    """Return the settings of a network as its source has it."""
    first = next(iter(spec.presets.values()))
    return {one.name: first[one.name] for one in spec.settings} | dict(spec.published)


def cost(spec: NetworkSpec, settings: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> Cost:
    """Build a network for images, and count. The backend must have been activated.

    Raises `ValueError` where it cannot be built for such images.
    """
    sizes = {"image_shape": image_shape, "classes": classes} | dict(settings)
    spec.check(sizes)
    return cost_of(spec.build(sizes | {"seed": 0}))


def cost_of(model: Any) -> Cost:
    """Count a network that is built."""
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    each = [_multiply_adds(layer) for layer in model.layers]
    known = [count for count in each if count is not None]
    return Cost(trainable, model.count_params(), sum(known) if len(known) == len(each) else None)


def _multiply_adds(layer: Any) -> int | None:
    """Count one layer's for one image; None where it is not known.

    A layer of our own says it with `multiply_adds(input_shape)`. Others multiply only where they have a kernel: once
    for each position of the output.
    """
    from keras import layers

    if hasattr(layer, "multiply_adds"):
        return int(layer.multiply_adds(tuple(layer.input.shape)))
    if isinstance(layer, (layers.Conv2D, layers.Dense)):
        positions = math.prod(layer.output.shape[1:-1])
        return positions * math.prod(layer.kernel.shape)
    return 0 if all(len(weight.shape) < 2 for weight in layer.weights) else None
