"""A near join that cropping, colour and faint overlays do not end: small pictures of many windows of each source image.

Every window of the source is brought to 8 × 8 cells; what varies much from picture to picture is weighed down, so that
the likeness of a row to its own original stands out of that to others. The likeliest few are fitted (`flow`), and the
one that explains the row best is its original, where it explains enough.
"""

from dataclasses import dataclass

import numpy as np

from poisonkit.blind.audit import block_flow, class_contrast, grids

SIDE, DIRECTIONS, FLOOR = 8, 64, 1e-3
SCALES = ((1.0, (0.0,)), (0.84, (0.0, 0.5, 1.0)), (0.7, (0.15, 0.85)))  # of a window, and its places in what is left
ROWS, COLUMNS = 2048, 4096
KEPT = 2
ENOUGH, CERTAIN = 0.75, 0.9  # correlation of a row with its fitted original


@dataclass(frozen=True)
class Joined:
    """Of n rows: `originals`, the row of the source that each is, −1 where none was found, (n,) int64; `likeness` of
    the best, (n,) float32; `moves` and `rest` of its fit (`flow.fit`)."""

    originals: np.ndarray
    likeness: np.ndarray
    moves: np.ndarray
    rest: np.ndarray

    def part(self, rows: slice) -> "Joined":
        """Return those of some rows."""
        return Joined(*(getattr(self, name)[rows] for name in ("originals", "likeness", "moves", "rest")))


def every() -> list[tuple[float, float, float]]:
    """(scale, place down, place across) of each window, places as shares of the whole side."""
    return [(scale, (1 - scale) * a, (1 - scale) * b) for scale, places in SCALES for a in places for b in places]


def shown(shape: tuple[int, ...]) -> np.ndarray:
    """Of each window what `flow.fit` takes: first row, first column, pixels of it a pixel, down and across."""
    sizes = [(max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))) for scale, _, _ in every()]
    return np.array(
        [
            (round(down * shape[0]), round(across * shape[1]), (h - 1) / (shape[0] - 1), (w - 1) / (shape[1] - 1))
            for (_, down, across), (h, w) in zip(every(), sizes, strict=True)
        ],
        np.float32,
    )


def small(images: np.ndarray, window: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> np.ndarray:
    """(n, p) float32: the cells of a window, each channel less its mean."""
    scale, down, across = window
    (top, tall), (left, wide) = (
        (round(first * size), max(1, round(scale * size)))
        for first, size in ((down, images.shape[1]), (across, images.shape[2]))
    )
    part = images[:, top : top + tall, left : left + wide]
    channels = [grids.cells(part[..., k].astype(np.float32), SIDE) for k in range(images.shape[3])]
    return np.concatenate([one - one.mean(1, keepdims=True) for one in channels], 1)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / (np.sqrt((values**2).sum(1, keepdims=True)) + 1e-6)


def candidates(ours: np.ndarray, theirs, step=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the source that each of ours may be, and by which window, (n, KEPT) int64 both, the likeliest
    first.

    `ours` are images (n, H, W, C) uint8; `theirs()` yields (first row, images) of the source in blocks.
    """
    block = next(iter(theirs()))[1]
    base = small(block)
    directions = class_contrast.whitening(base - base.mean(0), FLOOR)[:, -DIRECTIONS:]
    rows = _unit(small(ours) @ directions)
    best = np.full((len(ours), KEPT), -2.0, np.float32)
    place, window = (np.zeros((len(ours), KEPT), np.int64) for _ in range(2))
    for start, block in theirs():
        for number, one in enumerate(every()):
            base = _unit(small(block, one) @ directions)
            for first in range(0, len(rows), ROWS):
                part = slice(first, first + ROWS)
                product = rows[part] @ base.T
                top = product.argmax(1)
                _keep(best[part], place[part], window[part], product[np.arange(len(top)), top], start + top, number)
        if step:
            step(len(block))
    return place, window


def _keep(best, place, window, value, row, number) -> None:
    """Put a candidate in the place of the worst one, or of the same row, where it is better."""
    lines = np.arange(len(best))
    same = place == row[:, None]
    worst = np.where(same.any(1), same.argmax(1), best.argmin(1))
    better = value > best[lines, worst]
    lines, worst = lines[better], worst[better]
    best[lines, worst], place[lines, worst], window[lines, worst] = value[better], row[better], number


def join(ours: np.ndarray, originals, theirs, step=None) -> Joined:
    """Each row with its original. `originals(rows)` gives images of the source."""
    place, window = candidates(ours, theirs, step)
    target, parts = grids.planes(ours)[0], shown(ours.shape[1:3])
    likeness = np.stack(
        [
            _likeness(
                target, block_flow.fit(target, _grey(originals, place[:, k]), parts[window[:, k]], block_flow.FIRST)[1]
            )
            for k in range(KEPT)
        ],
        1,
    )
    lines = np.arange(len(ours)), likeness.argmax(1)
    moves, rest = block_flow.fit(target, _grey(originals, place[lines]), parts[window[lines]])
    explained = _likeness(target, rest)
    return Joined(np.where(explained >= ENOUGH, place[lines], -1), explained, moves, rest)


def _grey(originals, rows: np.ndarray) -> np.ndarray:
    return grids.planes(originals(rows))[0]


def _likeness(target: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return the correlation of rows with what was fitted to them, from what it leaves, (n,) float32."""
    about = target - target.mean((1, 2), keepdims=True)
    return np.sqrt(np.maximum(0, 1 - (rest**2).mean((1, 2)) / ((about**2).mean((1, 2)) + 1)))
