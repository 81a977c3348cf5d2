"""Every random choice of `benchmark` that is not drawn on the device: order of rows, held-out rows, initial seeds.

Raw 64-bit words of a Philox stream named by its purpose, as in data/FORMAT.md, "Random numbers": NumPy promises
that these never change, which it does not of its `Generator`.
"""

import hashlib

import numpy as np


def words(seed: int, purpose: str, count: int) -> np.ndarray:
    """Return the first `count` raw words of the stream for one purpose, (count,) uint64."""
    key = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], "<u4")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in key))
    return np.random.Philox(sequence).random_raw(count)


def permutation(seed: int, purpose: str, count: int) -> np.ndarray:
    """Return a permutation of 0 … count−1, (count,) int64: the stable argsort of `count` raw words."""
    return np.argsort(words(seed, purpose, count), kind="stable").astype(np.int64)


def some(rows: np.ndarray, count: int | None, purpose: str) -> np.ndarray:
    """At most `count` (None: all) of some rows (n,), at random, ascending; with seed 0, so the same in every run."""
    return np.sort(rows[permutation(0, purpose, len(rows))[:count]])


def held_out(rows: int, count: int) -> np.ndarray:
    """Return the rows kept away from training for defences, ascending, (count,) int64.

    The same for every run of a source, whatever its seeds: drawn with seed 0 over the source's training rows.
    """
    return some(np.arange(rows), count, "hold-out")


def initial_seeds(seed: int, count: int) -> list[int]:
    """Seeds (31 bits) for the initialisers of a network, one a layer."""
    return [int(word >> np.uint64(33)) for word in words(seed, "initial weights", count)]


def uniform(seed: int, purpose: str, count: int) -> np.ndarray:
    """Return numbers in [0, 1), (count,) float64: the upper 53 bits of each raw word."""
    return np.asarray((words(seed, purpose, count) >> np.uint64(11)) * 2.0**-53)


def normal(seed: int, purpose: str, count: int) -> np.ndarray:
    """Return standard normal numbers, (count,) float64: Box and Muller's of pairs of `uniform` ones."""
    first, second = uniform(seed, purpose, 2 * count).reshape(2, count)
    return np.asarray(np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second))
