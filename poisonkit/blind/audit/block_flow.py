"""How each row was moved beside the picture that it was made of, and what is left then.

Lucas and Kanade's least squares on blocks: in each of 4 × 4 blocks the move that explains most, some times over, with
what lies between blocks by interpolation. Means of blocks are taken off first, so that colour and faint overlays do not
count as moves.
"""

import numpy as np

from poisonkit.blind.audit import grids

BLOCKS = 4  # a side
ROUNDS, FIRST = 6, 3  # of a fit, and of a first one that only says how well it would do
STIFF = 60.0  # the moves' own weight, in squared grey levels a pixel: flat blocks are not moved
FURTHEST = 1.5  # pixels a round
AT_ONCE = 256


def fit(
    images: np.ndarray, originals: np.ndarray, windows: np.ndarray, rounds: int = ROUNDS
) -> tuple[np.ndarray, np.ndarray]:
    """Return moves, and what they leave unexplained.

    Parameters
    ----------
    images, originals : (n, H, W) float32
    windows : (n, 4) float32
        The part of the original that the image shows: first row and column, pixels of it a pixel, down and across.

    Returns
    -------
    moves : (n, 2 · 16) float32
        In pixels of the image, down then across, of each block.
    rest : (n, H, W) float32
        Image less moved original, in its contrast.
    """
    parts = [
        _fit(images[part], originals[part], windows[part], rounds)
        for part in (slice(start, start + AT_ONCE) for start in range(0, len(images), AT_ONCE))
    ]
    return np.concatenate([moves for moves, _ in parts]), np.concatenate([rest for _, rest in parts])


def _fit(images: np.ndarray, originals: np.ndarray, windows: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """`fit` for some MB at once."""
    count, height, width = images.shape
    moves = np.zeros((count, 2, BLOCKS, BLOCKS), np.float32)
    smooth, target = (_smooth(part) for part in (originals, images))
    spread = _between(height), _between(width)
    for _ in range(rounds):
        moved = _moved(smooth, moves, windows, spread)
        down, across = np.gradient(moved, axis=(1, 2))
        gain = _gain(target, moved)
        down, across, rest = (_centred(part) for part in (gain * down, gain * across, target - gain * moved))
        a, b, c = (_sums(one * other) + STIFF * same for one, other, same in _pairs(down, across))
        d, e = _sums(down * rest), _sums(across * rest)
        one = a * c - b * b
        step = np.stack([(c * d - b * e) / one, (a * e - b * d) / one], 1)
        moves += step.clip(-FURTHEST, FURTHEST)
    moved = _moved(originals, moves, windows, spread)
    rest = images - _gain(images, moved) * moved
    return moves.reshape(count, -1), rest - rest.mean((1, 2), keepdims=True)


def _pairs(down, across):
    return (down, down, 1), (down, across, 0), (across, across, 1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Smooth with a 3 × 3 binomial filter, the edge repeated."""
    wide = np.pad(values, ((0, 0), (1, 1), (1, 1)), "edge")
    wide = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 16


def _between(size: int) -> np.ndarray:
    """(size, BLOCKS): how much each block's move counts at each pixel, linear between their middles."""
    where = ((np.arange(size) + 0.5) * BLOCKS / size - 0.5).clip(0, BLOCKS - 1)
    return np.maximum(0, 1 - np.abs(where[:, None] - np.arange(BLOCKS))).astype(np.float32)


def _moved(pictures, moves, windows, spread):
    """Pictures looked at where the moves say, bilinear, (n, H, W)."""
    fields = np.einsum("ya,nkab,xb->nkyx", spread[0], moves, spread[1], optimize=True)
    height, width = pictures.shape[1:]
    down = windows[:, 0, None, None] + windows[:, 2, None, None] * (
        np.arange(height, dtype=np.float32)[:, None] + fields[:, 0]
    )
    across = windows[:, 1, None, None] + windows[:, 3, None, None] * (np.arange(width, dtype=np.float32) + fields[:, 1])
    down, across = down.clip(0, height - 1.001), across.clip(0, width - 1.001)
    top, left = down.astype(np.int32), across.astype(np.int32)
    down, across = down - top.astype(np.float32), across - left.astype(np.float32)
    flat, place = pictures.reshape(len(pictures), -1), (top * width + left).reshape(len(pictures), -1)
    corner = [np.take_along_axis(flat, place + far, 1).reshape(down.shape) for far in (0, 1, width, width + 1)]
    upper, lower = corner[0] + across * (corner[1] - corner[0]), corner[2] + across * (corner[3] - corner[2])
    return upper + down * (lower - upper)


def _gain(images, moved):
    """Return the contrast of images beside the moved originals, (n, 1, 1)."""
    about = moved - moved.mean((1, 2), keepdims=True)
    product, square = (about * images).mean((1, 2), keepdims=True), (about * about).mean((1, 2), keepdims=True)
    return (product / (square + 1)).clip(0.2, 2.0)


def _centred(values: np.ndarray) -> np.ndarray:
    """Values less the mean of their block."""
    height, width = values.shape[1:]
    means = grids.cells(values, BLOCKS).reshape(-1, BLOCKS, BLOCKS)
    down, across = (np.arange(size) * BLOCKS // size for size in (height, width))
    return values - means[:, down][:, :, across]


def _sums(values: np.ndarray) -> np.ndarray:
    """(n, BLOCKS, BLOCKS): means of blocks."""
    return grids.cells(values, BLOCKS).reshape(-1, BLOCKS, BLOCKS)
