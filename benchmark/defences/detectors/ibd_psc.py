"""IBD-PSC (Hou et al. 2024): whose prediction stays sure while the last batch normalisations are amplified, is
suspicious."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Amplified:
    """Which networks are asked: `counts`, how many of the last batch normalisations are amplified in each; `errors`
    (L,), the share of clean rows that is wrong with the last 1 … L amplified; `reached`: whether one exceeds ξ."""

    counts: tuple[int, ...]
    errors: np.ndarray
    reached: bool


def choose(errors: np.ndarray, xi: float, models: int) -> Amplified:
    """Choose the networks: from the smallest k whose error exceeds ξ, those with k, k + 1, … k + models − 1 amplified.

    Where no error exceeds ξ the k of the largest one is taken, the smallest such; there are fewer networks where k +
    models − 1 goes beyond the layers (the paper does not say what then; its code repeats the last network, or stops).

    Parameters
    ----------
    errors : (L,) float
        Share of clean rows classified wrongly with the last 1, 2, … L batch normalisations amplified.
    """
    over = np.flatnonzero(np.asarray(errors) > xi)
    first = int(over[0] if len(over) else np.argmax(errors)) + 1
    counts = tuple(range(first, min(first + models, len(errors) + 1)))
    return Amplified(counts, np.asarray(errors), bool(len(over)))


def errors_of(
    predict: Callable[[int, np.ndarray], np.ndarray], images: np.ndarray, labels: np.ndarray, layers: int
) -> np.ndarray:
    """Return the share of clean rows (m,) that is wrong with the last 1 … L layers amplified, (L,) float64.

    `predict(count, images)` gives the probabilities of the network whose last `count` layers are amplified.
    """
    wrong = [predict(count, images).argmax(axis=1) != labels for count in range(1, layers + 1)]
    return np.asarray([one.mean() for one in wrong])


def probabilities_of(
    predict: Callable[[int, np.ndarray], np.ndarray], images: np.ndarray, classes: np.ndarray, counts: tuple[int, ...]
) -> np.ndarray:
    """Return the probability that each amplified network gives to the original prediction (n,), (n, networks)."""
    own = np.arange(len(images))
    return np.stack([predict(count, images)[own, classes] for count in counts], axis=1)
