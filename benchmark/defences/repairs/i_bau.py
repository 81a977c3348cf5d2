"""I-BAU (Zeng et al. 2022): the network unlearns a universal perturbation that is searched anew in each round, by the
gradient of its loss in which the perturbation follows the weights (the implicit hypergradient).

The search climbs from zero: one pass of steps along −CE(f(x + v), argmax f(x)) + λ‖v‖². A step of unlearning has the
loss of clean rows, a few of which carry v. How v would move with the weights comes of the fixed point of the map v ← v
− η ∇_v inner, by K steps of v_s ← Jᵀ v_s + ∂outer/∂v.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.format.dataset import Rows
from benchmark.nn import engines, pixels

CODE = "BackdoorBench f02e353, defense/i-bau.py"
PENALTY = 0.001
"""λ, of the perturbation's square."""


@dataclass(frozen=True)
class Unlearning:
    """How a network unlearns: `rounds`; `search_rate` of the search; `map_rate`, η, and `fixed_point`, K, of the
    hypergradient; `share` of a batch's rows that carry the perturbation; Adam's `learning_rate`."""

    rounds: int = 5
    batch_size: int = 256
    search_rate: float = 10.0
    map_rate: float = 0.1
    fixed_point: int = 5
    share: float = 0.01
    learning_rate: float = 1e-4
    seed: int = 0


class Losses:
    """The losses of one network, compiled: all in evaluation mode, the perturbation (H, W, C) in units of the network's
    own scaled inputs (`unit` grey levels each, see `nn.pixels.unit`)."""

    def __init__(self, model: Any, plan: Unlearning, unit: np.ndarray | None = None):
        from keras import ops

        from benchmark.nn.engines import common

        network = pixels.on_floats(model)
        unit = pixels.unit(model) if unit is None else unit
        self.weights = model.trainable_variables
        self._plan = plan

        def logits(images, perturbation):
            return network(ops.cast(images, "float32") + perturbation * unit, training=False)

        def inner(perturbation, images, labels):
            found = common.cross_entropy(labels, logits(images, perturbation))
            return PENALTY * ops.sum(ops.square(perturbation)) - found

        def outer(perturbation, images, labels, carried):
            return common.cross_entropy(labels, logits(images, carried[:, None, None, None] * perturbation))

        self.inner = engines.differentiated(model, [], inner)
        self.outer = engines.differentiated(model, self.weights, outer)
        self._by_perturbation = engines.second_order(model, [], inner)
        self._by_weights = engines.second_order(model, self.weights, inner)

    def hypergradient(
        self,
        perturbation: np.ndarray,
        batch: tuple[np.ndarray, np.ndarray],
        carried: np.ndarray,
        first: tuple[np.ndarray, np.ndarray],
    ) -> list[Any]:
        """Return the gradient of the outer loss of a batch by the weights, the perturbation moving with them.

        `carried` (n,) float32: 1 for the rows that carry it; `first`: the batch of the inner loss.
        """
        _, direct, by_perturbation = self.outer(perturbation, *batch, carried)
        wanted, rate = _array(by_perturbation), np.float32(self._plan.map_rate)
        direction = np.zeros_like(wanted)
        for _ in range(self._plan.fixed_point):
            _, turned = self._by_perturbation(perturbation, direction, *first)
            direction = direction - rate * _array(turned) + wanted
        implicit, _ = self._by_weights(perturbation, direction, *first)
        return [a - rate * b for a, b in zip(direct, implicit, strict=True)]


def _array(tensor: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor), np.float32)


def search(losses: Losses, batches: list[tuple[np.ndarray, np.ndarray]], predicted: list[np.ndarray], rate: float):
    """Search a universal perturbation from zero: a step for each batch, away from what the network says of the clean
    images. (H, W, C) float32."""
    perturbation = np.zeros(batches[0][0].shape[1:], np.float32)
    for (images, _), said in zip(batches, predicted, strict=True):
        _, _, gradient = losses.inner(perturbation, images, said)
        perturbation = perturbation - np.float32(rate) * _array(gradient)
    return perturbation


def carriers(count: int, share: float, seed: int, purpose: str) -> np.ndarray:
    """Choose the rows of a batch that carry the perturbation, at least one: (count,) float32 of 0 and 1."""
    chosen = np.zeros(count, np.float32)
    chosen[random_streams.permutation(seed, purpose, count)[: max(1, int(share * count))]] = 1
    return chosen


def unlearn(model: Any, rows: Rows, plan: Unlearning, log: Callable[[str], None] = lambda line: None) -> list[float]:
    """Have a network unlearn on clean rows, in place; the perturbation's norm in each round."""
    import keras

    losses = Losses(model, plan)
    optimizer = keras.optimizers.Adam(plan.learning_rate, amsgrad=True, epsilon=1e-8)
    engine = engines.engine(model, 0.0)
    order = tuning.Plan(plan.rounds, 0.0, plan.batch_size, plan.seed, purpose="i-bau round")
    norms = []
    for number in range(1, plan.rounds + 1):
        batches = list(tuning.batches(rows, order, number))
        predicted = [engine.predict(images).astype(np.int32) for images, _ in batches]
        perturbation = search(losses, batches, predicted, plan.search_rate)
        norms.append(tuning.finite(float(np.linalg.norm(perturbation)), f"the search of round {number}"))
        log(f"i-bau: round {number} of {plan.rounds}, norm of the perturbation {norms[-1]:.2f}")
        for place, batch in enumerate(batches):
            carried = carriers(len(batch[1]), plan.share, plan.seed, f"i-bau carriers {number} {place}")
            gradient = losses.hypergradient(perturbation, batch, carried, batches[0])
            optimizer.apply(gradient, losses.weights)
    return norms


def repair(
    context: DefenceContext,
    *,
    rounds: int,
    batch_size: int,
    search_rate: float,
    fixed_point: int,
    share: float,
    learning_rate: float,
) -> Iterator[Stage]:
    """Yield the network that has unlearned on all clean rows."""
    model = context.network()
    plan = Unlearning(
        rounds, batch_size, search_rate, fixed_point=fixed_point, share=share, learning_rate=learning_rate,
        seed=context.seed,
    )  # fmt: skip
    norms = unlearn(model, context.clean, plan, context.log)
    yield Stage(model, "unlearned", findings={"norms": norms})


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    by_row = 2 + 2.5 * (options["fixed_point"] + 1)
    return Work(trained=by_row * size.clean * options["rounds"])


register(
    RepairSpec(
        name="i-bau",
        title="I-BAU",
        source="Zeng et al. 2022, Adversarial unlearning of backdoors via implicit hypergradient",
        summary="Unlearns a universal perturbation that is searched anew in each round.",
        repair=repair,
        needs=(IMAGES, CLEAN_ROWS),
        options=(
            Option("rounds", "Rounds of search and unlearning.", int, 5, least=1, source="BackdoorBench"),
            Option("batch_size", "Rows of a step.", int, 256, least=1, source="BackdoorBench"),
            Option("search_rate", "Learning rate of the search.", float, 10.0, above=0, source="BackdoorBench"),
            Option("fixed_point", "Steps of the fixed point in which the perturbation follows the weights.", int, 5,
                   least=1, source="BackdoorBench"),
            Option("share", "Share of a step's rows that carry the perturbation; at least one does.", float, 0.01,
                   above=0, most=1, source="BackdoorBench"),
            Option("learning_rate", "Adam's.", float, 1e-4, above=0, source="BackdoorBench"),
        ),
        work=_work,
        aliases=("ibau",),
        remarks=(
            Remark(
                CODE, "read",
                "the perturbation is neither kept within the range of images nor within its ball: both lines are "
                "commented out; its size is what the penalty and the steps make of it",
                "the same, and the perturbation's norm in each round is in the result",
            ),
            Remark(
                CODE, "read",
                "the perturbation, its learning rate and its penalty are in units of normalised images",
                "they are in units of the network's own scaled inputs: of normalised images where the network "
                "normalises, else from 0 to 1",
            ),
        ),
    )
)  # fmt: skip
