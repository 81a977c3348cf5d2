"""ANP (Wu & Wang 2021): channels to which a small adversarial noise on their weights does the most harm are taken out.

Each channel of a batch normalisation has a mask m in [0, 1], its weight γ and its bias β a noise δ and ξ. In turn the
noise climbs the loss and the masks descend it, with and without the noise; channels whose mask ends low go.
Transformers have no batch normalisation: there a unit is a hidden one of a block's dense layers, masked behind its
activation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.analysis.routing import measure
from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.format.dataset import Rows
from benchmark.nn import engines, units
from benchmark.nn.units import Units

CODE = "BackdoorBench f02e353, defense/anp.py"
MOMENTUM = 0.9
AUTO, MOVING, BATCH, EXPERTS = STATISTICS = ("auto", "moving", "batch", "experts")
"""What batch normalisation takes: the moving statistics, the batch's, or the moving ones of experts alone."""
LOADED = 512  # rows of which the load of experts is the mean
REPORTED = 100  # steps between two lines of progress
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(19))


@dataclass(frozen=True)
class Search:
    """How masks are searched: `steps` of `batch` rows drawn with replacement; `epsilon`: size of the noise; `alpha`:
    weight of the loss without noise; `statistics`: what batch normalisation takes, see `STATISTICS`; `project`: keep
    the noise within ±epsilon after its step, where the reference lets it leave."""

    steps: int
    batch: int
    learning_rate: float
    epsilon: float = 0.4
    alpha: float = 0.2
    statistics: str = "moving"
    project: bool = True


class Masks:
    """The search of one network, which stays as it is: `values` (units,) float32 in [0, 1], which `step` moves."""

    def __init__(self, model: Any, of: list[Units], search: Search):
        from benchmark.nn.engines import common

        network = common.network(model)
        training = search.statistics != MOVING
        for one in of if search.statistics == EXPERTS else ():
            one.layer.trainable = len(one.shape) == 1  # what is not trained takes its moving statistics

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
        yield number, tuning.finite(masks.step(noise, images, labels), f"step {number}"), masks


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
    """Return the point of the largest threshold that loses at most `tolerance` of the accuracy `before`; None where all
    of them lose more."""
    return max(
        (one for one in points if one.accuracy >= before - tolerance), key=lambda one: one.threshold, default=None
    )


def repair(
    context: DefenceContext,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    epsilon: float,
    alpha: float,
    project: bool,
    statistics: str,
    threshold: float | None,
    tolerance: float,
    choose_share: float,
) -> Iterator[Stage]:
    """Yield the network without the units whose mask lies at or below a threshold that held-out clean rows choose."""
    learn, choose = tuning.to_choose_by(context, choose_share)
    model = context.network()
    kind, of = units.all_units(model)
    if not of:
        raise Failure("this network has neither batch normalisation nor blocks of a transformer: nothing to mask")
    statistics = _statistics(kind, of) if statistics == AUTO else statistics
    search = Search(steps, batch_size, learning_rate, epsilon, alpha, statistics, project)
    masks = np.ones(units.total(of), np.float32)
    for number, loss, found in search_masks(model, of, learn, search, context.seed):
        masks = found.values
        if number % REPORTED == 0 or number == steps:
            below = f"{int((masks < 1).sum())} of {masks.size} masks below 1"
            context.log(f"anp: step {number} of {steps}, loss {loss:.3f}, {below}")
    before = tuning.Judge(model, choose).accuracy()
    points = sweep(model, of, masks, tuning.Judge(model, choose))
    best = threshold if threshold is not None else getattr(largest(points, before, tolerance), "threshold", None)
    if best is None:
        context.log(
            f"anp: each threshold, {points[0].threshold:g} too, loses more than {100 * tolerance:g} points of accuracy "
            f"on the {counted(len(choose), 'clean row')} to choose by: nothing is pruned; "
            "--option anp.tolerance allows more"
        )
    pruned = context.network()
    again = units.all_units(pruned)[1]
    dead = masks <= best if best is not None else np.zeros(len(masks), bool)
    units.prune(again, dead)
    findings = {
        "units": kind,
        "threshold": best,
        "chosen_on": len(choose),
        "accuracy_before": before,
        "statistics": statistics,
        "pruned": int(dead.sum()),
        "of": len(dead),
        "layers": units.by_part(again, dead),
        "load": load(pruned, choose),
        "points": [asdict(one) for one in points],
    }
    yield Stage(pruned, "pruned", "none" if best is None else f"{best:g}", findings)


def load(model: Any, rows: Rows) -> dict[str, list[float]]:
    """Return the share of an image's patches or tokens that each expert takes, by layer with routing: an expert that
    hardly takes any has had hardly any gradient, and its masks stay 1."""
    from benchmark.nn.layers import PatchMoE

    sparse = [one.name for one in units.vit_blocks(model) if one.experts]
    names = [layer.name for layer in model.layers if isinstance(layer, PatchMoE)] + sparse
    shares = {name: measure.route(model, rows.inputs[:LOADED], name).taken.mean(axis=(0, 1)) for name in names}
    return {name: [round(float(one), 6) for one in share] for name, share in shares.items()}


def _statistics(kind: str, of: list[Units]) -> str:
    """Return what batch normalisation takes by default: the batch's statistics, as in the reference, but of experts,
    whose batches can be of few patches or none, the moving ones. Transformers have none."""
    if kind == units.HIDDEN:
        return MOVING
    return EXPERTS if any(len(one.shape) > 1 for one in of) else BATCH


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(
        forward=len(THRESHOLDS) * options["choose_share"] * size.clean,
        trained=2.7 * options["steps"] * options["batch_size"],
    )


register(
    RepairSpec(
        name="anp",
        title="ANP",
        source="Wu & Wang 2021, Adversarial neuron pruning purifies backdoored deep models",
        summary="Takes out channels to which adversarial noise on their weights does the most harm.",
        repair=repair,
        needs=(IMAGES, CLEAN_ROWS),
        options=(
            Option("steps", "Steps of the search, of rows drawn with replacement.", int, 300, least=1,
                   source="BackdoorBench: 2,000; 300 suit a laptop"),
            Option("learning_rate", "Learning rate of the masks.", float, 0.01, above=0,
                   source="BackdoorBench; the authors' code, from memory: 0.2"),
            tuning.BATCH_SIZE,
            Option("epsilon", "Largest noise.", float, 0.4, least=0, source="BackdoorBench"),
            Option("alpha", "Weight of the loss without noise.", float, 0.2, least=0, most=1, source="BackdoorBench"),
            Option("project", "Keep the noise within its bounds after its step.", bool, True,
                   source="the bounds of the paper; BackdoorBench: no"),
            Option("statistics", "What batch normalisation takes while masks are searched: its moving statistics, the "
                   "batch's, or (experts) the moving ones of experts, whose batches can be of few patches, and the "
                   "batch's of all else; auto: experts where there are some, else batch.", str, AUTO,
                   choices=STATISTICS, source="BackdoorBench: batch"),
            Option("threshold", "Masks up to here are pruned  [default: the largest of 0, 0.05 ... 0.9 within the "
                   "tolerance]", float, None, least=0, most=1, source="paper, from memory: 0.2"),
            Option("tolerance", "Accuracy that a threshold may lose on the rows held out to choose by, a share.", float,
                   0.05, least=0, most=1, source="ours"),
            tuning.HELD,
        ),
        work=_work,
        aliases=("adversarial-neuron-pruning",),
        remarks=(
            Remark(
                CODE, "read",
                "of all thresholds that cost at most 10 % of the test accuracy it keeps the one of the lowest ASR on "
                "the test set; with a fixed threshold in its table, the network that is saved is still that one "
                "(BackdoorBench#35)",
                "takes the largest threshold that clean rows held out to choose by allow; no test row is looked at",
            ),
            Remark(
                CODE, "run",
                "does not project the noise back: started within the bounds it ends within twice the bounds",
                "keeps it within them; --option anp.project=no does as the code",
            ),
            Remark(
                CODE, "read",
                "computes gradients of all weights in each step and lets them add up, though only masks and noise are "
                "stepped",
                "computes those of masks and noise alone",
            ),
            Remark(
                CODE, "read",
                "rounds the masks to four decimals, by way of a text file",
                "prunes by the masks themselves",
            ),
            Remark(
                CODE, "read",
                "searches masks under the statistics of each batch",
                "the same, but of experts, of which a batch can have few patches or none, under the moving statistics",
            ),
            Remark(
                CODE, "read",
                "on a transformer it masks the features of layer normalisations, each of which is the whole residual "
                "stream's",
                "masks the hidden units of the blocks' dense layers behind their activation",
            ),
        ),
    )
)  # fmt: skip
