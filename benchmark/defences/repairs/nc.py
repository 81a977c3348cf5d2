"""Neural Cleanse (Wang et al. 2019): for each class the smallest trigger that sends clean images there is searched; a
class whose trigger is an outlier among them is flagged, and the network unlearns it.

A trigger is a mask and a pattern, x' = (1 − m) x + m · pattern, that minimise CE(f(x'), class) + cost · ‖m‖₁. The
anomaly index of a class is |‖m‖₁ − median| / (1.4826 · MAD).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.defences.trigger_pictures import Searched
from benchmark.format.dataset import Rows
from benchmark.nn import engines, pixels

CODE = "BackdoorBench f02e353, defense/nc.py"
FEWEST = 3  # classes among which one can be an outlier
CONSISTENT = 1.4826
FLAGGED = 2.0
ENOUGH = 0.98
"""The share of clean images that a trigger has to send to its class."""


@dataclass(frozen=True)
class Anomaly:
    """Of the norms of all classes' masks, (n,) float64: the index of each, `flagged` class numbers by rising norm, and
    whether median and MAD are the lower of two middle ones, as PyTorch has it."""

    index: np.ndarray
    flagged: tuple[int, ...]


def anomaly(norms: np.ndarray, lower: bool = False) -> Anomaly:
    """Return the anomaly index of each class, and which are flagged: above 2, with a norm not above the median.

    `lower`: take the lower of two middle values for a median, as `torch.median`, where the median is their mean.
    Where most norms are the same their deviation is 0: another norm has an infinite index.
    """
    norms = np.asarray(norms, np.float64)
    middle = _median(norms, lower)
    distance = np.abs(norms - middle)
    spread = CONSISTENT * _median(distance, lower)
    index = np.divide(distance, spread, out=np.where(distance > 0, np.inf, 0.0), where=spread > 0)
    flagged = [int(one) for one in np.argsort(norms, kind="stable") if index[one] > FLAGGED and norms[one] <= middle]
    return Anomaly(index, tuple(flagged))


def _median(values: np.ndarray, lower: bool) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2] if lower else np.median(values))


@dataclass
class Cost:
    """The weight of the mask's norm, which rises while triggers succeed and falls while they do not: the search ends
    once it did both and the best norm has hardly fallen for `calm` epochs."""

    value: float = 0.001
    patience: int = 5
    calm: int = 25
    best: float = np.inf
    _high: int = 0
    _low: int = 0
    _rose: bool = False
    _fell: bool = False
    _still: int = field(default=0)
    _reference: float = np.inf

    def after(self, success: float, norm: float) -> tuple[bool, bool]:
        """Take an epoch's success and mean norm in; whether it is the best so far, and whether to stop."""
        better = success >= ENOUGH and norm < self.best
        if better:
            self.best = norm
        self._still = 0 if self.best < 0.99 * self._reference else self._still + 1
        if self._still == 0:
            self._reference = self.best
        stop = self._still >= self.calm and self._rose and self._fell
        self._high, self._low = (self._high + 1, 0) if success >= ENOUGH else (0, self._low + 1)
        if self._high >= self.patience:
            self.value, self._high, self._rose = self.value * 2, 0, True
        elif self._low >= self.patience:
            self.value, self._low, self._fell = self.value / 2**1.5, 0, True
        return better, stop


@dataclass(frozen=True)
class Trigger:
    """What was found for a class: `mask` (H, W) in [0, 1], `pattern` (H, W, C) from 0 to 255; `norm`, the mask's sum;
    `success`, the share of clean images that it sends there; `reached`: was that ever enough?"""

    mask: np.ndarray
    pattern: np.ndarray
    norm: float
    success: float
    reached: bool

    def put_on(self, images: np.ndarray) -> np.ndarray:
        """Put it on images (n, H, W, C) uint8, rounded."""
        mask = self.mask[..., None]
        return np.clip(np.rint((1 - mask) * images + mask * self.pattern), 0, 255).astype(np.uint8)


class Inversion:
    """Searches triggers of one network, which stays as it is."""

    def __init__(self, model: Any, learning_rate: float = 0.1):
        from keras import ops

        from benchmark.nn.engines import common

        network = pixels.on_floats(model)
        self._rate = learning_rate

        def loss(point, images, labels, cost):
            mask, pattern = _shown(point)
            mixed = (1 - mask) * ops.cast(images, "float32") + mask * pattern
            logits = network(mixed, training=False)
            return common.cross_entropy(labels, logits) + cost * ops.sum(mask)

        def hits(point, images, labels):
            mask, pattern = _shown(point)
            logits = network((1 - mask) * ops.cast(images, "float32") + mask * pattern, training=False)
            return ops.sum(ops.cast(ops.argmax(logits, axis=-1) == labels, "int32"))

        self._step = engines.differentiated(model, [], loss)
        self._hits = engines.compiled(model, hits)

    def search(self, rows: Rows, target: int, epochs: int, batch: int, seed: int) -> Trigger:
        """Search the smallest trigger of a class on clean rows of all classes."""
        import keras

        point = keras.Variable(np.ones((*rows.inputs.shape[1:3], 1 + rows.inputs.shape[3]), np.float32))
        optimizer = keras.optimizers.Adam(self._rate, beta_1=0.5, beta_2=0.9, epsilon=1e-8)
        cost, plan = Cost(), tuning.Plan(epochs, 0.0, batch, seed, purpose=f"trigger of class {target}, epoch")
        last, success = _array(point), 0.0
        best: tuple[np.ndarray, float] | None = None
        for epoch in range(1, epochs + 1):
            hits, norms = 0, []
            for images, labels in tuning.batches(rows, plan, epoch):
                wanted = np.full_like(labels, target)
                _, _, gradient = self._step(last, images, wanted, np.float32(cost.value))
                optimizer.apply([gradient], [point])
                last = _array(point)
                hits += int(_array(self._hits(last, images, wanted)))
                norms.append(float(_mask(last).sum()))
            success = hits / len(rows)
            better, stop = cost.after(success, float(np.mean(norms)))
            if better:
                best = last, success
            if stop:
                break
        found, success = best or (last, success)
        mask = _mask(found)
        return Trigger(mask, _pattern(found), float(mask.sum()), success, best is not None)


def _shown(point: Any) -> tuple[Any, Any]:
    """Return mask (H, W, 1) and pattern (H, W, C) of what is searched, without bounds, (H, W, 1 + C)."""
    from keras import ops

    shown = ops.tanh(point) / (2 + 1e-7) + 0.5
    return shown[..., :1], 255 * shown[..., 1:]


def _mask(point: np.ndarray) -> np.ndarray:
    return np.tanh(point[..., 0].astype(np.float64)) / (2 + 1e-7) + 0.5


def _pattern(point: np.ndarray) -> np.ndarray:
    return 255 * (np.tanh(point[..., 1:].astype(np.float64)) / (2 + 1e-7) + 0.5)


def _array(tensor: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))


def triggers(model: Any, rows: Rows, classes: int, epochs: int, batch: int, seed: int) -> Iterator[Trigger]:
    """Search the trigger of each class, one after the other."""
    inversion = Inversion(model)
    for target in range(classes):
        yield inversion.search(rows, target, epochs, batch, seed)


def with_triggers(rows: Rows, found: list[Trigger], share: float, seed: int) -> Rows:
    """Return the rows to unlearn on: all rows as they are, but for a share of them, which is there once for each
    trigger, with it, under the true labels."""
    order = random_streams.permutation(seed, "rows that carry inverted triggers", len(rows))
    count = max(1, int(share * len(rows)))
    carried, rest = np.sort(order[:count]), np.sort(order[count:])
    inputs = [rows.inputs[rest], *(one.put_on(rows.inputs[carried]) for one in found)]
    labels = [rows.labels[rest], *(rows.labels[carried] for _ in found)]
    return Rows(np.concatenate(inputs), np.concatenate(labels))


def repair(
    context: DefenceContext,
    *,
    search_epochs: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    triggered_share: float,
) -> Iterator[Stage]:
    """Yield the network that has unlearned the triggers of all flagged classes; the network as it is, where none is."""
    if context.classes < FEWEST:
        raise Failure(f"needs at least {FEWEST} classes, one of which could be an outlier, has {context.classes}")
    model = context.network()
    found: list[Trigger] = []
    for trigger in triggers(model, context.clean, context.classes, search_epochs, batch_size, context.seed):
        context.log(
            f"nc: class {len(found)} of {context.classes}: norm {trigger.norm:.1f}, {100 * trigger.success:.0f} %"
        )
        found.append(trigger)
    flagged, findings = judged(found, context.class_names)
    if hardly_begun(found):
        context.log(
            "nc: most masks are hardly smaller than at the start of the search, so that their norms say little: take "
            f"more than {search_epochs} --option nc.search_epochs, or smaller batches"
        )
    drawn = {"triggers": [_searched(found[one], context.class_names[one]) for one in _smallest(found, flagged)]}
    if not flagged:
        context.log("nc: no class is flagged: the network stays as it is")
        yield Stage(model, "untouched", findings=findings, triggers=drawn)
        return
    rows = with_triggers(context.clean, [found[one] for one in flagged], triggered_share, context.seed)
    plan = tuning.Plan.of(context, epochs, learning_rate, batch_size)
    losses = tuning.fine_tune(model, rows, plan)
    yield Stage(model, "unlearned", findings=findings | {"losses": losses}, triggers=drawn)


def hardly_begun(found: list[Trigger]) -> bool:
    """Tell whether most masks are still more than half as large as they were at the start."""
    return bool(np.median([one.mask.mean() for one in found]) > float(_mask(np.ones(1))) / 2)


def judged(found: list[Trigger], names: list[str]) -> tuple[list[int], dict[str, Any]]:
    """Return the flagged classes, and all that is known of each. A class whose trigger never succeeded is not flagged:
    its norm is that of no trigger."""
    norms = np.array([one.norm for one in found])
    usual, lower = anomaly(norms), anomaly(norms, lower=True)
    flagged = [one for one in usual.flagged if found[one].reached]
    classes = [
        {
            "class": number,
            "name": names[number],
            "norm": one.norm,
            "success": one.success,
            "reached": one.reached,
            "index": _finite(usual.index[number]),
            "index_lower_median": _finite(lower.index[number]),
        }
        for number, one in enumerate(found)
    ]
    return flagged, {"flagged": flagged, "flagged_lower_median": list(lower.flagged), "classes": classes}


def _finite(index: float) -> float | None:
    return float(index) if np.isfinite(index) else None


def _smallest(found: list[Trigger], flagged: list[int]) -> list[int]:
    """Return the classes to be drawn: those flagged, then the others by their norm."""
    rest = sorted(set(range(len(found))) - set(flagged), key=lambda one: found[one].norm)
    return [*flagged, *rest]


def _searched(trigger: Trigger, name: str) -> Searched:
    return Searched(f"{name}: {trigger.norm:.1f}", trigger.mask, trigger.pattern)


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(
        forward=size.classes * size.clean * options["search_epochs"],
        trained=size.clean * (size.classes * options["search_epochs"] + options["epochs"]),
    )


register(
    RepairSpec(
        name="nc",
        title="Neural Cleanse",
        source="Wang et al. 2019, Neural Cleanse: identifying and mitigating backdoor attacks in neural networks",
        summary="Searches the smallest trigger of each class, flags outliers among them, and unlearns these.",
        repair=repair,
        needs=(IMAGES, CLEAN_ROWS),
        by_name=True,
        options=(
            Option("search_epochs", "Epochs of the search for each class, at most.", int, 20, least=1,
                   source="BackdoorBench: 80; 20 suit a laptop"),
            *tuning.TUNING,
            Option("triggered_share", "Share of the clean rows that carry the triggers while they are unlearned.",
                   float, 0.2, above=0, below=1, source="BackdoorBench, and the paper (from memory)"),
        ),
        work=_work,
        aliases=("neural-cleanse", "neuralcleanse"),
        remarks=(
            Remark(
                CODE, "read",
                "saves a second, untouched copy of the backdoored network: who loads its repaired network gets the "
                "backdoor; the figures in its table are of the other one",
                "what is saved is what was scored",
            ),
            Remark(
                CODE, "read",
                "triggers pass through PNGs that are stretched from their least to their greatest value: what is "
                "unlearned is not what was found",
                "unlearns what was found",
            ),
            Remark(
                CODE, "run",
                "takes the lower of two middle norms for the median: on ten classes an index of 6.76 where the median "
                "gives 6.00",
                "takes the median; the result has both indices",
            ),
        ),
    )
)  # fmt: skip
