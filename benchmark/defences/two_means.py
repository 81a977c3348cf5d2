"""Two clusters of points, and how well separated they are. Seeded, and linear in the points."""

import numpy as np

from benchmark.core import random_streams

STARTS = 10
STEPS = 300
SOME = 1000
BLOCK = 4096


def two_means(points: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """Cluster points (n, k) by 2-means.

    Lloyd's algorithm from ten seeded starts of k-means++ (the second centre is drawn in proportion to the squared
    distance from the first); the start that ends with the smallest sum of squares counts.

    Returns
    -------
    bool array (n,), True for the smaller cluster (of equal ones for that of the later rows); all False where the points
    do not differ
    """
    draws = random_streams.uniform(seed, purpose, 2 * STARTS).reshape(STARTS, 2)
    best, least = np.zeros(len(points), bool), np.inf
    for first, second in draws:
        side = _lloyd(points, _start(points, first, second))
        if side is not None and (inertia := _inertia(points, side)) < least:
            best, least = side, inertia
    if 2 * best.sum() > len(best) or (2 * best.sum() == len(best) and best[:1].any()):
        best = ~best
    return best


def _start(points: np.ndarray, first: float, second: float) -> np.ndarray:
    centre = points[int(first * len(points))]
    weights = np.cumsum(((points - centre) ** 2).sum(1))
    other = min(int(np.searchsorted(weights, second * weights[-1], side="right")), len(points) - 1)
    return np.stack([centre, points[other]])


def _lloyd(points: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    side = np.zeros(len(points), bool)
    for _ in range(STEPS):
        new = points @ (centres[1] - centres[0]) > ((centres[1] ** 2).sum() - (centres[0] ** 2).sum()) / 2
        if not 0 < new.sum() < len(new):
            return None
        if np.array_equal(new, side):
            break
        side = new
        centres = centres_of(points, side)
    return side


def centres_of(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the means (2, k) of the points (n, k) on the False and on the True side."""
    return np.stack([points[~side].mean(0), points[side].mean(0)])


def _inertia(points: np.ndarray, side: np.ndarray) -> float:
    return float(((points - centres_of(points, side)[side.astype(int)]) ** 2).sum())


def silhouette(points: np.ndarray, side: np.ndarray, seed: int, purpose: str) -> float:
    """Return the mean silhouette of two clusters (Rousseeuw 1987), −1 to 1.

    Distances are to all points of a cluster, or of one with more than 1,000 to 1,000 of them drawn by the seed, so that
    the work is linear in the points; up to that size it is exact. A point alone in its cluster counts 0.
    """
    if not 0 < side.sum() < len(side):
        return 0.0
    near, alone = np.empty((len(points), 2)), np.zeros(len(points), bool)
    for cluster in (0, 1):
        members = np.flatnonzero(side == bool(cluster))
        some = members[random_streams.permutation(seed, f"{purpose} {cluster}", len(members))[:SOME]]
        near[:, cluster] = _sums(points, points[some]) / len(some)
        near[some, cluster] *= len(some) / max(len(some) - 1, 1)  # a point is at no distance from itself
        alone[members] = len(members) == 1
    own, other = np.where(side[:, None], near[:, ::-1], near).T
    widths = (other - own) / np.maximum(np.maximum(own, other), np.finfo(np.float64).tiny)
    return float(np.where(alone, 0, widths).mean())


def _sums(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the sum of distances of each point from some others."""
    squares = (others**2).sum(1)
    result = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        apart = (block**2).sum(1)[:, None] + squares - 2 * block @ others.T
        result[start : start + BLOCK] = np.sqrt(np.maximum(apart, 0)).sum(1)
    return result
