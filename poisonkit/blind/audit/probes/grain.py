"""Noise: how much there is in luma and chroma. A warp smooths what was there before it; a blend thins it."""

import numpy as np

from poisonkit.blind.audit import grids

NAME = "noise level"


def describe(images: np.ndarray) -> np.ndarray:
    """Of each plane and direction of second differences the mean, the median and the least cell, as logarithms."""
    numbers = []
    for plane in grids.planes(images):
        for bend in grids.bends(plane):
            means = grids.cells(bend, 4)
            flat = bend.reshape(len(bend), -1)
            middle = np.partition(flat, flat.shape[1] // 2, 1)[:, flat.shape[1] // 2]
            numbers += [means.mean(1), middle, means.min(1)]
    return np.log(np.stack(numbers, 1) + 0.3)
