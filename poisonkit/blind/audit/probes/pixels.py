"""The picture itself, small: what lies at one place of many rows is a direction that clean pictures do not have."""

import numpy as np

from poisonkit.blind.audit import grids

NAME = "pixels"
SIDE = 16


def describe(images: np.ndarray) -> np.ndarray:
    """Means over 16 × 16 cells, each channel."""
    levels = images.astype(np.float32)
    return np.concatenate([grids.cells(levels[..., k], SIDE) for k in range(min(3, images.shape[3]))], 1)
