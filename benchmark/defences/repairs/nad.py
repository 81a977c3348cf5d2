"""NAD (Li et al. 2021): a copy that was fine-tuned on clean rows teaches the backdoored network where to look.

The student is fine-tuned with the cross-entropy and Σ β · MSE(A(student), A(teacher)) over its last three maps; A(F) is
the sum of |F|² over the channels at each position, divided by its norm over the positions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import tuning
from benchmark.format.dataset import Rows
from benchmark.nn import engines, units

POWER = 2
TINY = 1e-6
MAPS = 3


def attention(maps: Any) -> Any:
    """Return the attention of maps (n, …positions, channels): (n, …positions), a tensor of the backend."""
    from keras import ops

    summed = ops.sum(ops.power(ops.abs(ops.cast(maps, "float32")), POWER), axis=-1)
    axes = tuple(range(1, len(summed.shape)))
    return summed / (ops.sqrt(ops.sum(ops.square(summed), axis=axes, keepdims=True)) + TINY)


def distance(student: Any, teacher: Any) -> Any:
    """Return the mean square between two attentions, a scalar."""
    from keras import ops

    return ops.mean(ops.square(student - teacher))


def chosen_layers(model: Any) -> list[Any]:
    """Return the layers whose maps are compared, up to three: of a convolutional network the last sum (or where it has
    none the last convolution, of experts too) at each of its smallest sizes of more than one position; of a transformer
    the blocks after each third. `Failure` where there is none."""
    from benchmark.nn.layers import ViTBlock

    blocks = [layer for layer in units.layers_of(model) if isinstance(layer, ViTBlock)]
    if blocks:
        return [blocks[len(blocks) * part // MAPS - 1] for part in range(1, MAPS + 1)]
    at: dict[tuple[int, int], Any] = {}
    for layer in model.layers:
        place = tuple(getattr(getattr(layer, "output", None), "shape", ()))[1:3]
        if _is_map(layer) and np.prod(place) > 1 and not (place in at and _weaker(layer, at[place])):
            at[place] = layer
    if not at:
        raise Failure("this network has no feature maps of several positions, whose attention could be compared")
    return sorted(at.values(), key=lambda layer: -np.prod(layer.output.shape[1:3]))[-MAPS:]


def _is_map(layer: Any) -> bool:
    import keras

    from benchmark.nn.layers.stacked_experts import StackedExperts

    kinds = (keras.layers.Add, keras.layers.Conv2D, StackedExperts)
    return isinstance(layer, kinds) and len(layer.output.shape) == 4  # noqa: PLR2004  (n, H, W, C)


def _weaker(layer: Any, than: Any) -> bool:
    """Tell whether a layer is a branch's convolution where another is a sum of branches."""
    import keras

    return isinstance(layer, keras.layers.Conv2D) and isinstance(than, keras.layers.Add)


def _looking(model: Any) -> Any:
    """Return the network from images to its logits and its chosen maps."""
    import keras

    from benchmark.nn.engines import common

    return keras.Model(model.inputs, [common.network(model).outputs[0], *(one.output for one in chosen_layers(model))])


def looks(teacher: Any) -> Callable[[np.ndarray], list[Any]]:
    """Return the function of images that gives a teacher's attention, of each map, in evaluation mode."""
    network = _looking(teacher)
    return engines.compiled(teacher, lambda images: [attention(one) for one in network(images, training=False)[1:]])


def distilled(student: Any, betas: tuple[float, ...]) -> Callable[..., Any]:
    """Return the student's loss of images, labels, and the teacher's attentions; `betas` of the last maps."""
    from benchmark.nn.engines import common

    network = _looking(student)

    def loss(images, labels, *wanted):
        logits, *maps = network(images, training=True)
        value = common.cross_entropy(labels, logits)
        for beta, ours, theirs in zip(betas[-len(maps) :], maps, wanted, strict=True):
            value = value + beta * distance(attention(ours), theirs)
        return value

    return loss


def distil(student: Any, teacher: Any, rows: Rows, plan: tuning.Plan, betas: tuple[float, ...]) -> list[float]:
    """Fine-tune a student on rows under a teacher, in place; the mean loss of each epoch."""
    from keras import ops

    look = looks(teacher)
    step = engines.stepped(student, plan.optimizer(len(rows)), distilled(student, betas))
    found = []
    for epoch in range(1, plan.epochs + 1):
        losses = []
        for images, labels in tuning.batches(rows, plan, epoch):
            wanted = [np.asarray(ops.convert_to_numpy(one)) for one in look(images)]
            losses.append((step(images, labels, *wanted), len(labels)))
        found.append(tuning.mean_of(losses))
    return found
