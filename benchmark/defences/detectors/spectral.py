"""Spectral signatures (Tran et al. 2018): suspicious is a row whose features lie far from its class's mean along the
class's first principal direction."""

import numpy as np

from benchmark.defences import statistics
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.needs import FEATURES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, WHOLE, DetectorSpec, Remark, Work, register


def class_scores(features: np.ndarray, centred: bool = True) -> np.ndarray:
    """Return the scores (n,) of the rows (n, d) of one class: (v · (h − mean))², v the first principal direction.

    With `centred=False` |v · h|, as published code has it. 0 where the features do not vary.
    """
    if len(features) < 2:
        return np.zeros(len(features))
    mean, directions, _ = statistics.principal(features, 1)
    if not directions.shape[1]:
        return np.zeros(len(features))
    along = statistics.times(features, mean if centred else np.zeros_like(mean), directions[:, 0])
    return along**2 if centred else np.abs(along)


def scores(features: np.ndarray, labels: np.ndarray, classes: int, centred: bool = True) -> np.ndarray:
    """Return `class_scores` of every row within its own class, (n,) float64 (Tran et al. 2018).

    Parameters
    ----------
    features : array (n, d)
    labels : int array (n,), 0 … classes − 1
    classes : int
    centred : bool
        Whether the mean is subtracted before the projection, as in the paper.
    """
    result = np.zeros(len(labels))
    for rows in statistics.by_class(labels, classes):
        result[rows] = class_scores(features[rows], centred)
    return result


def budgets(labels: np.ndarray, classes: int, expected: float) -> np.ndarray:
    """Return how many rows each class loses, (classes,) int64: 1.5 × the expected poisons, at most half of it."""
    sizes = np.bincount(labels, minlength=classes)
    return np.minimum(int(1.5 * expected * len(labels)), sizes // 2).astype(np.int64)


def cut(
    scores: np.ndarray, labels: np.ndarray, classes: int, expected: float, percentile: float | None = None
) -> np.ndarray:
    """Tell which rows are removed, (n,) bool: of each class the highest by `budgets`, or with a `percentile` those
    above it. A score of 0 is never removed."""
    flagged = np.zeros(len(labels), bool)
    counts = budgets(labels, classes, expected)
    for rows, count in zip(statistics.by_class(labels, classes), counts, strict=True):
        if percentile is None:
            flagged[rows] = statistics.highest(scores[rows], int(count))
        elif len(rows):
            flagged[rows] = scores[rows] > np.percentile(scores[rows], percentile)
    return flagged & (scores > 0)


def score(context: DefenceContext, *, expected: float, centred: bool, percentile: float | None) -> Detection:
    """Score the inspected rows of a run by `scores`, and cut by `cut`."""
    features, labels = statistics.checked(context.features()), context.labels
    found = scores(features, labels, context.classes, centred)
    flagged = cut(found, labels, context.classes, expected, percentile)
    classes = statistics.named(context.class_names, labels)
    findings = {
        "removed": {name: int(flagged[rows].sum()) for name, rows in classes},
        "classes_without_variation": [name for name, rows in classes if not found[rows].any()],
    }
    return Detection(found, flagged, findings)


register(
    DetectorSpec(
        name="spectral",
        title="Spectral signatures",
        source="Tran et al. 2018, Spectral signatures in backdoor attacks",
        summary="How far a row's features lie from its class's mean along the class's first principal direction; "
        "removes the farthest of every class.",
        score=score,
        judges=WHOLE,
        needs=(FEATURES,),
        options=(
            Option(
                "expected",
                "Share of all rows that may be poisoned; 1.5 × as many rows are removed from each class, at most half "
                "of it.",
                float,
                0.01,
                above=0,
                below=1,
                source="the paper's ε, an upper bound that the defender knows; 1 % as backdoor-toolbox has",
            ),
            Option(
                "centred",
                "Whether the class's mean is subtracted before the projection; without that the scores are |v · h|.",
                bool,
                True,
                source="paper; not in BackdoorBench and BackdoorBox",
            ),
            Option(
                "percentile",
                "Remove the rows above this percentile of each class's scores instead; by default not used.",
                float,
                None,
                above=0,
                below=100,
                source="85 in BackdoorBench",
            ),
        ),
        work=lambda size, options: Work(forward=size.rows, seconds=1e-4 * size.rows),
        aliases=("spectral-signatures", "ss"),
        remarks=(
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectral.py and defense/spectral.py",
                RUN,
                "scores |v · h| of the uncentred features, v from the centred ones: on the reference input TPR 0.33 "
                "where the paper's score has every poisoned row in the top",
                "subtracts the mean, as the paper has it; `centred=no` gives the same scores as that code",
            ),
            Remark(
                "BackdoorBox af3afd1, Spectral.py",
                READ,
                "has the same uncentred score",
                "subtracts the mean",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectral.py",
                RUN,
                "removes what is above the 85th percentile of each class, whatever share is expected",
                "removes 1.5 × the expected poisons, as the paper has it; `percentile=85` removes what that code does",
            ),
            Remark(
                "backdoor-toolbox 9d4d909, cleansers_tool_box/spectral_signature.py",
                READ,
                "knows the true poisoning rate (1 % where there is none)",
                "takes `expected`, 1 % unless it is told otherwise",
            ),
        ),
    )
)
