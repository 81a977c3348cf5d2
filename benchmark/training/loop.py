"""The training loop: epoch after epoch of steps, scored after each.

Batches are rows of a permutation of our own, drawn from (seed, epoch): the same on every backend and in every
version, and a run that goes on from a checkpoint sees the rows that it would have seen.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core import random_streams
from benchmark.format.dataset import Dataset
from benchmark.training.callbacks import Callback, Epoch
from benchmark.training.metrics import MostPredicted, Scores, Share, by_class

if TYPE_CHECKING:
    from benchmark.training.methods import Method


def epoch_rows(rows: np.ndarray, seed: int, epoch: int, stream_name: str = "epoch") -> np.ndarray:
    """Return the order in which an epoch (from 1) goes through the given training rows, (n,) int32."""
    return rows[random_streams.permutation(seed, f"{stream_name} {epoch}", len(rows))].astype(np.int32)


def blocks(order: np.ndarray, batch: int, steps: int) -> Iterator[np.ndarray]:
    """Cut an epoch's order into arrays (≤ steps, batch), the last (1, rest): few shapes, every row once."""
    batch = max(1, min(batch, len(order)))
    full = len(order) // batch
    together = full // steps * steps
    whole = order[: full * batch].reshape(full, batch)
    for start in range(0, together, steps):
        yield whole[start : start + steps]
    for start in range(together, full):
        yield whole[start : start + 1]
    if full * batch < len(order):
        yield order[None, full * batch :]


def train_epoch(engine, order: np.ndarray, batch: int, on_images: Callable[[int], None]) -> float:
    """Train one epoch in this order of rows; the mean loss over its images. `on_images` is told how many are done."""
    return train_blocks(engine, ((block, None) for block in blocks(order, batch, engine.steps)), on_images)


def train_blocks(engine, blocks: Iterable[tuple[Any, ...]], on_images: Callable[[int], None]) -> float:
    """Train on blocks, arguments of `Engine.train`; the mean loss over their rows."""
    losses: list[Any] = []
    sizes: list[tuple[int, ...]] = []
    waiting = 0
    for block, *others in blocks:
        losses.append(engine.train(block, *others))
        sizes.append(block.shape)
        if waiting:  # stay one block ahead of the device, so that it never waits for us
            np.asarray(losses[-2])
            on_images(waiting)
        waiting = block.size
    total = sum(np.asarray(loss, np.float64).sum() * size[1] for loss, size in zip(losses, sizes, strict=True))
    on_images(waiting)
    return float(total / sum(steps * rows for steps, rows in sizes))


def score(engine, data: Dataset) -> dict[str, np.ndarray]:
    """Predict classes, (n,) int64, of every set of rows that is scored."""
    return {name: engine.predict(rows.inputs) for name, rows in data.scored.items()}


def scores(data: Dataset, predicted: dict[str, np.ndarray]) -> Scores:
    """Turn predictions into scores: those on clean rows, and for a poisoned file those on triggered ones."""
    test, triggered, others = (predicted.get(name) for name in ("test", "triggered", "others"))
    assert test is not None
    found = Scores(Share.where(test == data.test.labels), most_predicted=MostPredicted.among(test))
    hit = None if triggered is None else data.hits(triggered)
    if data.triggered is not None and triggered is not None and hit is not None:
        labels = data.triggered.labels
        found = replace(
            found,
            asr=Share.where(hit),
            robust_accuracy=Share.where(triggered == labels),
            asr_by_class=by_class(hit, labels, len(data.classes)),
        )
    if data.target is not None and others is not None:
        found = replace(found, asr_others=Share.where(others == data.target))
    return found


def fit(engine, method: "Method", history: list[Epoch], callback: Callback) -> None:
    """Train from the epoch after the last in `history` to the end.

    Parameters
    ----------
    engine : Engine
        See `benchmark.nn.engines`; holds the training inputs, and the weights after the last epoch of `history`.
    method : Method
        What is trained how.
    history : list of Epoch
        One per epoch, appended to in place.
    callback : Callback
        Told of rows, losses and epochs; what it raises ends the training.
    """
    data = method.data
    for epoch in range(len(history) + 1, method.settings.epochs + 1):
        start = time.perf_counter()
        loss = train_blocks(engine, method.blocks(epoch, engine.steps), callback.on_rows)
        trained = time.perf_counter()
        callback.on_loss(epoch, loss)
        predicted = score(engine, data)
        scored = scores(data, predicted)
        entry = Epoch(
            epoch=epoch,
            loss=loss,
            ba=scored.ba.percent,
            asr=None if scored.asr is None else scored.asr.percent,
            seconds=trained - start,
            score_seconds=time.perf_counter() - trained,
            images=len(method.rows),
        )
        history.append(entry)
        callback.on_epoch(entry, predicted)
