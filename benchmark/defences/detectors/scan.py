"""SCAn (Tang et al. 2021): a class is suspicious where its features are far better explained as two groups than as one,
beside what clean rows say of how features vary; in it, the rows of the group with fewer clean rows."""

from dataclasses import dataclass

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.defences import statistics
from benchmark.defences.context import CLEAN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, FEATURES
from benchmark.defences.options import Option
from benchmark.defences.registry import INFERRED, READ, RUN, WHOLE, DetectorSpec, Remark, Work, register

STEPS = 100
LEAST_CLASSES = 3  # of two, each is as far from their median as the other
TOLERANCE = 1e-5
CONSISTENT = 1.4826  # the median absolute deviation of normal numbers × this is their standard deviation


@dataclass(frozen=True)
class Variation:
    """Covariances (d, d) of the features: of the classes' means (`between`), and within a class (`within`)."""

    between: np.ndarray
    within: np.ndarray
    steps: int = 0

    @property
    def inverse(self) -> np.ndarray:
        """The pseudo-inverse of `within`."""
        return statistics.power(self.within, -1)

    def common_means(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return within · (count · between + within)⁺ · sum for each row of `sums` (k, d), `counts` (k,): (k, d).

        One decomposition serves all counts: with T = between + within whitened, both are diagonal in the same basis.
        """
        values, vectors = statistics.positive(self.between + self.within)
        whitener = vectors / np.sqrt(values)
        shares, turn = np.linalg.eigh(whitener.T @ self.within @ whitener)
        basis = whitener @ turn
        shares = np.clip(shares, 0, 1)
        scaled = (sums @ basis) / (np.asarray(counts)[:, None] * (1 - shares) + shares)
        return scaled @ (basis.T @ self.within)


def fit(clean: np.ndarray, labels: np.ndarray, classes: int) -> Variation:
    """Estimate how clean features vary (Tang et al. 2021): h = mean of the class + variation, both normal.

    EM from the covariances of class means and residuals, at most 100 steps, until both change by 1e-5 at most
    (Frobenius). Only the rows' scatter and the classes' sums are needed, so a step costs the same for any number of
    rows.

    Parameters
    ----------
    clean : array (n, d)
    labels : int array (n,), 0 … classes − 1
    classes : int
    """
    mean = statistics.mean_of(clean)
    scatter = statistics.scatter_of(clean, mean)
    rows = [one for one in statistics.by_class(labels, classes) if len(one)]
    counts = np.array([len(one) for one in rows])
    sums = np.stack([(statistics.mean_of(clean[one]) - mean) * len(one) for one in rows])
    now = _covariances(scatter, sums, counts, sums / counts[:, None])
    for step in range(1, STEPS + 1):
        before = now
        means = before.common_means(sums @ before.inverse @ before.between, counts)
        now = _covariances(scatter, sums, counts, means, step)
        change = np.linalg.norm(now.between - before.between) + np.linalg.norm(now.within - before.within)
        if change <= TOLERANCE:
            break
    return now


def _covariances(
    scatter: np.ndarray, sums: np.ndarray, counts: np.ndarray, means: np.ndarray, step: int = 0
) -> Variation:
    """Return the covariances (divided by n − 1) of the means that rows are given, and of what is left of the rows.

    Σ xxᵀ is `scatter`, and Σ x of a class in `sums`; the mean of all rows is 0.
    """
    total = int(counts.sum())
    middle = counts @ means / total
    weighted = means * counts[:, None]
    between = weighted.T @ means - total * np.outer(middle, middle)
    cross = sums.T @ means
    within = scatter - cross - cross.T + weighted.T @ means - total * np.outer(middle, middle)
    return Variation(between / (total - 1), within / (total - 1), step)


@dataclass(frozen=True)
class Groups:
    """How one class splits: `second` (n,) bool, the groups' `means` (2, d), and how far on the second one's side of the
    boundary a row lies, `margin` (n,): −1 at the first mean, 1 at the second."""

    second: np.ndarray
    means: np.ndarray
    margin: np.ndarray


def split(rows: np.ndarray, mean: np.ndarray, inverse: np.ndarray, seed: int, number: int) -> Groups:
    """Split the rows (n, d) of class `number` into two by a linear discriminant, from a seeded random start, until no
    row changes sides or after 100 steps.

    `mean` (d,) is subtracted from the rows, `inverse` (d, d) is that of the covariance within a class.
    """
    second = random_streams.uniform(seed, f"scan {number}", len(rows)) >= 0.5
    means = np.zeros((2, rows.shape[1]))
    margin = np.zeros(len(rows))
    for _ in range(STEPS):
        if not 0 < second.sum() < len(rows):
            break
        means = np.stack([statistics.mean_of(rows[~second]), statistics.mean_of(rows[second])]) - mean
        apart = inverse @ (means[1] - means[0])
        middle = (means[1] @ inverse @ means[1] - means[0] @ inverse @ means[0]) / 2
        beyond = statistics.times(rows, mean, apart) - middle
        margin = beyond / max((means[1] - means[0]) @ apart / 2, np.finfo(np.float64).tiny)
        new = beyond > 0
        if np.array_equal(new, second) or np.array_equal(new, ~second):
            second = new
            break
        second = new
    return Groups(second, means, margin)


def statistic(groups: Groups, common: np.ndarray, inverse: np.ndarray) -> float:
    """Return the likelihood ratio J of two groups against one, a row: Σ over groups of n (m − u)ᵀ F (m − u) / n, which
    is what (iii) of the published code sums over rows.

    `common` (d,) is the mean m of all rows as one group, `inverse` F.
    """
    counts = np.array([np.sum(~groups.second), np.sum(groups.second)])
    away = common - groups.means
    return float(counts @ ((away @ inverse) * away).sum(1) / counts.sum())


def anomaly(ratios: np.ndarray) -> np.ndarray:
    """Return |J − median| / (1.4826 · MAD) of each class's J, (k,). All 0 where the MAD is: then more than half of the
    classes are equal, and nothing says what is usual."""
    away = np.abs(ratios - np.median(ratios))
    usual = CONSISTENT * np.median(away)
    return away / usual if usual > 0 else np.zeros(len(away))


@dataclass(frozen=True)
class Class:
    """What SCAn finds of one class: the statistic J, its rows (n,) among all inspected, which of them are in the
    suspicious group, and by how far (see `Groups`; 1 at that group's mean)."""

    number: int
    statistic: float
    rows: np.ndarray
    suspicious: np.ndarray
    margin: np.ndarray
    clean: tuple[int, int]


def examine(
    features: np.ndarray,
    labels: np.ndarray,
    clean: np.ndarray,
    clean_labels: np.ndarray,
    classes: int,
    variation: Variation,
    seed: int,
    as_published: bool = False,
) -> list[Class]:
    """Split each class with at least two inspected rows, clean rows among them, and test it (Tang et al. 2021).

    Parameters
    ----------
    features, labels : arrays (n, d), int (n,)
        The inspected rows.
    clean, clean_labels : arrays (m, d), int (m,)
        Rows that are known to be clean.
    classes : int
    variation : Variation
        What `fit` says of the clean rows.
    seed : int
        Of the splits' starts.
    as_published : bool
        Whether the mean of all rows as one group is that of the published code, within · (n · between + within)⁺ Σ x,
        or the one of the model that it is fitted with, which has the factor between · within⁺ besides.
    """
    inverse = variation.inverse
    mean = statistics.mean_of(features) * len(features) + statistics.mean_of(clean) * len(clean)
    mean /= len(features) + len(clean)
    turn = np.eye(len(inverse)) if as_published else inverse @ variation.between
    own, known = statistics.by_class(labels, classes), statistics.by_class(clean_labels, classes)
    found = []
    for number, (rows, others) in enumerate(zip(own, known, strict=True)):
        if len(rows) < 2:
            continue
        every = np.concatenate([features[rows], clean[others]])
        groups = split(every, mean, inverse, seed, number)
        total = (statistics.mean_of(every) - mean) * len(every)
        common = variation.common_means(total[None] @ turn, np.array([len(every)]))[0]
        found.append(_class(number, rows, groups, statistic(groups, common, inverse)))
    return found


def _class(number: int, rows: np.ndarray, groups: Groups, ratio: float) -> Class:
    """Take the group with fewer clean rows as the suspicious one; of two with as many, the smaller."""
    clean = groups.second[len(rows) :]
    counts = int(np.sum(~clean)), int(np.sum(clean))
    own = groups.second[: len(rows)]
    second = (counts[1], own.sum()) <= (counts[0], np.sum(~own))
    side, margin = (own, groups.margin) if second else (~own, -groups.margin)
    return Class(number, ratio, rows, side, margin[: len(rows)], counts)


def scores(found: list[Class], indices: np.ndarray, count: int) -> np.ndarray:
    """Return a score of each of `count` rows, float64: how far it lies on the suspicious group's side, × the anomaly
    index of its class. (The paper flags groups and scores no rows.) 0 for rows of classes that were not tested."""
    result = np.zeros(count)
    for one, index in zip(found, indices, strict=True):
        result[one.rows] = index * one.margin
    return result


def cut(found: list[Class], indices: np.ndarray, count: int, threshold: float) -> np.ndarray:
    """Tell which of `count` rows are flagged, bool: suspicious groups of classes with an index above `threshold`."""
    flagged = np.zeros(count, bool)
    for one, index in zip(found, indices, strict=True):
        flagged[one.rows] = one.suspicious & (index > threshold)
    return flagged


def score(context: DefenceContext, *, threshold: float, published_mean: bool) -> Detection:
    """Score the inspected rows of a run by `scores`, and cut by `cut`."""
    features, labels = statistics.checked(context.features()), context.labels
    clean, known = statistics.checked(context.features(CLEAN)), context.clean.labels
    if len(np.unique(known)) < 2:
        raise Failure(f"the clean rows are of one class, so nothing says how classes differ: {statistics.MORE}")
    variation = fit(clean, known, context.classes)
    found = examine(features, labels, clean, known, context.classes, variation, context.seed, published_mean)
    if len(found) < LEAST_CLASSES:
        raise Failure(
            f"judges a class beside the median of all, which takes at least {LEAST_CLASSES} classes with rows, and "
            f"this run has {len(found)}; `benchmark defences` lists methods that judge each class by itself"
        )
    indices = anomaly(np.array([one.statistic for one in found]))
    names = context.class_names
    findings = {
        "classes": {
            names[one.number]: {
                "statistic": round(one.statistic, 4),
                "index": round(float(index), 4),
                "clean_rows_by_group": list(one.clean),
            }
            for one, index in zip(found, indices, strict=True)
        },
        "flagged_classes": [names[one.number] for one, index in zip(found, indices, strict=True) if index > threshold],
        "classes_without_clean_rows": [names[one.number] for one in found if not sum(one.clean)],
        "directions": {
            "of": features.shape[1],
            "that_clean_rows_vary_in": len(statistics.positive(variation.within)[0]),
        },
        "no_index": not indices.any(),
    }
    count = len(labels)
    return Detection(scores(found, indices, count), cut(found, indices, count, threshold), findings)


register(
    DetectorSpec(
        name="scan",
        title="SCAn",
        source="Tang et al. 2021, Demon in the variant: statistical analysis of DNNs for robust backdoor contamination "
        "detection",
        summary="Whether a class's features are two groups rather than one, by how features of clean rows vary; flags "
        "the group with fewer clean rows.",
        score=score,
        judges=WHOLE,
        needs=(FEATURES, CLEAN_ROWS),
        options=(
            Option(
                "threshold",
                "A class is flagged if its anomaly index is above this.",
                float,
                round(float(np.e**2), 6),
                above=0,
                source="e² in the paper and in BackdoorBench; e (2.718282) in backdoor-toolbox",
            ),
            Option(
                "published_mean",
                "Whether the mean of a class as one group is computed as in published code, without a factor that the "
                "model's own means have.",
                bool,
                False,
                source="yes in all published code",
            ),
        ),
        work=lambda size, options: Work(forward=size.rows + size.clean, seconds=2e-4 * size.rows),
        aliases=("demon-in-the-variant",),
        remarks=(
            Remark(
                "BackdoorBench f02e353, detection_pretrain/scan.py",
                READ,
                "takes the first clean row for an inspected one (`>` for `>=`), so that a row that does not exist can "
                "be reported",
                "keeps clean rows apart",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/scan.py",
                READ,
                "draws the clean rows from the test set, with replacement; their number has no default; features are "
                "sums over positions",
                "takes held-out rows, each once, and the inputs of the last layer",
            ),
            Remark(
                "backdoor-toolbox 9d4d909, cleansers_tool_box/scan.py",
                RUN,
                "stops with a ValueError on NumPy 2.4, and flags classes above e instead of e²",
                "flags above e²; `threshold=2.718282` gives the same flags as that code, repaired",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/scan.py",
                READ,
                "the mean of a class as one group lacks the factor between · within⁺ that the model's own means have, "
                "and grows with the number of rows instead of staying a mean",
                "has the factor, so that the statistic is the likelihood ratio of the model that was fitted: on the "
                "reference input the index of the poisoned class is 334 instead of 45 and the same rows are flagged, "
                "and of rows drawn from that model the published mean picks wrong classes; `published_mean=yes` gives "
                "the published statistics",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/scan.py",
                INFERRED,
                "where more than half of the classes have the same statistic the index divides by 0",
                "flags no class then, and says so",
            ),
        ),
    )
)
