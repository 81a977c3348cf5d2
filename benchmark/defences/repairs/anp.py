"""ANP (Wu & Wang 2021): channels to which a small adversarial noise on their weights does the most harm are taken out.

Each channel of a batch normalisation has a mask m in [0, 1], its weight γ and its bias β a noise δ and ξ. In turn the
noise climbs the loss and the masks descend it, with and without the noise; channels whose mask ends low go.
Transformers have no batch normalisation: there a unit is a hidden one of a block's dense layers, masked behind its
activation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.defences import tuning
from benchmark.format.dataset import Rows
from benchmark.nn import engines, units
from benchmark.nn.units import Units

MOMENTUM = 0.9
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(19))


@dataclass(frozen=True)
class Search:
    """How masks are searched: `steps` of `batch` rows drawn with replacement; `epsilon`: size of the noise; `alpha`:
    weight of the loss without noise; `moving`: batch normalisation with its moving statistics, else with the batch's;
    `project`: keep the noise within ±epsilon after its step, where the reference lets it leave."""

    steps: int
    batch: int
    learning_rate: float
    epsilon: float = 0.4
    alpha: float = 0.2
    moving: bool = True
    project: bool = True


class Masks:
    """The search of one network, which stays as it is: `values` (units,) float32 in [0, 1], which `step` moves."""

    def __init__(self, model: Any, of: list[Units], search: Search):
        from benchmark.nn.engines import common

        network = common.network(model)
        training = not search.moving

        def loss(masks, noise, images, labels):
            with units.scope(model, of, masks + noise[0], 1 + noise[1]):
                return common.cross_entropy(labels, network(images, training=training))

        def by_noise(noise, masks, images, labels):
            return loss(masks, noise, images, labels)

        def by_masks(masks, noise, images, labels):
            plain = loss(masks, 0 * noise, images, labels)
            return search.alpha * plain + (1 - search.alpha) * loss(masks, noise, images, labels)

        self.search = search
        self.values = np.ones(units.total(of), np.float32)
        self._buffer = np.zeros_like(self.values)
        self._ascend = engines.differentiated(model, [], by_noise)
        self._descend = engines.differentiated(model, [], by_masks)

    def adversarial(self, noise: np.ndarray, images: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """Take one signed step up the loss from a noise (2, units), δ and ξ: the loss before, the noise after."""
        value, _, gradient = self._ascend(noise, self.values, images, labels)
        noise = noise + np.float32(self.search.epsilon) * np.sign(_array(gradient))
        return float(value), self._within(noise) if self.search.project else noise

    def _within(self, noise: np.ndarray) -> np.ndarray:
        return np.clip(noise, -self.search.epsilon, self.search.epsilon).astype(np.float32)

    def step(self, noise: np.ndarray, images: np.ndarray, labels: np.ndarray) -> float:
        """Move the masks down the loss under this noise; the loss before."""
        value, _, gradient = self._descend(self.values, noise, images, labels)
        self._buffer = np.float32(MOMENTUM) * self._buffer + _array(gradient)
        self.values = np.clip(self.values - np.float32(self.search.learning_rate) * self._buffer, 0, 1)
        return float(value)


def _array(tensor: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor), np.float32)


def search_masks(
    model: Any, of: list[Units], rows: Rows, search: Search, seed: int
) -> Iterator[tuple[int, float, Masks]]:
    """Search masks on clean rows; yield after each step its number from 1, its loss, and the masks so far."""
    masks = Masks(model, of, search)
    for number in range(1, search.steps + 1):
        images, labels = tuning.with_replacement(rows, search.batch, seed, f"anp batch {number}")
        drawn = random_streams.uniform(seed, f"anp noise {number}", 2 * len(masks.values)).reshape(2, -1)
        start = (search.epsilon * (2 * drawn - 1)).astype(np.float32)
        _, noise = masks.adversarial(start, images, labels)
        yield number, masks.step(noise, images, labels), masks


@dataclass(frozen=True)
class Point:
    """What a threshold would do: how many units have a mask at or below it, and the accuracy that is left on held-out
    clean rows."""

    threshold: float
    pruned: int
    accuracy: float


def sweep(
    model: Any, of: list[Units], masks: np.ndarray, judge: Any, thresholds: Sequence[float] = THRESHOLDS
) -> list[Point]:
    """Prune a network, in place, at one threshold after the other, rising, and judge it after each."""
    points: list[Point] = []
    for threshold in thresholds:
        dead = masks <= threshold
        if points and dead.sum() == points[-1].pruned:
            points.append(Point(threshold, points[-1].pruned, points[-1].accuracy))
            continue
        units.prune(of, dead)
        points.append(Point(threshold, int(dead.sum()), judge.accuracy()))
    return points


def largest(points: Sequence[Point], before: float, tolerance: float) -> Point | None:
    """Return the point of the largest threshold that loses at most `tolerance` of the accuracy `before`, None where each
    loses more."""
    return max(
        (one for one in points if one.accuracy >= before - tolerance), key=lambda one: one.threshold, default=None
    )
