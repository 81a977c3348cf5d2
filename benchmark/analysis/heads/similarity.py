"""Similarity of the heads of a layer on a text: for each head the mean over the other heads of the layer.

What is compared is the head's attention from [CLS] (`row`), its whole attention map (`full`), or what it adds to the
hidden state of [CLS] (`output`). The latter are vectors of one space, which the heads' own outputs are not: each is
written in the coordinates of its own value projection. As in the paper they are reduced to 32 dimensions by PCA.
"""

from dataclasses import dataclass

import numpy as np

METRICS = ("cosine", "pearson")
MAPS = ("row", "full", "output")
DIMENSIONS = 32
_TINY = 1e-12


def of_attention(attention: np.ndarray, lengths: np.ndarray, metric: str, kind: str) -> np.ndarray:
    """Compute the similarities in one layer from its attention.

    Parameters
    ----------
    attention : (n, H, T, T) float
        From each token (third axis) to each (fourth).
    lengths : (n,) int
        Tokens of each text, [CLS] and [SEP] among them; the rest is padding, and ignored.
    metric : str
        One of METRICS.
    kind : str
        `row` or `full`.

    Returns
    -------
    (n, H) float64
    """
    count, heads, tokens, _ = attention.shape
    inside = np.arange(tokens) < np.asarray(lengths)[:, None]
    if kind == "row":
        return mean_similarity(attention[:, :, 0, :], inside, metric)
    pairs = inside[:, :, None] & inside[:, None, :]
    return mean_similarity(attention.reshape(count, heads, -1), pairs.reshape(count, -1), metric)


def mean_similarity(vectors: np.ndarray, inside: np.ndarray | None, metric: str) -> np.ndarray:
    """Compute each head's mean similarity to the others, (n, H) float64, of vectors (n, H, V) `inside` (n, V).

    `cosine`, or `pearson`: the same of the vectors minus their mean. A vector of zeros has similarity 0.
    """
    heads = vectors.shape[1]
    if heads < 2:
        raise ValueError("a layer of one head has no other to compare with")
    vectors = np.asarray(vectors, np.float64)
    if inside is None:
        inside = np.ones((len(vectors), vectors.shape[2]), bool)
    inside = inside[:, None, :]
    if metric == "pearson":
        mean = np.where(inside, vectors, 0).sum(-1, keepdims=True) / np.maximum(inside.sum(-1, keepdims=True), 1)
        vectors = vectors - mean
    vectors = np.where(inside, vectors, 0)
    norm = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    unit = vectors / np.maximum(norm, _TINY)
    total = unit.sum(1, keepdims=True)
    return ((unit * total).sum(-1) - (unit * unit).sum(-1)) / (heads - 1)


@dataclass(frozen=True)
class Projection:
    """A layer's principal axes: `mean` (D,) and `axes` (D, k) float64."""

    mean: np.ndarray
    axes: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (…, D) in the axes' coordinates, (…, k)."""
        return (np.asarray(vectors, np.float64) - self.mean) @ self.axes


class Moments:
    """Count, sum and products of vectors (…, D) that pass by; nothing else of them is kept."""

    def __init__(self, dimensions: int):
        self.count = 0
        self.total = np.zeros(dimensions)
        self.products = np.zeros((dimensions, dimensions))

    def add(self, vectors: np.ndarray) -> None:
        """Take in some more."""
        flat = np.asarray(vectors, np.float64).reshape(-1, len(self.total))
        self.count += len(flat)
        self.total += flat.sum(0)
        self.products += flat.T @ flat

    def projection(self, dimensions: int = DIMENSIONS) -> Projection:
        """Their principal axes, at most `dimensions`, those of the greatest variance first."""
        mean = self.total / self.count
        covariance = self.products / self.count - np.outer(mean, mean)
        _, axes = np.linalg.eigh(covariance)
        return Projection(mean, axes[:, ::-1][:, :dimensions])
