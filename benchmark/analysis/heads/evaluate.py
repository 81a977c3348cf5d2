"""BA and ASR of an encoder with any mask over its heads; the test texts are tokenized once."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmark.core import random_streams
from benchmark.core.numbers import counted
from benchmark.format.dataset import Dataset
from benchmark.runs.context import Opened
from benchmark.training import loop
from benchmark.training.metrics import Scores, Share, softmax

MOST_OF_TARGET = 500


class Scorer:
    """Scores networks on the test sets of a run's file. None of them holds a held-out row: those are training rows.

    With `learned_from`, numbers of training rows, also on the poisoned rows whose true label is the target class,
    without those learned from: `target_class` is the share that is still predicted right. A network that has merely
    learned the trigger to mean another class has a low ASR, and a low share here.
    """

    def __init__(self, opened: Opened, learned_from: np.ndarray | None = None):
        contents = opened.contents
        self.of_target = None
        if learned_from is not None and contents.truth is not None:
            rows = target_class_rows(contents, np.setdiff1d(opened.suspect, learned_from))
            if len(rows):
                self.of_target = opened.tokens(contents.train.inputs[rows]), contents.train.labels[rows]
        self.contents = contents
        self.tokens = {name: opened.tokens(rows.inputs) for name, rows in contents.scored.items()}

    def __call__(self, model, mask: np.ndarray | None = None) -> Scores:
        """Score a network (see `loop.scores`) whose heads' outputs are multiplied by a `mask` (L, H)."""
        found = loop.scores(self.contents, {name: predict(model, one, mask) for name, one in self.tokens.items()})
        if self.of_target is not None:
            tokens, labels = self.of_target
            found = replace(found, target_class=Share.where(predict(model, tokens, mask) == labels))
        return found

    def each_off(self, model, log: Callable[[str], object]) -> list[list[Scores]]:
        """Score with each head off by itself, layer by layer. `log` takes lines of progress."""
        from benchmark.nn.encoder import classes_with_each_head_off

        found = {}
        for name, texts in self.tokens.items():
            words = counted(len(texts), "text")
            log(f"{name}: {words}, with each of {counted(model.depth * model.heads, 'head')} off")
            found[name] = classes_with_each_head_off(model, texts)

        def scores(layer: int, head: int) -> Scores:
            return loop.scores(self.contents, {name: classes[layer, head] for name, classes in found.items()})

        return [[scores(layer, head) for head in range(model.heads)] for layer in range(model.depth)]


def target_class_rows(contents: Dataset, among: np.ndarray) -> np.ndarray:
    """Return the poisoned training rows among these whose true label is the target, ascending; at most MOST_OF_TARGET,
    drawn at random."""
    rows = contents.truth_rows
    if rows is None or contents.truth is None or contents.truth_role is None:
        return among[:0]
    poisoned = (contents.truth_role == 1) & (contents.truth.labels == contents.train.labels[rows])
    rows = np.intersect1d(rows[poisoned], among)
    return random_streams.some(rows, MOST_OF_TARGET, "rows of the target class")


def predict(model, tokens, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the most probable class of each text, (n,) int64."""
    return _logits(model, tokens, mask).argmax(1)


def probabilities(model, tokens) -> np.ndarray:
    """Return what a network makes of each text, (n, C) float32."""
    return softmax(_logits(model, tokens))


def _logits(model, tokens, mask: np.ndarray | None = None) -> np.ndarray:
    from benchmark.nn.encoder import encode

    found = np.empty((len(tokens), model.classes), np.float32)
    for batch in encode(model, tokens, heads=mask, maps=False, batch=128):
        found[batch.rows] = batch.logits
    return found


def without(model, heads: np.ndarray) -> np.ndarray:
    """Return the mask (L, H) float32 in which these heads, flat numbers, are off."""
    mask = np.ones(model.depth * model.heads, np.float32)
    mask[heads] = 0
    return mask.reshape(model.depth, model.heads)
