"""Activation clustering (Chen et al. 2018): a class's features are split into two clusters; suspicious are the rows of
the smaller one where it is much the smaller."""

from dataclasses import dataclass

import numpy as np

from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.defences import statistics, two_means
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.needs import FEATURES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, WHOLE, DetectorSpec, Remark, Work, register

NAME = "activation-clustering"


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

    With `whiten` each has variance 1, as ICA's components have (Chen et al. 2018 take those):
    whitened principal components and independent ones differ by a rotation only, which 2-means does not see.
    """
    mean, directions, variances = statistics.principal(features, components)
    return statistics.times(features, mean, directions / np.sqrt(variances) if whiten else directions)


def split(points: np.ndarray, seed: int, number: int) -> Clusters:
    """Split the projected rows (n, k) of class `number` into two clusters."""
    smaller = two_means.two_means(points, seed, f"{NAME} {number}")
    if not smaller.any():
        return Clusters(smaller, 0.0, 0.0, np.zeros(len(points)))
    centres = two_means.centres_of(points, smaller)
    to_larger, to_smaller = (np.sqrt(((points - centre) ** 2).sum(1)) for centre in centres)
    apart = float(np.sqrt(((centres[1] - centres[0]) ** 2).sum()))
    width = two_means.silhouette(points, smaller, seed, f"{NAME} silhouette {number}")
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


def score(
    context: DefenceContext, *, components: int, whiten: bool, share: float, silhouette: float | None
) -> Detection:
    """Score the inspected rows of a run by `scores`, and cut by `cut`."""
    features, labels = statistics.checked(context.features()), context.labels
    found = clusters(features, labels, context.classes, components, whiten, context.seed)
    if not found:
        raise Failure(f"no class has more than {counted(components, 'row')}: name fewer --option {NAME}.components")
    flagged = cut(found, labels, share, silhouette)
    names = context.class_names
    findings = {
        "classes": {
            names[number]: {
                "smaller_share": round(one.share, 4),
                "silhouette": round(one.silhouette, 4),
                "flagged": bool(flagged[labels == number].any()),
            }
            for number, one in found.items()
        },
        "classes_with_too_few_rows": [
            name for name, rows in statistics.named(names, labels) if len(rows) <= components
        ],
    }
    return Detection(scores(found, labels), flagged, findings)


register(
    DetectorSpec(
        name=NAME,
        title="Activation clustering",
        source="Chen et al. 2018, Detecting backdoor attacks on deep neural networks by activation clustering",
        summary="Splits a class's features into two clusters by 2-means; flags the smaller one where it is much the "
        "smaller.",
        score=score,
        judges=WHOLE,
        needs=(FEATURES,),
        options=(
            Option(
                "components",
                "Principal components that the features of a class are reduced to.",
                int,
                10,
                least=1,
                most=1000,
                source="paper: 10 independent components",
            ),
            Option(
                "whiten",
                "Whether each component is scaled to variance 1, which is what independent components do to 2-means.",
                bool,
                False,
                source="no in backdoor-toolbox (PCA); yes in the paper and in BackdoorBench (ICA)",
            ),
            Option(
                "share",
                "The smaller cluster is flagged if it is less than this share of its class.",
                float,
                0.35,
                above=0,
                most=0.5,
                source="paper: about 0.35; both published codes",
            ),
            Option(
                "silhouette",
                "Flag only where the two clusters are separated by more than this silhouette; by default not asked.",
                float,
                None,
                least=-1,
                most=1,
                source="paper: 0.10 to 0.15",
            ),
        ),
        work=lambda size, options: Work(forward=size.rows, seconds=2e-4 * size.rows),
        aliases=("ac",),
        remarks=(
            Remark(
                "BackdoorBench f02e353, detection_pretrain/ac.py",
                RUN,
                "clusters FastICA's components, each of variance 1, which removes the scale that 2-means needs: with "
                "its seed none of the 40 poisoned rows of the reference input is found, and over 20 seeds 11 % of them "
                "are and 8 % of the clean rows",
                "clusters principal components as they are, which finds all 40; `whiten=yes` clusters the same points "
                "as that code but for a rotation, and finds 31 of them from the best of ten starts",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/ac.py",
                READ,
                "starts 2-means once, from no seed",
                "starts it ten times from the run's seed and keeps the best",
            ),
            Remark(
                "backdoor-toolbox 9d4d909, cleansers_tool_box/activation_clustering.py",
                READ,
                "computes a threshold of the silhouette and does not use it: of the reference input it also flags a "
                "third of a clean class, which the silhouette would spare",
                "has the silhouette as an option, off by default, and ranks rows by it",
            ),
        ),
    )
)
