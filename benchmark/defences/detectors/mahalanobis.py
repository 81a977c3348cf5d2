"""Mahalanobis distance (Lee et al. 2018) of a row's features to the held-out rows of its given label: suspicious is a
row that does not look like clean rows of the class that it is said to be of."""

from dataclasses import dataclass

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import statistics
from benchmark.defences.context import CLEAN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, FEATURES
from benchmark.defences.options import Option
from benchmark.defences.registry import DetectorSpec, Work, register

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
    chosen = statistics.shrinkage(covariance, fourth, len(clean)) if shrinkage is None else shrinkage
    level = np.trace(covariance) / len(covariance)
    shrunk = (1 - chosen) * covariance + chosen * level * np.eye(len(covariance))
    values, vectors = statistics.positive(shrunk)
    return Gaussians(means, vectors / np.sqrt(values), chosen)


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


def scores(gaussians: Gaussians, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the distances (n,) of rows, squared; rows of a class without clean rows get the median of the others."""
    found = gaussians.distances(features, labels)
    unknown = np.isnan(found)
    if unknown.all():
        raise Failure(f"no class has both clean rows and rows to inspect: {statistics.MORE}")
    found[unknown] = np.median(found[~unknown])
    return found


def score(context: DefenceContext, *, shrinkage: float | None, false_alarms: float) -> Detection:
    """Score the inspected rows of a run by `scores`; the cut is what a share `false_alarms` of the clean rows exceeds,
    each beside a fit to others."""
    features, labels = statistics.checked(context.features()), context.labels
    clean, classes = statistics.checked(context.features(CLEAN)), context.classes
    gaussians = fit(clean, context.clean.labels, classes, shrinkage)
    found = scores(gaussians, features, labels)
    own = own_distances(clean, context.clean.labels, classes, shrinkage)
    own = own[~np.isnan(own)]
    if not len(own):
        raise Failure(f"no class has two clean rows, so nothing says what distance is usual: {statistics.MORE}")
    threshold = float(np.quantile(own, 1 - false_alarms))
    known = ~np.isnan(gaussians.means).any(1)
    findings = {
        "threshold": threshold,
        "shrinkage": round(gaussians.shrinkage, 6),
        "clean_rows": len(clean),
        "classes_without_clean_rows": [
            name for name, rows in statistics.named(context.class_names, labels) if not known[labels[rows[0]]]
        ],
    }
    return Detection(found, (found > threshold) & known[labels], findings)


register(
    DetectorSpec(
        name="mahalanobis",
        title="Mahalanobis distance",
        source="Lee et al. 2018, A simple unified framework for detecting out-of-distribution samples and adversarial "
        "attacks",
        summary="How far a row's features lie from those of clean rows of the class that it is labelled as, by a "
        "covariance that all classes share.",
        score=score,
        needs=(FEATURES, CLEAN_ROWS),
        options=(
            Option(
                "shrinkage",
                "How far the covariance is drawn towards a multiple of the identity, 0 to 1; by default as the clean "
                "rows ask for.",
                float,
                None,
                least=0,
                most=1,
                source="Ledoit & Wolf 2004",
            ),
            Option(
                "false_alarms",
                "Share of clean rows that would be flagged: what sets the cut.",
                float,
                0.05,
                above=0,
                below=1,
            ),
        ),
        work=lambda size, options: Work(forward=size.rows + size.clean, seconds=1e-4 * size.rows),
    )
)
