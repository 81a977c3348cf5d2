"""BA and ASR of an encoder with any mask over its heads; the test texts are cut into tokens once."""

import numpy as np

from benchmark import training
from benchmark.heads.opened import Opened


class Scorer:
    """Scores networks on the test sets of a run's file. None of them holds a held-out row: those are training rows."""

    def __init__(self, opened: Opened):
        contents = opened.contents
        sets = {"test": contents.test, "triggered": contents.triggered, "others": contents.others}
        self.contents = contents
        self.tokens = {name: opened.tokens(rows.inputs) for name, rows in sets.items() if rows is not None}

    def __call__(self, model, mask: np.ndarray | None = None) -> dict:
        """The scores (see `training.scores`) of a network whose heads' outputs are multiplied by a `mask` (L, H)."""
        return training.scores(self.contents, {name: predict(model, one, mask) for name, one in self.tokens.items()})


def predict(model, tokens, mask: np.ndarray | None = None) -> np.ndarray:
    """The most probable class of each text, (n,) int64."""
    from benchmark.models.encoder import encode

    found = np.empty(len(tokens), np.int64)
    for batch in encode(model, tokens, heads=mask, maps=False, batch=128):
        found[batch.rows] = batch.logits.argmax(1)
    return found


def without(model, heads: np.ndarray) -> np.ndarray:
    """The mask (L, H) float32 in which these heads, flat numbers, are off."""
    mask = np.ones(model.depth * model.heads, np.float32)
    mask[heads] = 0
    return mask.reshape(model.depth, model.heads)
