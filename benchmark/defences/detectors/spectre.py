"""SPECTRE (Hayase et al. 2021): a class's features are whitened by a covariance that outliers cannot bend; suspicious
are then the rows that lie far out in the directions in which the class is still too wide."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.core.errors import Failure
from benchmark.defences import statistics
from benchmark.defences.context import DefenceContext, Detection
from benchmark.defences.needs import FEATURES
from benchmark.defences.options import Option
from benchmark.defences.registry import INFERRED, READ, RUN, WHOLE, DetectorSpec, Remark, Work, register

SUSPECT, EVERY = "suspect", "every"
ALPHA = 4  # strength of the quantum entropy score
TAU = 0.1  # chance of failure that the robust filter allows itself
WIDE = 10  # its constant C, of lengths and of the eigenvalue
SHIFT = 3  # how much nearer to the median than the row at the tail its limit is
ROUNDING = 1e-9
LANCZOS = 200  # steps at most
CLOSE = 1e-7  # residual at which it ends, beside the eigenvalue
CHECKED = 8  # steps between two looks at it


def tail(far: np.ndarray, share: float) -> np.ndarray:
    """Return the share of rows that may lie further than `far` (n,) from the median of a quadratic score."""
    allowed = np.ones(len(far))
    beyond = far > 10 * np.log(1 / share)
    allowed[beyond] = 3 * share / (far[beyond] * np.log(far[beyond])) ** 2
    return allowed


def widest(rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue, and its eigenvector as a symmetric matrix (k, k) of norm 1, of the operator
    V ↦ mean of (yᵀVy) y yᵀ − tr(V) I over whitened rows y (n, k): the quadratic form that varies most.

    By Lanczos' method, so that no matrix of k² × k² is made.
    """
    size = rows.shape[1]
    eye = np.eye(size)

    def apply(flat: np.ndarray) -> np.ndarray:
        form = flat.reshape(size, size)
        values = ((rows @ form) * rows).sum(1)
        return np.asarray(((rows.T * values) @ rows / len(rows) - np.trace(form) * eye).ravel())

    start = rows[np.argmax((rows**2).sum(1))]
    value, vector = _lanczos(apply, (np.outer(start, start) + eye).ravel())
    form = vector.reshape(size, size)
    form = (form + form.T) / 2
    return value, form


def _lanczos(apply: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue of a symmetric operator and its eigenvector of length 1."""
    most = min(LANCZOS, len(start))
    basis, steps = np.zeros((most + 1, len(start))), np.zeros((most + 1, most + 1))
    basis[0] = start / np.linalg.norm(start)
    for at in range(most):
        new = apply(basis[at])
        steps[at, at] = new @ basis[at]
        for _ in range(2):  # twice is enough to stay orthogonal
            new -= basis[: at + 1].T @ (basis[: at + 1] @ new)
        left = float(np.linalg.norm(new))
        if at % CHECKED == 0 or at == most - 1 or left <= CLOSE:
            values, vectors = np.linalg.eigh(steps[: at + 1, : at + 1])
            if left * abs(vectors[-1, -1]) <= CLOSE * values[-1]:
                break
        basis[at + 1] = new / left
        steps[at, at + 1] = steps[at + 1, at] = left
    return float(values[-1]), vectors[:, -1] @ basis[: at + 1]


def robust(rows: np.ndarray, share: float, limit: int) -> np.ndarray:
    """Tell which rows (n, k) a robust estimate of the covariance keeps, (n,) bool: the filter of Diakonikolas et al.
    2017, which removes at most `limit` of them. `share` is that of the rows which may be poisoned."""
    kept = np.arange(len(rows))
    while limit > 0:
        stays = _filtered(rows[kept], share, limit)
        if stays is None:
            break
        limit -= int(np.sum(~stays))
        kept = kept[stays]
    result = np.zeros(len(rows), bool)
    result[kept] = True
    return result


def _filtered(rows: np.ndarray, share: float, limit: int) -> np.ndarray | None:
    """One step: the rows that stay, or None where the rest looks like normal numbers."""
    white = rows @ statistics.power(rows.T @ rows / len(rows), -0.5)
    lengths = (white**2).sum(1)
    near = lengths < WIDE * rows.shape[1] * np.log(len(rows) / TAU)
    if not near.all():
        return near | ~statistics.highest(lengths, limit)
    value, form = widest(white)
    if value <= (1 + WIDE * share * np.log(1 / share) ** 2) * (form**2).sum():
        return None
    quadratic = (((white @ form) * white).sum(1) - np.trace(form)) / np.sqrt(2)
    away = np.abs(quadratic - np.median(quadratic))
    inside = np.sort(away) - SHIFT
    beyond = 1 - np.arange(len(away)) / len(away)
    there = inside > 0
    over = np.flatnonzero(beyond[there] >= tail(inside[there], share))
    if not len(over):
        return None
    return (away <= inside[there][over[0]]) | ~statistics.highest(away, limit)


def entropy(covariance: np.ndarray, by_element: bool = False) -> np.ndarray:
    """Return M = exp(4 (Σ − I) / (‖Σ‖₂ − 1)) of a covariance (k, k), divided by its trace: it weighs the directions in
    which Σ is widest most. I / k where it is nowhere wider than I, but for rounding.

    `by_element`: each element's exponential instead of the matrix's, as a published port has it.
    """
    excess = covariance - np.eye(len(covariance))
    above = float(np.linalg.norm(covariance, 2)) - 1
    scaled = excess * (ALPHA / above) if above > ROUNDING else np.zeros_like(excess)
    if by_element:
        weights = np.exp(scaled)
    else:
        values, vectors = np.linalg.eigh(scaled)
        weights = (vectors * np.exp(values)) @ vectors.T
    return np.asarray(weights / np.trace(weights))


def whitened(rows: np.ndarray, kept: np.ndarray, ridge: float) -> np.ndarray:
    """Return rows (n, k) × C^(−1/2), C the covariance of those `kept` (m, k), with `ridge` × its mean variance added to
    every direction: without it one in which only the others vary would count without bound."""
    covariance = np.cov(kept, rowvar=False).reshape((rows.shape[1],) * 2)
    level = ridge * np.trace(covariance) / len(covariance)
    return rows @ statistics.power(covariance + level * np.eye(len(covariance)), -0.5)


def que(rows: np.ndarray, share: float, limit: int, by_element: bool = False, ridge: float = 0.0) -> np.ndarray:
    """Return the quantum entropy scores (n,) of centred rows (n, k): yᵀMy of the rows whitened robustly, where M is
    `entropy` of their covariance."""
    kept = rows[robust(rows, share, limit)] if rows.shape[1] > 1 else rows
    white = whitened(rows, kept, ridge)
    if rows.shape[1] == 1:
        return white[:, 0] ** 2
    weights = entropy(np.cov(white, rowvar=False), by_element)
    return ((white @ weights) * white).sum(1)


def width(rows: np.ndarray, removed: np.ndarray, by_element: bool = False, ridge: float = 0.0) -> float:
    """Return how wide all rows (n, k) are, whitened by those that are not `removed` (n,) bool: tr(ΣM) / tr(M)."""
    covariance = np.cov(whitened(rows, rows[~removed], ridge), rowvar=False).reshape((rows.shape[1],) * 2)
    weights = entropy(covariance, by_element)
    return float(np.sum(covariance * weights)) if not by_element else float(np.trace(covariance * weights))


def dimensions(most: int) -> tuple[int, ...]:
    """Return the squares 1, 4, 9 … up to 64 that are at most `most`: the numbers of components that are tried."""
    return tuple(root * root for root in range(1, 9) if root * root <= most)


@dataclass(frozen=True)
class Class:
    """What SPECTRE finds of the rows of one class: the number of components that leaves the class widest when the rows
    with the highest `scores` (n,) are `removed` (n,) bool, and that width."""

    components: int
    width: float
    scores: np.ndarray
    removed: np.ndarray


def budget(rows: int, expected: float, every: int) -> int:
    """Return how many poisons a class of that many rows may hold, at least 1: the expected share of `every` row, but no
    more than a third of the class, and a tenth of one of fewer than 500 rows."""
    poisons = expected * every
    poisons = round(0.33 * rows) if poisons > 0.33 * rows else poisons
    poisons = round(0.1 * rows) if rows < 500 and poisons > 0.1 * rows else poisons
    return max(int(poisons), 1)


def examine(
    features: np.ndarray, poisons: int, most: int, by_element: bool = False, ridge: float = 0.0
) -> Class | None:
    """Score the rows (n, d) of one class, of which at most `poisons` are poisoned, by at most `most` components.

    None where the class has no direction, or not more rows than components when those flagged are gone.
    """
    if len(features) < 2:
        return None
    mean, directions, _ = statistics.principal(features, most)
    points = statistics.times(features, mean, directions)
    if not points.shape[1] or len(points) - round(1.5 * poisons) <= points.shape[1]:
        return None
    best = None
    for count in dimensions(points.shape[1]):
        scores = que(points[:, :count], poisons / len(points), round(2 * poisons), by_element, ridge)
        removed = statistics.highest(scores, round(1.5 * poisons))
        wide = width(points, removed, by_element, ridge)
        if best is None or wide > best.width:
            best = Class(count, wide, scores, removed)
    return best


def score(
    context: DefenceContext,
    *,
    expected: float,
    components: int,
    rows_each: int,
    ridge: float,
    by_element: bool,
    classes: str,
) -> Detection:
    """Score the inspected rows of a run: quantum entropy scores × the width of the class."""
    features, labels = statistics.checked(context.features()), context.labels
    found, flagged = np.zeros(len(labels)), np.zeros(len(labels), bool)
    done: dict[str, Class] = {}
    named = statistics.named(context.class_names, labels)
    for number, (name, rows) in enumerate(named):
        if number % max(1, len(named) // 5) == 0:  # the filter of a large class takes its time
            context.log(f"spectre: class {number + 1} of {len(named)} …")
        most = max(min(components, len(rows) // rows_each), 1)
        one = examine(features[rows], budget(len(rows), expected, len(labels)), most, by_element, ridge)
        if one is not None:
            done[name] = one
            found[rows], flagged[rows] = one.scores * one.width, one.removed
    if not done:
        raise Failure("no class has enough rows that vary")
    suspect = max(done, key=lambda name: done[name].width)
    if classes == SUSPECT:
        flagged &= labels == context.class_names.index(suspect)
    findings = {
        "suspect_class": suspect,
        "classes": {name: {"components": one.components, "width": round(one.width, 4)} for name, one in done.items()},
        "classes_with_too_few_rows": [name for name, _ in named if name not in done],
    }
    return Detection(found, flagged, findings)


register(
    DetectorSpec(
        name="spectre",
        title="SPECTRE",
        source="Hayase et al. 2021, SPECTRE: defending against backdoor attacks using robust statistics",
        summary="How far out a row's features lie after a robust whitening of its class, in the directions in which "
        "the class stays too wide.",
        score=score,
        judges=WHOLE,
        needs=(FEATURES,),
        options=(
            Option(
                "expected",
                "Share of all rows that may be poisoned; 1.5 × as many are removed, at most half of a class.",
                float,
                0.01,
                above=0,
                below=1,
                source="the paper's ε; 1 % in BackdoorBench",
            ),
            Option(
                "components",
                "Principal components of a class at most; of the squares up to it the one is taken that leaves the "
                "class widest.",
                int,
                64,
                least=1,
                most=64,
                source="both published codes",
            ),
            Option(
                "rows_each",
                "Rows of a class for each component at least: a class with few rows gets fewer components.",
                int,
                10,
                least=2,
            ),
            Option(
                "ridge",
                "Share of the mean variance that is added to every direction before whitening.",
                float,
                1e-3,
                least=0,
                source="0 in both published codes",
            ),
            Option(
                "by_element",
                "Whether the exponential and the trace of a product are taken element by element.",
                bool,
                False,
                source="so in BackdoorBench's port; not in the paper's code",
            ),
            Option(
                "classes",
                "Whether rows of the widest class alone are removed, or of every class.",
                str,
                SUSPECT,
                choices=(SUSPECT, EVERY),
                source="suspect in backdoor-toolbox, every in BackdoorBench",
            ),
        ),
        work=lambda size, options: Work(forward=size.rows, seconds=1e-3 * size.rows),
        remarks=(
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                RUN,
                "calls its `get_features` with three of four arguments: a TypeError, it never runs as published; "
                "`solve(sym_pos=True)` has left SciPy besides",
                "runs",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                RUN,
                "takes the exponential of a matrix and the trace of a product element by element",
                "takes those of matrices, as the paper has it; `by_element=yes` as the port",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                INFERRED,
                "an exponential by element depends on the signs that the principal components happen to have",
                "does not depend on them",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                INFERRED,
                "where the robust filter removes no row the whitened covariance is the identity, and the scores are "
                "made of rounding errors divided by rounding errors",
                "weighs all directions alike then",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                RUN,
                "removes rows of every class: false positive rate 0.12",
                "removes those of the widest class; `classes=every` as that code",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre.py",
                RUN,
                "always takes 64 components, which needs as many features and rows, and inverts a covariance without a "
                "ridge: with 110 rows a class and 1 % expected a wrong class comes out widest, even with exponentials "
                "of matrices",
                "takes at most one for every ten rows, and adds a ridge; `rows_each=2` and `ridge=0` are nearer to "
                "that code",
            ),
            Remark(
                "backdoor-toolbox 9d4d909, cleansers_tool_box/spectre_python.py",
                RUN,
                "takes two components and an exponential by element, and removes rows of every class",
                "does none of it; this variant was not followed",
            ),
            Remark(
                "BackdoorBench f02e353, detection_pretrain/spectre_utils.py",
                READ,
                "tests the tail of the quadratic scores by 1 − i/n, backdoor-toolbox's dkk17.jl by i/n",
                "tests the share of rows that lie further, 1 − i/n",
            ),
        ),
    )
)
