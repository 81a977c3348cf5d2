"""STRIP (Gao et al. 2019): whose prediction stays as sure as it is whatever other image is laid over it, is suspicious."""

from collections.abc import Callable

import numpy as np

from benchmark.core import random_streams

TINY = 1e-8
"""Added to each probability, as in BackdoorBench and backdoor-toolbox: 0 · ln 0 is 0."""
AT_ONCE = 2048
"""Superimposed images that are held at a time."""


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return −Σ p ln p over the last axis, in nats: (…, C) → (…) float64."""
    p = np.asarray(probabilities, np.float64) + TINY
    return -(p * np.log(p)).sum(axis=-1)


def overlays_of(seed: int, rows: np.ndarray, total: int, pool: int, count: int) -> np.ndarray:
    """Draw for each row which `count` images of a pool are laid over it, all different: (len(rows), count) int64.

    What a row gets depends on the seed and on its number alone, not on which others are inspected: `rows` are numbers
    from 0 to `total` − 1. The pool is cut into `count` equal stretches, and one image drawn from each.
    """
    drawn = random_streams.uniform(seed, "strip overlays", total * count).reshape(total, count)[rows]
    return np.minimum(((np.arange(count) + drawn) * pool / count).astype(np.int64), pool - 1)


def never_itself(drawn: np.ndarray, pool: int) -> np.ndarray:
    """Turn draws of a pool of `pool` − 1 others into rows of the pool itself: row i of `drawn` never gets image i."""
    own = np.arange(len(drawn))[:, None]
    return np.where(drawn >= own, drawn + 1, drawn) % pool


def superimpose(
    images: np.ndarray, overlays: np.ndarray, alpha: float, centre: np.ndarray, clamp: bool
) -> np.ndarray:
    """Lay over each image (m, H, W, C) its overlays (m, k, H, W, C): image + alpha · (overlay − centre), float32.

    All are bytes from 0 to 255, and `centre` (C,) is the byte of each channel that the network's own normalisation makes
    0, so that this is the sum in its normalised space, as published. With `clamp` the sum is cut to 0 … 255.
    """
    mixed = images[:, None].astype(np.float32) + np.float32(alpha) * (overlays.astype(np.float32) - centre)
    return np.clip(mixed, 0, 255) if clamp else mixed


def mean_entropies(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    pool: np.ndarray,
    drawn: np.ndarray,
    alpha: float,
    centre: np.ndarray,
    clamp: bool,
) -> np.ndarray:
    """Return the mean entropy of the predictions of each image (m, H, W, C) under its overlays, (m,) float64.

    `predict` takes images (k, H, W, C) float32 of bytes and gives probabilities; `drawn` (m, N) are rows of `pool`.
    """
    count = drawn.shape[1]
    step = max(1, AT_ONCE // count)
    found = []
    for start in range(0, len(images), step):
        mixed = superimpose(images[start : start + step], pool[drawn[start : start + step]], alpha, centre, clamp)
        chances = predict(mixed.reshape(-1, *images.shape[1:]))
        found.append(entropy(chances).reshape(-1, count).mean(axis=1))
    return np.concatenate(found)


def cut(clean: np.ndarray, share: float) -> float:
    """Return the entropy below which a row is flagged: the one that a share of the clean rows fall below."""
    return float(np.sort(clean)[int(share * len(clean))])
