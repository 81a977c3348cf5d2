"""FT-SAM (Zhu et al. 2023): fine-tuning on clean rows with sharpness-aware steps, which move the weights of backdoored
neurons, the largest ones, further than plain steps do.

Each step takes its gradient at w + e, e = ρ · w² g / ‖|w| g‖ (adaptive) or ρ · g / ‖g‖, g being the gradient at w.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register
from benchmark.format.dataset import Rows
from benchmark.nn import engines

CODE = "BackdoorBench f02e353, defense/ft-sam.py"
TINY = 1e-12
COSINE, SWINGING = SCHEDULES = ("cosine", "swinging")
PERIOD = 100
"""Steps after which the reference's learning rate turns, whatever the batches and epochs."""


def offsets(rho: float, adaptive: bool) -> Callable[[list, list], list]:
    """Return the function of weights and gradients, two lists, that gives e, a list, over all weights together."""
    from keras import ops

    def function(values, gradients):
        scaled = [ops.abs(w) * g for w, g in zip(values, gradients, strict=True)] if adaptive else gradients
        norm = ops.sqrt(sum(ops.sum(ops.square(one)) for one in scaled)) + TINY
        if adaptive:
            return [rho * ops.square(w) * g / norm for w, g in zip(values, gradients, strict=True)]
        return [rho * g / norm for g in gradients]

    return function


def smoothed_loss(model: Any, smoothing: float) -> Callable[..., Any]:
    """Return the loss of a batch: Kullback and Leibler's divergence of smoothed labels from the predictions.

    The true class has 1 − smoothing, the others share the rest evenly; its gradient is that of the cross-entropy.
    """
    from keras import ops

    from benchmark.nn.engines import common

    network = common.network(model)
    classes = network.output.shape[-1]
    others = smoothing / (classes - 1)
    entropy = -sum(
        share * np.log(share) * count for share, count in ((1 - smoothing, 1), (others, classes - 1)) if share
    )

    def loss(images, labels):
        logits = ops.log_softmax(ops.cast(network(images, training=True), "float32"), axis=-1)
        target = others + (1 - smoothing - others) * ops.one_hot(labels, classes, dtype="float32")
        return -ops.mean(ops.sum(target * logits, axis=-1)) - entropy

    return loss


def swinging(steps: int) -> np.ndarray:
    """Return the factor of the learning rate of each step as the reference has it, (steps,) float64: the cosine goes on
    with each batch instead of each epoch, so that the rate swings between all and nothing every `PERIOD` steps."""
    return (1 + np.cos(np.pi * np.arange(steps) / PERIOD)) / 2


def fine_tune(
    model: Any, rows: Rows, plan: tuning.Plan, rho: float, adaptive: bool, smoothing: float, schedule: str = COSINE
) -> list[float]:
    """Fine-tune a network on rows, in place; the mean loss of each epoch."""
    rates = None if schedule == COSINE else plan.learning_rate * swinging(plan.epochs * plan.steps(len(rows)))
    optimizer = plan.optimizer(len(rows), rates)
    step = engines.stepped(model, optimizer, smoothed_loss(model, smoothing), offsets(rho, adaptive))
    found = []
    for epoch in range(1, plan.epochs + 1):
        losses = [(step(*batch), len(batch[1])) for batch in tuning.batches(rows, plan, epoch)]
        found.append(tuning.finite(tuning.mean_of(losses), f"epoch {epoch}"))
    return found


def repair(
    context: DefenceContext,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    rho: float,
    adaptive: bool,
    smoothing: float,
    schedule: str,
) -> Iterator[Stage]:
    """Yield the network that was fine-tuned on all clean rows."""
    model = context.network()
    plan = tuning.Plan.of(context, epochs, learning_rate, batch_size)
    losses = fine_tune(model, context.clean, plan, rho, adaptive, smoothing, schedule)
    yield Stage(model, "fine-tuned", findings={"losses": losses})


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(trained=2 * size.clean * options["epochs"])


register(
    RepairSpec(
        name="ft-sam",
        title="FT-SAM",
        source="Zhu et al. 2023, Enhancing fine-tuning based backdoor defense with sharpness-aware minimization",
        summary="Fine-tunes on clean rows with sharpness-aware steps, which move the largest weights further.",
        repair=repair,
        needs=(IMAGES, CLEAN_ROWS),
        options=(
            *tuning.TUNING,
            Option("rho", "Size of the displacement at which a step takes its gradient.", float, 2.0, least=0,
                   source="BackdoorBench"),
            Option("adaptive", "Displace each weight in proportion to its own size.", bool, True,
                   source="BackdoorBench"),
            Option("smoothing", "Share of a label that the other classes get.", float, 0.1, least=0, below=1,
                   source="BackdoorBench"),
            Option("schedule", "How the learning rate falls: with the cosine over all epochs, or swinging as in the "
                   "published code.", str, COSINE, choices=SCHEDULES, source="BackdoorBench: swinging"),
        ),
        work=_work,
        aliases=("fine-tuning-sam",),
        remarks=(
            Remark(
                CODE, "run",
                "moves the cosine of the learning rate on with each batch, though its period is given in epochs: the "
                f"rate swings between all and nothing every {PERIOD} batches",
                "lets it fall once over all epochs; --option ft-sam.schedule=swinging does as the code",
            ),
            Remark(
                CODE, "read",
                "chooses its clean rows class by class, where all other methods draw from all: a comparison is of "
                "different rows",
                "gets the same clean rows as every other repair",
            ),
        ),
    )
)  # fmt: skip
