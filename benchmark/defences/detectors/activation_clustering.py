"""Activation clustering (Chen et al. 2018): a class's features are split into two clusters; suspicious are the rows of
the smaller one where it is much the smaller."""

from dataclasses import dataclass

import numpy as np

from benchmark.defences import statistics, two_means

PURPOSE = "activation-clustering"


@dataclass(frozen=True)
class Clusters:
    """How one class splits: `smaller` (n,) bool tells the rows of the smaller cluster, `share` which part of the class
    they are, `silhouette` how well the two are separated; `position` (n,) says where between the centres a row lies:
    −1 at the larger one's, 1 at the smaller one's."""

    smaller: np.ndarray
    share: float
    silhouette: float
    position: np.ndarray


def project(features: np.ndarray, components: int, whiten: bool) -> np.ndarray:
    """Return the features (n, d) of one class along their first principal directions, (n, ≤ components) float64.

    With `whiten` each has variance 1, as ICA's components have (Chen et al. 2018, section 4; Hyvärinen & Oja 2000):
    whitened principal components and independent ones differ by a rotation only, which 2-means does not see.
    """
    mean, directions, variances = statistics.principal(features, components)
    return statistics.times(features, mean, directions / np.sqrt(variances) if whiten else directions)


def split(points: np.ndarray, seed: int, number: int) -> Clusters:
    """Split the projected rows (n, k) of class `number` into two clusters."""
    smaller = two_means.two_means(points, seed, f"{PURPOSE} {number}")
    if not smaller.any():
        return Clusters(smaller, 0.0, 0.0, np.zeros(len(points)))
    centres = two_means.centres_of(points, smaller)
    to_larger, to_smaller = (np.sqrt(((points - centre) ** 2).sum(1)) for centre in centres)
    apart = float(np.sqrt(((centres[1] - centres[0]) ** 2).sum()))
    width = two_means.silhouette(points, smaller, seed, f"{PURPOSE} silhouette {number}")
    return Clusters(smaller, float(smaller.mean()), width, (to_larger - to_smaller) / apart)


def clusters(
    features: np.ndarray, labels: np.ndarray, classes: int, components: int, whiten: bool, seed: int
) -> dict[int, Clusters]:
    """Return the two clusters of each class that has more rows than `components`, by its number.

    Parameters
    ----------
    features : array (n, d)
    labels : int array (n,), 0 … classes − 1
    classes, components : int
    whiten : bool
        See `project`.
    seed : int
        Of the starts of 2-means, and of the rows that silhouettes of large clusters are measured against.
    """
    found = {}
    for number, rows in enumerate(statistics.by_class(labels, classes)):
        if len(rows) > components:
            found[number] = split(project(features[rows], components, whiten), seed, number)
    return found


def scores(found: dict[int, Clusters], labels: np.ndarray) -> np.ndarray:
    """Return a score of each row, (n,) float64 in −1 … 1: its position between the centres × the silhouette × (1 − 2 ×
    the smaller cluster's share), so that what the paper's two criteria find suspicious comes first. (The paper flags
    clusters and scores no rows.) 0 in classes that were not split."""
    result = np.zeros(len(labels))
    for number, one in found.items():
        result[labels == number] = one.position * max(one.silhouette, 0.0) * (1 - 2 * one.share)
    return result


def cut(found: dict[int, Clusters], labels: np.ndarray, share: float, silhouette: float | None = None) -> np.ndarray:
    """Tell which rows are flagged, (n,) bool: the smaller clusters that are less than `share` of their class and, if a
    `silhouette` is given, separated by more than that."""
    flagged = np.zeros(len(labels), bool)
    for number, one in found.items():
        if one.share < share and (silhouette is None or one.silhouette > silhouette):
            flagged[np.flatnonzero(labels == number)[one.smaller]] = True
    return flagged
