"""Initial weights from our own random stream: the same on every backend and in every version of it."""

import math

import keras
import numpy as np

from benchmark.core import random_streams


@keras.saving.register_keras_serializable(package="benchmark")
class Uniform(keras.initializers.Initializer):
    """Uniform in ±√(gain / fan_in), float32; the fan is all of a weight's axes but the last.

    Parameters
    ----------
    seed : int
        Of the network.
    weight : str
        The weight's name in the network: each has a stream of its own.
    gain : float
        1 is PyTorch's rule for the kernels of convolutions and dense layers.
    fan : int, optional
        Another fan than the weight's own: that of the kernel, for a bias.
    """

    def __init__(self, seed, weight, gain=1.0, fan=None):
        self.seed, self.weight, self.gain, self.fan = seed, weight, gain, fan

    def __call__(self, shape, dtype=None):
        fan = self.fan or max(1, math.prod(shape[:-1]))
        drawn = random_streams.uniform(self.seed, f"initial weights {self.weight}", math.prod(shape))
        limit = math.sqrt(self.gain / fan)
        return keras.ops.convert_to_tensor((limit * (2 * drawn - 1)).reshape(shape).astype(np.float32), dtype)

    def get_config(self):
        return {"seed": self.seed, "weight": self.weight, "gain": self.gain, "fan": self.fan}


@keras.saving.register_keras_serializable(package="benchmark")
class Normal(keras.initializers.Initializer):
    """Normal with mean 0, float32. `seed` and `weight` as for `Uniform`; `stddev` is the standard deviation."""

    def __init__(self, seed, weight, stddev=0.02):
        self.seed, self.weight, self.stddev = seed, weight, stddev

    def __call__(self, shape, dtype=None):
        drawn = random_streams.normal(self.seed, f"initial weights {self.weight}", math.prod(shape))
        return keras.ops.convert_to_tensor((self.stddev * drawn).reshape(shape).astype(np.float32), dtype)

    def get_config(self):
        return {"seed": self.seed, "weight": self.weight, "stddev": self.stddev}
