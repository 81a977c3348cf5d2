"""FT-SAM (Zhu et al. 2023): fine-tuning on clean rows with sharpness-aware steps, which move the weights of backdoored
neurons, the largest ones, further than plain steps do.

Each step takes its gradient at w + e, e = ρ · w² g / ‖|w| g‖ (adaptive) or ρ · g / ‖g‖, g being the gradient at w.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.defences import tuning
from benchmark.format.dataset import Rows
from benchmark.nn import engines

TINY = 1e-12
PERIOD = 100
"""Steps after which the reference's learning rate turns, whatever the batches and epochs."""


def offsets(rho: float, adaptive: bool) -> Callable[[list, list], list]:
    """Return the function of weights and gradients, two lists, that gives e, a list, over all weights together."""
    from keras import ops

    def function(values, gradients):
        scaled = [ops.abs(w) * g for w, g in zip(values, gradients, strict=True)] if adaptive else gradients
        norm = ops.sqrt(sum(ops.sum(ops.square(one)) for one in scaled)) + TINY
        if adaptive:
            return [rho * ops.square(w) * g / norm for w, g in zip(values, gradients, strict=True)]
        return [rho * g / norm for g in gradients]

    return function


def smoothed_loss(model: Any, smoothing: float) -> Callable[..., Any]:
    """Return the loss of a batch: Kullback and Leibler's divergence of smoothed labels from the predictions.

    The true class has 1 − smoothing, the others share the rest evenly; its gradient is that of the cross-entropy.
    """
    from keras import ops

    from benchmark.nn.engines import common

    network = common.network(model)
    classes = network.output.shape[-1]
    others = smoothing / (classes - 1)
    entropy = -sum(share * np.log(share) * count for share, count in ((1 - smoothing, 1), (others, classes - 1)) if share)

    def loss(images, labels):
        logits = ops.log_softmax(ops.cast(network(images, training=True), "float32"), axis=-1)
        target = others + (1 - smoothing - others) * ops.one_hot(labels, classes, dtype="float32")
        return -ops.mean(ops.sum(target * logits, axis=-1)) - entropy

    return loss


def swinging(steps: int) -> np.ndarray:
    """Return the factor of the learning rate of each step as the reference has it, (steps,) float64: the cosine goes on
    with each batch instead of each epoch, so that the rate swings between all and nothing every `PERIOD` steps."""
    return (1 + np.cos(np.pi * np.arange(steps) / PERIOD)) / 2


def fine_tune(model: Any, rows: Rows, plan: tuning.Plan, rho: float, adaptive: bool, smoothing: float) -> list[float]:
    """Fine-tune a network on rows, in place; the mean loss of each epoch."""
    optimizer = plan.optimizer(len(rows))
    step = engines.stepped(model, optimizer, smoothed_loss(model, smoothing), offsets(rho, adaptive))
    found = []
    for epoch in range(1, plan.epochs + 1):
        losses = [(step(*batch), len(batch[1])) for batch in tuning.batches(rows, plan, epoch)]
        found.append(tuning.mean_of(losses))
    return found
