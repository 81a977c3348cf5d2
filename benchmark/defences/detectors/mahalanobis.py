"""Mahalanobis distance (Lee et al. 2018) of a row's features to the held-out rows of its given label: suspicious is a
row that does not look like clean rows of the class that it is said to be of."""

from dataclasses import dataclass

import numpy as np

from benchmark.defences import statistics

FOLDS = 5


@dataclass(frozen=True)
class Gaussians:
    """Normal distributions of the classes with a covariance in common: `means` (classes, d), NaN where a class has no
    clean row, `whitener` (d, k), and how much the covariance was shrunk."""

    means: np.ndarray
    whitener: np.ndarray
    shrinkage: float

    def distances(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row (n, d) to the mean of its label, (n,) float64; NaN where that class
        has no clean row."""
        result = np.empty(len(labels))
        for part, block in statistics.blocks(features):
            result[part] = (((block - self.means[labels[part]]) @ self.whitener) ** 2).sum(1)
        return result


def fit(clean: np.ndarray, labels: np.ndarray, classes: int, shrinkage: float | None = None) -> Gaussians:
    """Fit the means of the classes and their common covariance S, (1 − s) S + s · (mean variance) · I.

    Parameters
    ----------
    clean : array (n, d)
    labels : int array (n,), 0 … classes − 1
    classes : int
    shrinkage : float, optional
        s, 0 to 1; without it Ledoit & Wolf's (2004).
    """
    means = np.full((classes, clean.shape[1]), np.nan)
    for number, rows in enumerate(statistics.by_class(labels, classes)):
        if len(rows):
            means[number] = statistics.mean_of(clean[rows])
    covariance = np.zeros((clean.shape[1],) * 2)
    fourth = 0.0
    for part, block in statistics.blocks(clean):
        block -= means[labels[part]]
        covariance += block.T @ block
        fourth += float(((block**2).sum(1) ** 2).sum())
    covariance /= len(clean)
    chosen = _ledoit_wolf(covariance, fourth, len(clean)) if shrinkage is None else shrinkage
    level = np.trace(covariance) / len(covariance)
    shrunk = (1 - chosen) * covariance + chosen * level * np.eye(len(covariance))
    values, vectors = statistics.positive(shrunk)
    return Gaussians(means, vectors / np.sqrt(values), chosen)


def _ledoit_wolf(covariance: np.ndarray, fourth: float, rows: int) -> float:
    """The shrinkage that is best in the mean for a covariance of that many rows; `fourth` is Σ ‖x‖⁴."""
    level = np.trace(covariance) / len(covariance)
    spread = float(((covariance - level * np.eye(len(covariance))) ** 2).sum())
    noise = (fourth / rows - float((covariance**2).sum())) / rows
    return float(min(max(noise, 0.0) / spread, 1.0)) if spread > 0 else 1.0


def own_distances(clean: np.ndarray, labels: np.ndarray, classes: int, shrinkage: float | None = None) -> np.ndarray:
    """Return the squared distances (n,) of the clean rows themselves, each from what a fit to the other four fifths
    says; every fifth row of a class is in the same fold. NaN where the others have no row of its class."""
    fold = np.empty(len(labels), np.int64)
    for rows in statistics.by_class(labels, classes):
        fold[rows] = np.arange(len(rows)) % FOLDS
    result = np.full(len(labels), np.nan)
    for number in np.unique(fold):
        there = fold == number
        if not there.all():
            others = fit(clean[~there], labels[~there], classes, shrinkage)
            result[there] = others.distances(clean[there], labels[there])
    return result
