"""Fine-tuning of some heads alone: batches of similar length, masked gradients, Adam. Imports Keras."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from benchmark.analysis.heads import losses
from benchmark.core import random_streams
from benchmark.nn import engines
from benchmark.nn.tokenizers import Tokens, width

BATCH = 32
CLIP = 1.0
LAST_RATE = 0.1
"""The learning rate falls linearly to this share of what it begins with."""


@dataclass(frozen=True)
class Clean:
    """Clean rows: their tokens, and their `labels` (n,) int."""

    tokens: Tokens
    labels: np.ndarray


@dataclass(frozen=True)
class Flagged:
    """Flagged rows: their tokens; the reference statistics at their lengths of the heads to be realigned, `mean` and
    `deviation`, (n, k) each; and the flat prediction of each, `even` (n, K)."""

    tokens: Tokens
    mean: np.ndarray
    deviation: np.ndarray
    even: np.ndarray


@dataclass(frozen=True)
class Plan:
    """How a variant is tuned: which `heads` move (k,), None: all weights; λ, the weight of the flat prediction and what
    is to be flat (see `losses.unevenness`)."""

    heads: np.ndarray | None
    strength: float
    unlearn: float
    epochs: int
    learning_rate: float
    flat: str = "rows"


def batches(lengths: np.ndarray, size: int, seed: int, stream_name: str) -> list[np.ndarray]:
    """Return row numbers in batches of one size and similar length, in random order, without the rest."""
    size = min(size, len(lengths))
    order = random_streams.permutation(seed, stream_name, len(lengths))[: len(lengths) // size * size]
    order = order[np.argsort(lengths[order], kind="stable")].reshape(-1, size)
    return list(order[random_streams.permutation(seed, f"{stream_name}, order", len(order))])


def tune(model, plan: Plan, clean: Clean, flagged: Flagged, deviation, seed: int) -> Iterator[float]:
    """Train a model in place; yield the mean loss of its steps after every epoch.

    `deviation` is `losses.Deviation` for the heads to be realigned, in the order of `flagged`'s
    columns that it picks.
    """
    chosen = (
        losses.slices(model, plan.heads) if plan.heads is not None else [(v, None) for v in model.trainable_variables]
    )
    variables = [variable for variable, _ in chosen]
    on_clean = engines.differentiated(model, variables, losses.of_clean(model))
    on_flagged = None
    if plan.strength or plan.unlearn:
        loss = losses.of_flagged(model, deviation, plan.strength, plan.unlearn, plan.flat)
        on_flagged = engines.differentiated(model, variables, loss)
    waiting = _endless(flagged, seed)
    optimizer = _optimizer(plan, len(clean.labels) // min(BATCH, len(clean.labels)))
    for epoch in range(1, plan.epochs + 1):
        total = []
        for rows in batches(clean.tokens.lengths, BATCH, seed, f"alignment epoch {epoch}"):
            value, gradients, _ = on_clean(None, _block(clean.tokens, rows), clean.labels[rows].astype(np.int32))
            if on_flagged is not None:
                more, others, _ = on_flagged(None, *next(waiting))
                value, gradients = value + more, [a + b for a, b in zip(gradients, others, strict=True)]
            masked = [
                g if mask is None else ops.multiply(g, mask) for g, (_, mask) in zip(gradients, chosen, strict=True)
            ]
            optimizer.apply(masked, variables)
            total.append(float(value))
        yield float(np.mean(total))


def _optimizer(plan: Plan, steps: int):
    """Adam without weight decay: what has no gradient does not move."""
    rate = keras.optimizers.schedules.PolynomialDecay(
        plan.learning_rate, max(1, plan.epochs * steps), LAST_RATE * plan.learning_rate
    )
    return keras.optimizers.Adam(rate, global_clipnorm=CLIP)


def _endless(flagged: Flagged, seed: int):
    """Batches of flagged rows, as `losses.of_flagged` takes them, round after round."""
    for number in itertools.count():
        for rows in batches(flagged.tokens.lengths, BATCH, seed, f"flagged rows {number}"):
            yield _block(flagged.tokens, rows), flagged.mean[rows], flagged.deviation[rows], flagged.even[rows]


def _block(tokens: Tokens, rows: np.ndarray) -> np.ndarray:
    return tokens.tokens[rows, : width(int(tokens.lengths[rows].max()))]
