"""The training method, top to bottom: build the network, then epoch after epoch of SGD, scored after each.

Batches are rows of a permutation of our own, drawn from (seed, epoch): the same on every backend and in every
version, and a run that goes on from a checkpoint sees the rows that it would have seen.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure, Usage
from benchmark.format.dataset import Dataset
from benchmark.training import metrics
from benchmark.training.settings import Common, EncoderSettings, Settings


class Images:
    """The training of a pMoE on one data set: `data` as the network takes it, the untrained `model`, its `optimizer`,
    the training `rows` that are taken, and what the result says of all this beside the settings (`said`).

    `fine_tuning.Texts` is the same for an encoder; `method` chooses.
    """

    def __init__(self, data: Dataset, settings: Settings):
        self.data, self.settings = data, settings
        self.rows = data.kept(settings.hold_out)
        self.model = build(data, settings)
        sizes = {"image_shape": list(data.image_shape), "classes": len(data.classes)}
        self.said = {"network": sizes | settings.model()}  # what `saved` builds it of anew
        self.optimizer = settings.learning_rate

    def blocks(self, epoch: int, steps: int):
        """What an epoch (from 1) goes through, as arguments of `Engine.train`; at most `steps` steps at once."""
        for rows in blocks(epoch_rows(self.rows, self.settings.seed, epoch), self.settings.batch_size, steps):
            yield rows, None


def method(data: Dataset, settings: Common, folder, say):
    """How a data set is trained on with these settings; what a run needs besides its network goes into `folder`."""
    if isinstance(settings, EncoderSettings):
        from benchmark.training.texts import Texts

        return Texts(data, settings, folder, say)
    return Images(data, settings)


def build(data: Dataset, settings: Settings):
    """The untrained network for a data set. The backend must have been activated."""
    from benchmark.nn.networks.pmoe import pmoe

    height, width, _ = data.image_shape
    patches = -(-height // 4) * -(-width // 4)
    if settings.top_k > patches:
        raise Usage(f"--top-k {settings.top_k} of {patches} patches: images of {height}x{width} have no more")
    model = settings.model()
    return pmoe(data.image_shape, len(data.classes), **model, seed=settings.seed)


def epoch_rows(rows: np.ndarray, seed: int, epoch: int, purpose: str = "epoch") -> np.ndarray:
    """The order in which an epoch (from 1) goes through the given training rows, (n,) int32."""
    return rows[random_streams.permutation(seed, f"{purpose} {epoch}", len(rows))].astype(np.int32)


def blocks(order: np.ndarray, batch: int, steps: int):
    """Cut an epoch's order into arrays (≤ steps, batch), the last (1, rest): few shapes, every row once."""
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
    """One epoch in this order of rows; the mean loss over its images. `on_images` hears how many more are done."""
    return train_blocks(engine, ((block, None) for block in blocks(order, batch, engine.steps)), on_images)


def train_blocks(engine, blocks, on_images: Callable[[int], None]) -> float:
    """Go through blocks, arguments of `Engine.train`; the mean loss over their rows."""
    losses, sizes, waiting = [], [], None
    for block, width in blocks:
        losses.append(engine.train(block, width))
        sizes.append(block.shape)
        if waiting is not None:  # stay one block ahead of the device, so that it never waits for us
            np.asarray(losses[-2])
            on_images(waiting)
        waiting = block.size
    total = sum(np.asarray(loss, np.float64).sum() * size[1] for loss, size in zip(losses, sizes, strict=True))
    on_images(waiting)
    return float(total / sum(steps * rows for steps, rows in sizes))


def score(engine, data: Dataset) -> dict[str, np.ndarray]:
    """Predicted classes, (n,) int64: `test` and, if the file has them, `triggered` and `others`."""
    sets = {"test": data.test, "triggered": data.triggered, "others": data.others}
    return {name: engine.predict(rows.inputs) for name, rows in sets.items() if rows is not None}


def scores(data: Dataset, predicted: dict[str, np.ndarray]) -> dict:
    """BA, the class that is predicted most often on the same rows, and for a poisoned file ASR and its kin, as counts
    and percentages (see `metrics`).

    `asr_others`, of a source-specific attack alone, is the share of the other classes' triggered images that are
    predicted as the target.
    """
    result = {"ba": metrics.accuracy(predicted["test"], data.test.labels), "asr": None}
    result["most_predicted"] = metrics.commonest(predicted["test"])
    if data.triggered is not None:
        labels, classes = data.triggered.labels, len(data.classes)
        result |= metrics.attack(predicted["triggered"], labels, data.wanted, classes)
    if data.others is not None:
        result["asr_others"] = metrics.reached(predicted["others"], data.target)
    return result


def fit(engine, chosen, history: list[dict], watch):
    """Train from the epoch after the last in `history` to the end.

    Parameters
    ----------
    engine : Engine
        See `benchmark.nn.engines`; holds the training inputs, and the weights after the last epoch of `history`.
    chosen : Images or Texts
        What is trained how.
    history : list of dict
        One entry an epoch, appended to in place: epoch, loss, ba, asr (percent), seconds, score_seconds, images.
    watch : object
        Hears what happens: `images(n)` after every block, `epoch(entry, predicted)` after every epoch.

    Raises
    ------
    Failure
        If the loss is no longer a finite number.
    """
    data = chosen.data
    for epoch in range(len(history) + 1, chosen.settings.epochs + 1):
        start = time.perf_counter()
        loss = train_blocks(engine, chosen.blocks(epoch, engine.steps), watch.images)
        trained = time.perf_counter()
        if not np.isfinite(loss):
            raise Failure(f"the loss is {loss} in epoch {epoch}: a smaller --learning-rate may help")
        predicted = score(engine, data)
        scored = scores(data, predicted)
        entry = {
            "epoch": epoch,
            "loss": loss,
            "ba": scored["ba"]["percent"],
            "asr": scored["asr"] and scored["asr"]["percent"],
            "seconds": trained - start,
            "score_seconds": time.perf_counter() - trained,
            "images": len(chosen.rows),
        }
        history.append(entry)
        watch.epoch(entry, predicted)
