"""Rows that stand out of their class, found without being told what to look for.

Every probe of this kind says some numbers of each row. If a trigger lies on some rows of a class, then the mean of that
class is moved beside that of its test rows, which no attack changes. In numbers that are whitened (so that what varies
much counts little) that shift is the direction in which the poisoned rows lie.
"""

from dataclasses import dataclass

import numpy as np

LEAST = 24  # rows of a class, and of its reference, for it to be tried
FEW = 0.005  # of the reference lie beyond where rows are named
TIMES, MORE = 4, 10  # so many times as many must lie there, and so many rows more, for them to be named
CLIP = 6.0  # standard deviations beyond which a number counts as that much
FLOOR = 1e-5  # of the largest variance, below which a direction is none


@dataclass(frozen=True)
class Scored:
    """`scores` (n,) float64, more being more suspicious; `rows`, those that stand out surely, (k,) int64; `classes`,
    the labels whose shift is more than chance, likeliest first."""

    scores: np.ndarray
    rows: np.ndarray
    classes: list[int]


def shifts(values: np.ndarray, labels: np.ndarray, reference: np.ndarray, of: np.ndarray) -> Scored:
    """Score rows by the shift of their class.

    Parameters
    ----------
    values : (n, p) float32
        The numbers of the training rows.
    labels : (n,) int64
    reference : (m, p) float32
        Those of rows that are not poisoned.
    of : (m,) int64
        Their classes.
    """
    names, ours = np.unique(labels, return_counts=True)
    enough = [name for name, count in zip(names, ours, strict=True) if min(count, (of == name).sum()) >= LEAST]
    if not enough:
        return Scored(np.zeros(len(values)), np.empty(0, np.int64), [])
    scores, rows, beyond = np.zeros(len(values)), {}, {}
    middle, scale = np.median(reference, 0), reference.std(0) + 1e-6
    values, reference = (((part - middle) / scale).clip(-CLIP, CLIP) for part in (values, reference))
    means = {name: values[labels == name].mean(0) for name in names}
    whiten = whitening(values - np.stack([means[name] for name in names])[np.searchsorted(names, labels)])
    values, reference = values @ whiten, reference @ whiten
    for name in enough:
        ours, theirs = labels == name, reference[of == name]
        beyond[int(name)] = _strength(values[ours], theirs)
        ranked, aside = _ranked(values[ours], theirs), _ranked(theirs, values[ours], -1)
        spread = np.sqrt(np.mean(aside**2)) + 1e-9
        scores[ours] = max(0.0, 1 - 1 / beyond[int(name)]) * (ranked - np.median(ranked)) / spread
        there = np.flatnonzero(ours)[ranked > np.quantile(aside, 1 - FEW)]
        if len(there) > max(TIMES * FEW * ours.sum(), MORE + FEW * ours.sum()):
            rows[int(name)] = there
    unusual = _unusual(beyond)
    for name in unusual:  # a class that stands out is suspect as a whole
        scores[labels == name] += CLIP
    named = [rows[name] for name in unusual if name in rows]
    return Scored(scores, np.sort(np.concatenate([np.empty(0, np.int64), *named])), unusual)


def _strength(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How far the mean of some rows is from that of others, beside chance: 1 where nothing is."""
    noise = ours.var(0) / len(ours) + theirs.var(0) / len(theirs) + 1e-12
    return float(((ours.mean(0) - theirs.mean(0)) ** 2 / noise).mean())


def _ranked(ours: np.ndarray, theirs: np.ndarray, sign: int = 1) -> np.ndarray:
    """How far each of our rows lies along the shift between the two, as the *other* half of both sets has it: a row has
    no say in the direction that it is measured by. `sign` turns the direction."""
    ranked = np.empty(len(ours))
    for half in (0, 1):
        a, b = ours[1 - half :: 2], theirs[1 - half :: 2]
        shift = a.mean(0) - b.mean(0)
        noise = a.var(0) / len(a) + b.var(0) / len(b) + 1e-12
        direction = shift * np.maximum(0, 1 - noise / np.maximum(shift**2, 1e-12)) / (b.var(0) + 1e-3)
        ranked[half::2] = sign * (ours[half::2] @ direction)
    return ranked


def whitening(values: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """(p, p) float32: values times it have variance 1 in every direction that has any to speak of."""
    covariance = (values.T @ values / max(1, len(values))).astype(np.float64)
    widths, directions = np.linalg.eigh(covariance)
    return (directions / np.sqrt(np.maximum(widths, floor * max(widths[-1], 1e-12)))).astype(np.float32)


def _unusual(beyond: dict) -> list[int]:
    """Return the classes whose shift is far beyond that of the others."""
    if len(beyond) < 3:
        return []
    values = np.array(list(beyond.values()))
    low, middle, high = np.percentile(values, [25, 50, 75])
    limit = max(middle + 6 * (high - low), 1.3 * middle)
    return [int(name) for name in sorted(beyond, key=lambda name: beyond[name], reverse=True) if beyond[name] > limit]


def outliers(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far each row lies along the direction in which the rows vary most, beside the reference: (n,) float64. No
    label is looked at: a trigger that lies in one place of many rows is such a direction."""
    middle, scale = np.median(reference, 0), reference.std(0) + 1e-6
    values, reference = (((part - middle) / scale).clip(-CLIP, CLIP) for part in (values, reference))
    whiten = whitening(reference - reference.mean(0))
    values = (values - reference.mean(0)) @ whiten
    widths, directions = np.linalg.eigh((values.T @ values / len(values)).astype(np.float64))
    along = values @ directions[:, -3:].astype(np.float32)
    tails = (along**4).mean(0) / (along**2).mean(0) ** 2
    return np.abs(along[:, int(np.argmax(tails))]).astype(np.float64)
