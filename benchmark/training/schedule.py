"""From settings to a learning rate for each step, and to the optimizer that takes it."""

from typing import Any

import numpy as np

from benchmark.training.settings import ImageSettings
from benchmark.training.table import CONSTANT, COSINE, KERNELS, SGD


def rates(settings: ImageSettings, steps: int) -> np.ndarray:
    """Return the learning rate of each step of a training with `steps` steps an epoch, (epochs · steps,) float32.

    The cosine falls once an epoch: after k of T epochs it is at ½(1 + cos πk/T), as PyTorch's CosineAnnealingLR stepped
    once an epoch. In the first `warmup_epochs` the rate rises in every step, linearly to the full one, and the cosine
    begins after them.
    """
    warm = settings.warmup_epochs
    epochs = np.arange(settings.epochs, dtype=np.float64)
    factor = np.ones(settings.epochs)
    if settings.schedule == COSINE:
        length = (settings.schedule_epochs or settings.epochs) - warm
        factor = (1 + np.cos(np.pi * np.maximum(epochs - warm, 0) / length)) / 2
    by_step = np.repeat(factor, steps)
    rising = warm * steps
    by_step[:rising] = np.arange(1, rising + 1) / max(rising, 1)
    return (settings.learning_rate * by_step).astype(np.float32)


def optimizer(settings: ImageSettings, model: Any, steps: int) -> Any:
    """Return Keras' optimizer for a network, or the learning rate of plain SGD. The backend must be active."""
    changing = settings.schedule != CONSTANT or settings.warmup_epochs
    if settings.optimizer == SGD and not (changing or settings.momentum or settings.weight_decay):
        return settings.learning_rate
    from benchmark.nn import optimizers

    rate = optimizers.Rates(rates(settings, steps)) if changing else settings.learning_rate
    spared = optimizers.norms_and_biases(model.trainable_variables) if settings.decay_on == KERNELS else ()
    if settings.optimizer == SGD:
        return optimizers.TorchSGD(rate, settings.momentum, settings.weight_decay, spared)
    return optimizers.adamw(rate, settings.weight_decay, spared)
