"""Beatrix (Ma et al. 2023): whose feature maps correlate otherwise than is usual for their predicted class, is
suspicious: Gram matrices of the maps' powers against the spread of clean rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

POWERS = tuple(range(1, 9))
FOLDS = 5
AT_ONCE = 1 << 24
"""Entries of Gram matrices that are held at a time: 128 MB of float64."""
TINY = 1e-6
"""As published: added where it is divided."""


def gram(maps: np.ndarray, power: int) -> np.ndarray:
    """Return sign(G)·|G|^(1/p) of G = F^p (F^p)ᵀ, its upper triangle: (n, C, P) → (n, C (C + 1) / 2) float64.

    F (C, P) are one row's maps, P its positions. (The paper's Gram matrix of order p.)
    """
    raised = np.asarray(maps, np.float64) ** power
    full = raised @ raised.transpose(0, 2, 1)
    upper = full[:, *np.triu_indices(maps.shape[1])]
    return np.sign(upper) * np.abs(upper) ** (1 / power)


def blocks(count: int, channels: int) -> Iterator[slice]:
    """Cut rows into blocks whose Gram matrices fit into `AT_ONCE`."""
    step = max(1, AT_ONCE // (channels * channels))
    return (slice(start, start + step) for start in range(0, count, step))


@dataclass(frozen=True)
class Bands:
    """What is usual of each entry of the Gram matrices: from `low` to `high`, each (powers, entries) float32."""

    low: np.ndarray
    high: np.ndarray


def lower_median(values: np.ndarray) -> np.ndarray:
    """Return the median over the first axis; of an even count the lower middle value, as PyTorch has it."""
    middle = (len(values) - 1) // 2
    return np.asarray(np.partition(values, middle, axis=0)[middle])


def bands_of(maps: np.ndarray, width: float, powers: tuple[int, ...] = POWERS) -> Bands:
    """Measure the clean rows of one class, (m, C, P): the median of each entry ± `width` median absolute deviations."""
    low, high = [], []
    for power in powers:
        entries = np.concatenate([gram(maps[rows], power).astype(np.float32) for rows in blocks(*maps.shape[:2])])
        middle = lower_median(entries)
        spread = width * lower_median(np.abs(entries - middle))
        low.append(middle - spread)
        high.append(middle + spread)
    return Bands(np.stack(low), np.stack(high))


def deviations(maps: np.ndarray, bands: Bands, powers: tuple[int, ...] = POWERS) -> np.ndarray:
    """Return by how much each row (n, C, P) leaves the bands, (n,) float64: the mean over powers and entries of the
    distance beyond a bound, as a share of that bound. (Entries are counted as C² / 2, as published.)"""
    found = np.zeros(len(maps))
    channels = maps.shape[1]
    for rows in blocks(len(maps), channels):
        for order, power in enumerate(powers):
            entries, low, high = gram(maps[rows], power), bands.low[order], bands.high[order]
            below = np.maximum(low - entries, 0) / np.abs(low + TINY)
            above = np.maximum(entries - high, 0) / np.abs(high + TINY)
            found[rows] += (below + above).sum(axis=1)
    return found / (channels * channels / 2) / len(powers)


def threshold(maps: np.ndarray, width: float, share: float, powers: tuple[int, ...] = POWERS) -> float:
    """Return the deviation that a share of the clean rows (m, C, P) of one class stay within.

    Each fifth of the rows is measured against the bands of the others, so that none is measured against itself.
    """
    found = []
    for fold in np.array_split(np.arange(len(maps)), FOLDS):
        others = np.delete(maps, fold, axis=0)
        found.append(deviations(maps[fold], bands_of(others, width, powers), powers))
    return float(np.sort(np.concatenate(found))[int(share * len(maps))])


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the maximum mean discrepancy of two samples (m, d), (n, d) under Gaussian kernels, times mn / (m + n).

    The kernels' widths are b / 2 and b, b being the (lower) median of all squared distances, as published. 0 where a
    sample is empty, or all rows are one.
    """
    m, n = len(first), len(second)
    if not m or not n:
        return 0.0
    both = np.concatenate([first, second]).astype(np.float64)
    square = (both * both).sum(axis=1)
    distances = np.maximum(square[:, None] + square - 2 * both @ both.T, 0)
    np.fill_diagonal(distances, 0)
    base = float(lower_median(distances.reshape(-1)))
    if base == 0:
        return 0.0
    similar = np.exp(-distances / (base / 2)) + np.exp(-distances / base)
    mean = similar[:m, :m].mean() + similar[m:, m:].mean() - 2 * similar[:m, m:].mean()
    return float(mean * m * n / (m + n))


def anomaly(distances: np.ndarray) -> np.ndarray:
    """Return |J − median| / (1.4826 · (MAD + 1e-6)) of the classes' J (k,), float64: the paper's J*."""
    middle = lower_median(distances)
    spread = lower_median(np.abs(distances - middle))
    return np.asarray(np.abs(distances - middle) / (1.4826 * (spread + TINY)))
