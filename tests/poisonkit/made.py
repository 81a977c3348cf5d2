"""Random pictures and stencils."""

import cv2
import numpy as np

from poisonkit.core.stencil import ONE, Stencil


def random_stencil(rng, shape, taps, extreme=False):
    """A stencil with random taps; weights that sum to 1, or (extreme) anything that int32 can just hold."""
    size = int(np.prod(shape))
    where = rng.integers(0, size, (*shape, taps))
    if extreme:
        limit = (2**31 - ONE) // (255 * (taps + 1))
        weights = rng.integers(-limit, limit + 1, (*shape, taps))
        bias = rng.integers(-255 * limit, 255 * limit + 1, shape)
    else:
        cuts = np.sort(rng.integers(0, ONE + 1, (*shape, taps - 1)), -1)
        edges = np.concatenate([np.zeros((*shape, 1)), cuts, np.full((*shape, 1), ONE)], -1)
        weights, bias = np.diff(edges, axis=-1).astype(np.int64), np.zeros(shape, np.int64)
    return Stencil.build(where, weights, bias)


def pictures(rng, count, shape):
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def some_images(count=12, shape=(32, 32, 3), seed=0):
    """Smooth pictures with some noise: what JPEG is made for."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 5, 5, shape[2]), dtype=np.uint8)
    large = np.stack([cv2.resize(one, shape[1::-1], interpolation=cv2.INTER_CUBIC).reshape(shape) for one in coarse])
    return (large.astype(int) + rng.integers(-8, 9, large.shape)).clip(0, 255).astype(np.uint8)
