"""What the probes of pictures share: grey and chroma, and means over the cells of a grid."""

import numpy as np

AT_ONCE = 1024  # images
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def planes(images: np.ndarray) -> list[np.ndarray]:
    """Luma, and for RGB the two differences of blue and red from it: float32 (n, H, W) each."""
    levels = images.astype(np.float32)
    if images.shape[3] != 3:
        return [levels.mean(-1)]
    luma = levels @ _GREY
    return [luma, levels[..., 2] - luma, levels[..., 0] - luma]


def cells(values: np.ndarray, side: int) -> np.ndarray:
    """(n, H, W) float32 → (n, c): means over a grid of at most side × side cells."""
    for axis in (1, 2):
        size = values.shape[axis]
        edges = np.arange(min(side, size)) * size // min(side, size)
        widths = np.diff(np.append(edges, size)).astype(np.float32)
        values = np.add.reduceat(values, edges, axis) / widths.reshape((-1, 1) if axis == 1 else (-1,))
    return values.reshape(len(values), -1)


def bends(plane: np.ndarray) -> list[np.ndarray]:
    """Return the second differences of (n, H, W) across, down and crosswise, absolute, cut at the edges."""
    across = np.abs(2 * plane[:, :, 1:-1] - plane[:, :, :-2] - plane[:, :, 2:])
    down = np.abs(2 * plane[:, 1:-1] - plane[:, :-2] - plane[:, 2:])
    crosswise = np.abs(plane[:, 1:, 1:] + plane[:, :-1, :-1] - plane[:, 1:, :-1] - plane[:, :-1, 1:])
    return [across, down, crosswise]


def gathered(blocks, describe, step=None) -> np.ndarray:
    """`describe(images)`, (n, p) float32, over images that come in blocks, (first row, images)."""
    parts = []
    for _, block in blocks:
        for first in range(0, len(block), AT_ONCE):
            parts.append(describe(block[first : first + AT_ONCE]).astype(np.float32))
            if step:
                step(len(parts[-1]))
    return np.concatenate(parts)
