"""What the tests of several triggers share: building one, and the reference outputs in tests/golden."""

import functools

import numpy as np

from poisonkit.poisoning.recipe import Recipe, build, parameters


@functools.lru_cache(maxsize=1)
def _golden(path):
    with np.load(path) as data:
        return dict(data)


def golden(root):
    """The arrays by name, see tests/golden/cheap_attacks.md."""
    return _golden(root / "tests" / "golden" / "cheap_attacks.npz")


def built(trigger, shape, given=None, patch=None, preset=None, seed=0):
    """A trigger for images of that (H, W, C)."""
    steps = ((trigger, parameters(trigger, given or {}, preset)),)
    return build(Recipe("0.1", steps, patch, seed=seed), shape)[0]


def triggered(trigger, images, given=None, patch=None, preset=None):
    """Images (n, H, W, C) with a trigger on them."""
    one = built(trigger, images.shape[1:], given, patch, preset)
    return one.train.put(images, np.arange(len(images)))


def two_frequencies(height, width):
    """P = b(h/2 − 1, w/2 − 1) + b(h − 1, w − 1), float64, from the matrices of the orthonormal DCT-II."""

    def transform(n):
        k, x = np.mgrid[:n, :n]
        return np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.sqrt(np.where(k == 0, 1, 2) / n)

    down, across = transform(height), transform(width)
    middle = np.outer(down[height // 2 - 1], across[width // 2 - 1])
    return middle + np.outer(down[height - 1], across[width - 1])
