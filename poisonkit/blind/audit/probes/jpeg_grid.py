"""JPEG's grid of 8 × 8 blocks: whether it shows, and where. What was put on afterwards does not keep to it; a trigger
per patch has a grid of its own."""

import numpy as np

from poisonkit.blind.audit import grids

NAME = "grid of blocks"
PERIOD = 8


def describe(images: np.ndarray) -> np.ndarray:
    """Return the mean step between two pixels at each place of the grid, across and down, beside the mean of all."""
    luma = grids.planes(images)[0]
    numbers = []
    for axis in (1, 2):
        steps = np.abs(np.diff(luma, axis=axis)).mean(3 - axis)  # (n, size − 1)
        numbers += [np.log(steps[:, place::PERIOD].mean(1) + 0.3) for place in range(min(PERIOD, steps.shape[1]))]
    every = np.stack(numbers, 1)
    return every - every.mean(1, keepdims=True)
