"""The detector: similarities of any texts in, scores and figures out. It reads no file and no network."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.analysis.heads import anomaly, roc
from benchmark.analysis.heads.anomaly import Reference
from benchmark.core import fractions

SCORES = {
    "mahalanobis": "Mahalanobis",
    "max_z": "max |z|",
    "mean_z": "mean over all heads",
    "second_pass": "second pass",
}
"""The scores of a row, and their titles. `mean_z` is the paper's claim as it stands: high where triggered."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """What decides the detector: `metric` and `map` of the similarity, the least length of a text in words, how many
    `heads` are contaminated or the `threshold` of their |median z|, how many `rows` of the suspect file are ranked
    (None: all), and the share of them that each pass flags."""

    metric: str = "cosine"
    map: str = "row"
    min_words: int = 5
    heads: int = 8
    threshold: float | None = None
    rows: int | None = None
    flag: str = "0.03"

    def json(self) -> dict[str, Any]:
        """Return them as a result has them."""
        return asdict(self)


@dataclass(frozen=True)
class Detector:
    """The reference statistics, and the contaminated `heads`, (k,) int: flat numbers layer · H + head."""

    reference: Reference
    heads: np.ndarray

    def scores(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Compute all of SCORES for standardised rows (n, F); the second pass only where heads are contaminated."""
        scores = {
            "mahalanobis": self.reference.mahalanobis(z),
            "max_z": anomaly.greatest(z),
            "mean_z": z.mean(1),
        }
        return scores | ({"second_pass": anomaly.over_heads(z, self.heads)} if len(self.heads) else {})


@dataclass(frozen=True)
class Measured:
    """Some texts as the detector sees them: similarities `values` and standardised `z`, (n, F) each; scores by name."""

    values: np.ndarray
    z: np.ndarray
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.z)

    def of(self, rows: np.ndarray) -> "Measured":
        """Select some of them, by row numbers or a mask."""
        return Measured(self.values[rows], self.z[rows], {name: score[rows] for name, score in self.scores.items()})


def halved(count: int, shape: tuple[int, int], asked: int) -> str:
    """Describe that only half of the heads, `count`, are treated as contaminated, since more were asked for."""
    return f"{count} heads are called contaminated, not {asked}: half of the network's {shape[0] * shape[1]}"


def find(
    values: np.ndarray, lengths: np.ndarray, reference: Reference, share: str, choose
) -> tuple[Detector, Measured]:
    """Run both passes over suspect rows.

    Parameters
    ----------
    values, lengths : (n, F) float, (n,) int
        Their similarities, and their tokens.
    reference : Reference
        The held-out rows'.
    share : str
        Of the rows, those that the first pass flags: a decimal fraction.
    choose : callable
        The flagged rows' z → the contaminated heads.
    """
    z = reference.standardised(values, lengths)
    flagged = anomaly.first(reference.mahalanobis(z), count_of(share, len(z)))
    detector = Detector(reference, choose(z[flagged]))
    return detector, Measured(values, z, detector.scores(z))


def measured(detector: Detector, values: np.ndarray, lengths: np.ndarray) -> Measured:
    """Measure other rows by the same detector."""
    z = detector.reference.standardised(values, lengths)
    return Measured(values, z, detector.scores(z))


def share_of(text: str) -> str:
    """Parse a share between 0 and 1 to its one spelling, ``0.03``. `Usage` for anything else."""
    return fractions.parse(text, f"--flag: expected a share between 0 and 1, as 0.03 or 3%, got {text!r:.80}")


def count_of(share: str, rows: int) -> int:
    """Return how many rows that share of all is, rounded down and at least 1."""
    return fractions.count(share, rows)


def compared(positive: Measured, negative: Measured, resampled: bool = True) -> dict[str, Any]:
    """Measure how well each score separates the two sets: its figures and, if asked, their bootstrap intervals."""
    result: dict[str, Any] = {"rows": len(positive), "against": len(negative)}
    for name in positive.scores:
        pair = positive.scores[name], negative.scores[name]
        result[name] = roc.figures(*pair) | ({"intervals": roc.intervals(*pair)} if resampled else {})
    return result


def by_head(positive: Measured, negative: Measured, shape: tuple[int, int]) -> dict:
    """Return layers × heads, as nested lists: mean similarity of either set, median z of the positives, AUROC of z."""
    maps = {
        "clean": negative.values.mean(0),
        "triggered": positive.values.mean(0),
        "median_z": np.median(positive.z, axis=0),
        "auroc": roc.by_head(positive.z, negative.z),
    }
    return {name: nested(values, shape) for name, values in maps.items()}


def nested(values: np.ndarray, shape: tuple[int, int]) -> list[list[float]]:
    """Return (F,) as lists, layer by layer, to five decimals."""
    return [[round(float(value), 5) for value in line] for line in np.asarray(values).reshape(shape)]
