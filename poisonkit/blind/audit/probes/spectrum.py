"""Frequencies: a sinusoid, or what is repeated in every patch, stands out of an image's spectrum."""

import numpy as np

from poisonkit.blind.audit import grids

NAME = "spectrum"
MOST = 64  # pixels of the middle that are looked at, a side


def describe(images: np.ndarray) -> np.ndarray:
    """Of luma, the power along both axes at each frequency, and its mean over each ring, as logarithms."""
    luma = grids.planes(images)[0]
    height, width = (min(size, MOST) for size in luma.shape[1:])
    luma = luma[:, (luma.shape[1] - height) // 2 :, (luma.shape[2] - width) // 2 :][:, :height, :width]
    power = np.abs(np.fft.rfft2(luma - luma.mean((1, 2), keepdims=True))) ** 2
    down = np.minimum(np.arange(height), height - np.arange(height))
    ring = np.maximum(down[:, None] * width // height, np.arange(power.shape[2])).reshape(-1)
    many = np.bincount(ring, minlength=ring.max() + 1)
    flat = power.reshape(len(power), -1)
    rings = np.stack([flat[:, ring == one].mean(1) for one in range(1, len(many))], 1)
    numbers = np.concatenate([rings, power[:, 0, 1:], power[:, 1 : height // 2 + 1, 0]], 1)
    return np.log(numbers + 1).astype(np.float32)
