"""Training on the rows of a defender, as several repairs do it: fine-tuning, and the batches of losses of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.defences.context import DefenceContext
from benchmark.defences.options import Option
from benchmark.format.dataset import Rows
from benchmark.nn import augmentation, engines, tokenizers
from benchmark.training import loop
from benchmark.training.common import Common
from benchmark.training.settings import ImageSettings
from benchmark.training.table import NO_FLIP
from benchmark.training.texts import length_batches

EPOCHS = Option("epochs", "Epochs of fine-tuning on the clean rows; the last network is kept.", int, 10, least=1,
                source="BackdoorBench: 100; 10 suit a laptop")  # fmt: skip
LEARNING_RATE = Option("learning_rate", "Learning rate of SGD with momentum 0.9 and weight decay 0.0005, which falls "
                       "once an epoch with the cosine.", float, 0.01, above=0, source="BackdoorBench")  # fmt: skip
BATCH_SIZE = Option("batch_size", "Rows of a step.", int, 128, least=1, source="BackdoorBench: 256")
TUNING = (EPOCHS, LEARNING_RATE, BATCH_SIZE)
"""Options of every repair that fine-tunes."""
HELD = Option("choose_share", "Share of the clean rows that is not learned from, to choose by.", float, 0.2, above=0,
              below=1, source="ours: nothing is chosen by test rows")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """SGD with momentum and weight decay, its learning rate falling once an epoch with the cosine; batches of the run's
    own augmentation. `purpose` names the order of the rows; `seed` is the run's."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    momentum: float = 0.9
    weight_decay: float = 5e-4
    crop_padding: int = 0
    flip: bool = False
    rotation: int = 0
    purpose: str = "fine-tuning epoch"

    @classmethod
    def of(cls, context: DefenceContext, epochs: int, learning_rate: float, batch_size: int) -> "Plan":
        """Return the plan for a run's network on images, augmented as in its training."""
        return cls.augmented_as(context.settings, epochs, learning_rate, batch_size)

    @classmethod
    def augmented_as(cls, training: Common, epochs: int, learning_rate: float, batch_size: int) -> "Plan":
        """Return the same for a network on images that was trained with some settings."""
        assert isinstance(training, ImageSettings)
        return cls(
            epochs,
            learning_rate,
            batch_size,
            training.seed,
            crop_padding=training.crop_padding,
            flip=training.flip != NO_FLIP,
            rotation=training.rotation,
        )

    def steps(self, rows: int) -> int:
        """Return the steps of an epoch of that many rows."""
        return -(-rows // min(self.batch_size, rows))

    def optimizer(self, rows: int, rates: np.ndarray | None = None) -> Any:
        """Return Keras' optimizer for that many rows; `rates`: other learning rates of its steps."""
        from benchmark.nn import optimizers

        if rates is None:
            rates = np.repeat(self.learning_rate * cosine(self.epochs), self.steps(rows))
        return optimizers.TorchSGD(optimizers.Rates(rates), self.momentum, self.weight_decay)

    def draws(self, rows: int, epoch: int) -> np.ndarray | None:
        """Return how each row is augmented in an epoch (from 1); None where none is."""
        if not (self.crop_padding or self.flip or self.rotation):
            return None
        return augmentation.draws(self.seed, epoch, rows, self.crop_padding, self.flip, self.rotation)

    def blocks(self, rows: int, epoch: int, steps: int) -> Iterator[tuple[np.ndarray, None, np.ndarray | None]]:
        """Yield an epoch (from 1) over that many rows as arguments of `Engine.train`, at most `steps` steps at once."""
        order, drawn = loop.epoch_rows(np.arange(rows), self.seed, epoch, self.purpose), self.draws(rows, epoch)
        for block in loop.blocks(order, self.batch_size, steps):
            yield block, None, None if drawn is None else drawn[block]


def cosine(length: int) -> np.ndarray:
    """Return ½(1 + cos πk/T) for k from 0 to T − 1, (T,) float64: PyTorch's CosineAnnealingLR over its T_max."""
    return (1 + np.cos(np.pi * np.arange(length) / length)) / 2


def finite(loss: float, where: str) -> float:
    """Return a loss. `Failure` where it is no longer a finite number."""
    if not np.isfinite(loss):
        raise Failure(f"the loss is {loss} in {where}: try a smaller learning rate, with --option learning_rate=…")
    return loss


def fine_tune(model: Any, rows: Rows, plan: Plan) -> list[float]:
    """Train a whole network on rows, in place; return the mean loss of each epoch."""
    engine = engines.engine(model, plan.optimizer(len(rows)), rows.inputs, rows.labels)
    losses = []
    for epoch in range(1, plan.epochs + 1):
        loss = loop.train_blocks(engine, plan.blocks(len(rows), epoch, engine.steps), lambda count: None)
        losses.append(finite(loss, f"epoch {epoch}"))
    return losses


def fine_tune_texts(
    model: Any, rows: Rows, epochs: int, learning_rate: float, batch_size: int, seed: int
) -> list[float]:
    """Train a text encoder on rows as training does it (AdamW, batches of like length), in place; the mean loss of each
    epoch."""
    from benchmark.nn.engines import common

    tokens: Any = rows.inputs
    optimizer = common.adamw(model, learning_rate, epochs * -(-len(rows) // batch_size))
    engine = engines.engine(model, optimizer, tokens, rows.labels)
    losses = []
    for epoch in range(1, epochs + 1):
        found = length_batches(np.arange(len(rows)), tokens.lengths, batch_size, seed, epoch)
        blocks = ((one[None].astype(np.int32), tokenizers.width(tokens.lengths[one].max())) for one in found)
        losses.append(finite(loop.train_blocks(engine, blocks, lambda count: None), f"epoch {epoch}"))
    return losses


def batches(rows: Rows, plan: Plan, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield an epoch's batches as they are trained: augmented images (b, H, W, C) uint8, labels (b,) int32."""
    from benchmark.nn.engines import common

    drawn = plan.draws(len(rows), epoch)
    for block in loop.blocks(loop.epoch_rows(np.arange(len(rows)), plan.seed, epoch, plan.purpose), plan.batch_size, 1):
        images = rows.inputs[block[0]]
        if drawn is not None:
            images = np.asarray(_numpy(common.batch_of(images, drawn[block[0]])))
        yield images, rows.labels[block[0]].astype(np.int32)


def mean_of(losses: list[tuple[Any, int]]) -> float:
    """Return the mean loss over the rows of batches, of each its loss and its number of rows."""
    total = sum(float(_numpy(loss)) * count for loss, count in losses)
    return total / sum(count for _, count in losses)


def with_replacement(rows: Rows, size: int, seed: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of rows drawn with replacement: images, labels (size,) int32."""
    chosen = (random_streams.uniform(seed, purpose, size) * len(rows)).astype(np.int64)
    return rows.inputs[chosen], rows.labels[chosen].astype(np.int32)


def _numpy(tensor: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))


class Judge:
    """Tells how a network does on held-out clean rows, again and again while it changes."""

    def __init__(self, model: Any, rows: Rows):
        self._engine, self._rows = engines.engine(model, 0.0), rows

    def accuracy(self) -> float:
        """Return the share of the rows that the network classifies right as it is now."""
        return float((self._engine.predict(self._rows.inputs) == self._rows.labels).mean())


def to_choose_by(context: DefenceContext, share: float) -> tuple[Rows, Rows]:
    """Split the clean rows into those to learn from and those to choose by. `Failure` where there are too few."""
    if len(context.clean) < 2:  # noqa: PLR2004
        raise Failure(f"needs at least 2 clean rows, one to learn from and one to choose by, has {len(context.clean)}")
    return context.split_clean(share)
