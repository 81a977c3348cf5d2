"""How well scores find poisoned rows: AUROC, average precision, and the shares found at false positive rates and cuts.

Rows may carry weights: where only some of the others were inspected, each stands for several.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import numbers
from benchmark.training.metrics import Json

FPRS = ("0.01", "0.05")
"""The false positive rates at which the true positive rate is given."""


@dataclass(frozen=True)
class Curve:
    """What remains at each cut, from none to all: false and true positives, weighted, at every distinct score."""

    false: np.ndarray
    true: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> "Curve":
        """Return the curve of scores (n,), with which rows are positive, (n,) bool, and their weights."""
        weights = np.ones(len(scores)) if weights is None else weights
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(scores) else np.empty(0, int)
        true, false = (np.cumsum(np.where(one, weights, 0.0)[order])[ends] for one in (positive, ~positive))
        return cls(np.concatenate([[0.0], false]), np.concatenate([[0.0], true]))

    @property
    def sound(self) -> bool:
        """Are there both kinds?"""
        return bool(self.false[-1] > 0 and self.true[-1] > 0)

    def auroc(self) -> float:
        """Return the area under the ROC curve: ties count half."""
        heights = (self.true[1:] + self.true[:-1]) / 2
        return float(np.sum(np.diff(self.false) * heights) / self.true[-1] / self.false[-1])

    def average_precision(self) -> float:
        """Return the sum over the cuts of precision times the gain in recall, without interpolation."""
        found = self.true[1:] + self.false[1:]
        return float(np.sum(np.diff(self.true) / self.true[-1] * self.true[1:] / np.maximum(found, 1e-300)))

    def tpr_at(self, fpr: float) -> float:
        """Return the share of the positives found at the lowest cut of at most this false positive rate."""
        allowed = self.false <= fpr * self.false[-1] * (1 + 1e-12)
        return float(self.true[allowed][-1] / self.true[-1])

    def at_count(self, count: float) -> float:
        """Return how many positive rows are among that many of the highest scores; where scores tie at the edge, the
        mean over their orders."""
        total = self.true + self.false
        return float(np.interp(count, total, self.true))


@dataclass(frozen=True)
class Cut:
    """A cut: how many rows it flags and how many of them are poisoned, which share of the flagged that is (precision),
    which share of the poisoned (recall), and which share of the clean rows it throws away (`false_positives`)."""

    flagged: float
    poisoned: float
    precision: float | None
    recall: float
    false_positives: float | None

    def json(self) -> Json:
        """Return it as result.json has it."""
        return {name: _rounded(value) for name, value in vars(self).items()}

    @classmethod
    def of(cls, raw: Json) -> "Cut":
        """Return the cut that JSON holds; `ValueError` or KeyError where it holds none."""
        return cls(
            _number(raw["flagged"]),
            _number(raw["poisoned"]),
            _share(raw["precision"], True),
            _share(raw["recall"]),
            _share(raw["false_positives"], True),
        )


@dataclass(frozen=True)
class Measures:
    """How well one kind of row is told from clean ones.

    Attributes
    ----------
    auroc, average_precision : float
    tpr : dict
        True positive rate by false positive rate, as `FPRS` spells it.
    own_cut : Cut or None
        Of the method's own cut, if it has one.
    as_many : Cut
        As many rows flagged as are poisoned.
    """

    auroc: float
    average_precision: float
    tpr: dict[str, float]
    own_cut: Cut | None
    as_many: Cut

    def json(self) -> Json:
        """Return them as result.json has them."""
        return {
            "auroc": _rounded(self.auroc),
            "average_precision": _rounded(self.average_precision),
            "tpr_at_fpr": {name: _rounded(value) for name, value in self.tpr.items()},
            "own_cut": None if self.own_cut is None else self.own_cut.json(),
            "as_many_as_poisoned": self.as_many.json(),
        }

    @classmethod
    def of(cls, raw: Json | None) -> "Measures | None":
        """Return the measures that JSON holds, None of None; `ValueError`, KeyError where it holds none."""
        if raw is None:
            return None
        own = raw["own_cut"]
        return cls(
            _share(raw["auroc"]),
            _share(raw["average_precision"]),
            {name: _share(raw["tpr_at_fpr"][name]) for name in FPRS},
            None if own is None else Cut.of(own),
            Cut.of(raw["as_many_as_poisoned"]),
        )


def measure(
    scores: np.ndarray, positive: np.ndarray, negative: np.ndarray, flagged: np.ndarray | None, weights: np.ndarray
) -> Measures | None:
    """Measure scores on the rows of two kinds, each (n,) bool; None where there are not both.

    Rows of neither kind are left out. `flagged` (n,) bool: the method's own cut; `weights` (n,).
    """
    used = positive | negative
    scores, true, weights = scores[used], positive[used], weights[used]
    curve = Curve.of(scores, true, weights)
    if not curve.sound:
        return None
    many, clean = float(curve.true[-1]), float(curve.false[-1])
    found = curve.at_count(many)
    own = None
    if flagged is not None:
        cut = flagged[used]
        own = _cut(float(weights[cut].sum()), float(weights[cut & true].sum()), many, clean)
    return Measures(
        curve.auroc(),
        curve.average_precision(),
        {name: curve.tpr_at(float(name)) for name in FPRS},
        own,
        _cut(many, found, many, clean),
    )


def _cut(flagged: float, poisoned: float, many: float, clean: float) -> Cut:
    precision = poisoned / flagged if flagged else None
    return Cut(flagged, poisoned, precision, poisoned / many, (flagged - poisoned) / clean)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _share(value: Any, maybe: bool = False) -> Any:
    if value is None and maybe:
        return None
    if _number(value) <= 1:
        return value
    raise ValueError(f"{value!r:.40} is no share")


def _number(value: Any) -> Any:
    if numbers.is_real(value) and value >= 0:
        return value
    raise ValueError(f"{value!r:.40} is no share or count")
