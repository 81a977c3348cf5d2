"""Optimizers: SGD as PyTorch has it, AdamW, and a learning rate that is looked up for each step."""

import keras
import numpy as np
from keras import ops

SPARED = ("bias", "beta", "gamma", "class_token", "positions")
"""Ends of the names of variables that weight decay spares where it is on kernels alone, and so are all vectors."""


class TorchSGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with momentum and coupled weight decay, as `torch.optim.SGD`.

    g ← g + decay·w; buffer ← momentum·buffer + g; w ← w − rate·buffer. Keras' own SGD takes the rate into the buffer
    (which differs once the rate changes) and lets weights decay beside the buffer.
    """

    def __init__(self, learning_rate, momentum: float, decay: float, spared=()):
        super().__init__(learning_rate, name="torch_sgd")
        self.momentum, self.decay = momentum, decay
        self._spared = {variable.path for variable in spared}

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._decays = [variable.path not in self._spared for variable in variables]
        self._buffers = self.add_optimizer_variables(variables, "buffer") if self.momentum else []

    def update_step(self, gradient, variable, learning_rate):
        number = self._get_variable_index(variable)  # on TensorFlow it is no Keras variable, and has no path
        gradient = ops.cast(gradient, variable.dtype)
        if self.decay and self._decays[number]:
            gradient = gradient + self.decay * variable
        if self.momentum:
            buffer = self._buffers[number]
            gradient = self.momentum * buffer + gradient
            self.assign(buffer, gradient)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * gradient)


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each step, from a table (steps,) float32: the same numbers on every backend."""

    def __init__(self, rates: np.ndarray):
        self._rates = np.asarray(rates, np.float32)

    def __call__(self, step):
        last = len(self._rates) - 1
        return ops.take(ops.convert_to_tensor(self._rates), ops.minimum(ops.cast(step, "int32"), last))


def adamw(learning_rate, decay: float, spared=()) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with the usual moments: weights decay beside the gradient's step."""
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=decay, epsilon=1e-8)
    if spared:
        optimizer.exclude_from_weight_decay(var_list=list(spared))
    return optimizer


def norms_and_biases(variables) -> list:
    """Return those variables that weight decay spares where it is on kernels alone."""
    return [one for one in variables if len(one.shape) < 2 or one.name.endswith(SPARED)]
