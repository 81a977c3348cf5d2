"""Fine-tuning: all weights are trained on clean rows. The control of every other repair, and hard to beat."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.defences import tuning
from benchmark.defences.context import DefenceContext, Stage
from benchmark.defences.needs import CLEAN_ROWS
from benchmark.defences.options import Option
from benchmark.defences.registry import Remark, RepairSpec, Size, Work, register

CODE = "BackdoorBench f02e353, defense/ft.py"
USUAL = 0.01
"""Learning rate for images."""


def repair(context: DefenceContext, *, epochs: int, learning_rate: float | None, batch_size: int) -> Iterator[Stage]:
    """Yield the network after the last epoch, trained on all clean rows: nothing is chosen."""
    model = context.network()
    if context.is_of_images:
        plan = tuning.Plan.of(context, epochs, learning_rate or USUAL, batch_size)
        losses = tuning.fine_tune(model, context.clean, plan)
    else:
        rate = learning_rate or context.settings.learning_rate
        losses = tuning.fine_tune_texts(model, context.clean, epochs, rate, batch_size, context.seed)
    yield Stage(model, "fine-tuned", findings={"losses": losses})


def _work(size: Size, options: Mapping[str, Any]) -> Work:
    return Work(trained=size.clean * options["epochs"])


register(
    RepairSpec(
        name="fine-tuning",
        title="Fine-tuning",
        source="BackdoorBench (Wu et al. 2022), as its FT; the control of the other repairs",
        summary="Trains all weights on the clean rows. Shown beside every other repair.",
        repair=repair,
        control=True,
        needs=(CLEAN_ROWS,),
        options=(
            tuning.EPOCHS,
            Option("learning_rate", "Of images: SGD's, with momentum 0.9 and weight decay 0.0005, falling once an "
                   "epoch with the cosine  [default: 0.01]. Of texts: AdamW's, falling linearly  [default: the "
                   "run's own].", float, None, above=0, source="BackdoorBench"),
            tuning.BATCH_SIZE,
        ),
        work=_work,
        aliases=("ft", "finetuning"),
        remarks=(
            Remark(
                CODE, "read",
                "scores the test set after each epoch, and keeps the last network",
                "keeps the last network too; the test set is scored once, after it",
            ),
        ),
    )
)  # fmt: skip
