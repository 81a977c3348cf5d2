"""Scores, as counts: BA and ASR in percent are only ever derived from them.

`Scores` is what a network is scored with everywhere; `json` and `of` are its form in result.json.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Json = dict[str, Any]


@dataclass(frozen=True)
class Share:
    """`count` out of a total, `of`."""

    count: int
    of: int

    @property
    def percent(self) -> float | None:
        """The count in percent of the total; None of nothing."""
        return 100.0 * self.count / self.of if self.of else None

    @classmethod
    def where(cls, true: np.ndarray) -> "Share":
        """Count the rows where something holds, (n,) bool."""
        return cls(int(np.count_nonzero(true)), len(true))

    @classmethod
    def total(cls, shares: Iterable["Share"]) -> "Share":
        """Sum up shares of several totals."""
        shares = list(shares)
        return cls(sum(one.count for one in shares), sum(one.of for one in shares))

    @classmethod
    def maybe(cls, raw: Json | None) -> "Share | None":
        """Return the share that JSON holds, None where there is none."""
        return None if raw is None else cls(raw["count"], raw["of"])

    def json(self) -> Json:
        """Return it as result.json has it."""
        return {"count": self.count, "of": self.of, "percent": self.percent}


@dataclass(frozen=True)
class MostPredicted(Share):
    """How often the most predicted class, `label`, is predicted (the lowest of several)."""

    label: int

    @classmethod
    def among(cls, predicted: np.ndarray) -> "MostPredicted":
        """Count it among predicted classes, (n,) int."""
        classes, counts = np.unique(predicted, return_counts=True)  # (a stranger's may be of any size)
        most = counts.argmax()
        return cls(int(counts[most]), len(predicted), int(classes[most]))

    def json(self) -> Json:
        """Return it as result.json has it."""
        return {"class": self.label} | super().json()


@dataclass(frozen=True)
class Scores:
    """How a network predicts the clean and the triggered test rows; None where there are no such rows, or it was not
    recorded.

    Attributes
    ----------
    ba : Share
        Benign accuracy: clean test rows predicted as their true class.
    asr : Share or None
        Attack success rate: triggered test rows predicted as the attacker wants.
    most_predicted : MostPredicted or None
        The clean test rows predicted as the most predicted class; not recorded before 2026-11-27.
    robust_accuracy : Share or None
        Triggered test rows predicted as their true class.
    asr_by_class : tuple of Share or None
        ASR for each true class, None where no triggered row is of it; empty where it is not known.
    asr_others : Share or None
        Of a source-specific attack: triggered rows of other classes that are predicted as the target.
    target_class : Share or None
        Of an alignment of heads: poisoned rows of the target class that are predicted as such (`heads.evaluate`).
    """

    ba: Share
    asr: Share | None = None
    most_predicted: MostPredicted | None = None
    robust_accuracy: Share | None = None
    asr_by_class: tuple[Share | None, ...] = ()
    asr_others: Share | None = None
    target_class: Share | None = None

    @classmethod
    def of(cls, raw: Json) -> "Scores":
        """Return the scores that JSON holds. KeyError or TypeError where it holds none."""
        most = raw.get("most_predicted")
        return cls(
            ba=Share(raw["ba"]["count"], raw["ba"]["of"]),
            asr=Share.maybe(raw["asr"]),
            most_predicted=None if most is None else MostPredicted(most["count"], most["of"], most["class"]),
            robust_accuracy=Share.maybe(raw.get("still_right")),
            asr_by_class=tuple(map(Share.maybe, raw.get("asr_by_class") or ())),
            asr_others=Share.maybe(raw.get("asr_others")),
            target_class=Share.maybe(raw.get("target_class")),
        )

    def json(self) -> Json:
        """Return them as result.json has them."""
        found: Json = {"ba": self.ba.json(), "asr": None if self.asr is None else self.asr.json()}
        if self.most_predicted is not None:
            found["most_predicted"] = self.most_predicted.json()
        if self.robust_accuracy is not None:
            found["still_right"] = self.robust_accuracy.json()
        if self.asr_by_class:
            found["asr_by_class"] = [None if one is None else one.json() for one in self.asr_by_class]
        for name in ("asr_others", "target_class"):
            if (share := getattr(self, name)) is not None:
                found[name] = share.json()
        return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (n, C) float32 of logits."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def by_class(hit: np.ndarray, labels: np.ndarray, classes: int) -> tuple[Share | None, ...]:
    """Count the rows, (n,) bool, of each true class that are hit; None of a class that none is of."""
    totals = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[hit], minlength=classes)
    return tuple(Share(int(count), int(of)) if of else None for count, of in zip(hits, totals, strict=True))
