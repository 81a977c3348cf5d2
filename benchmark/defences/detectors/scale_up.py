"""SCALE-UP (Guo et al. 2023): whose predicted class survives its pixels being multiplied, is suspicious."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.core.errors import Usage

FACTORS = (3, 5, 7, 9, 11)
LEAST = 10
"""Clean rows that a class needs for a mean and a standard deviation of its own."""


def scaled(images: np.ndarray, factor: int) -> np.ndarray:
    """Multiply images (…) uint8 by a whole number and cut them to 255: exactly what is displayed of them, uint8."""
    return np.minimum(images.astype(np.uint16) * factor, 255).astype(np.uint8)


def scaled_classes(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, factors: tuple[int, ...]
) -> np.ndarray:
    """Return the predicted class of each image (n, H, W, C) uint8 under each factor, (n, factors) int64."""
    found = [np.asarray(predict(scaled(images, factor))).argmax(axis=1) for factor in factors]
    return np.stack(found, axis=1).astype(np.int64)


def consistency(classes: np.ndarray, under_factors: np.ndarray) -> np.ndarray:
    """Return the share of factors under which an image's class (n,) stays what it is, (n,) float64: the paper's SPC.

    `under_factors` (n, factors) are the classes of its scaled copies.
    """
    return np.asarray((under_factors == classes[:, None]).mean(axis=1))


@dataclass(frozen=True)
class Usual:
    """Mean and standard deviation of the clean rows' consistency, per class; `shared`: the classes that had too few
    clean rows of their own, or all alike, and take those of all clean rows."""

    mean: np.ndarray
    deviation: np.ndarray
    shared: tuple[int, ...]

    def standardised(self, values: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return how many standard deviations each value (n,) lies above the mean of its class."""
        return np.asarray((values - self.mean[classes]) / self.deviation[classes])


def usual(values: np.ndarray, classes: np.ndarray, count: int, least: int | None = LEAST) -> Usual:
    """Measure the clean rows' consistency (m,) by their class (m,) of `count`, as the paper has it.

    `least` is how many rows a class needs; with None all classes share one mean, as in the published code. Standard
    deviations divide by m − 1. `ValueError` where all rows are alike, so that nothing can be compared with them.
    """
    if len(values) < 2 or values.std(ddof=1) == 0:
        raise ValueError("all clean rows are equally consistent")
    mean, deviation = np.full(count, values.mean()), np.full(count, values.std(ddof=1))
    shared = []
    for label in range(count):
        own = values[classes == label]
        if least is None or len(own) < least or own.std(ddof=1) == 0:
            shared.append(label)
        else:
            mean[label], deviation[label] = own.mean(), own.std(ddof=1)
    return Usual(mean, deviation, tuple(shared))


def parse_factors(text: str) -> str:
    """Parse ``3,5,7`` to one spelling. `Usage` where one is no whole number from 2 to 255, or there is none."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(2 <= number <= 255 for number in numbers):
        raise Usage(f"factors: expected whole numbers from 2 to 255, as 3,5,7,9,11, got {text!r:.60}")
    return ",".join(str(number) for number in dict.fromkeys(numbers))
