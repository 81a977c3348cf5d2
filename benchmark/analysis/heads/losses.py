"""What an alignment minimises, in `keras.ops`, and which weights may move for it. Imports Keras: activate it first."""

import numpy as np
from keras import ops

from benchmark.analysis.heads.anomaly import SOFTENING
from benchmark.nn import engines

LIMIT = 100.0
"""z² counts no more than this: a text far away must not outweigh all the others."""


def mean_similarity(vectors, inside, metric: str):
    """`similarity.mean_similarity` on differentiable tensors: (n, H, V), and (n, V) or None → (n, H)."""
    if metric == "pearson":
        weights = ops.ones_like(vectors[:, :1]) if inside is None else ops.cast(inside, vectors.dtype)[:, None]
        mean = ops.sum(vectors * weights, -1, keepdims=True) / ops.sum(weights, -1, keepdims=True)
        vectors = vectors - mean
    if inside is not None:
        vectors = vectors * ops.cast(inside, vectors.dtype)[:, None]
    # under the root, not outside: its derivative at 0 is not finite
    unit = vectors * ops.rsqrt(ops.sum(ops.square(vectors), -1, keepdims=True) + 1e-24)
    total = ops.sum(unit, 1, keepdims=True)
    return (ops.sum(unit * total, -1) - ops.sum(ops.square(unit), -1)) / (vectors.shape[1] - 1)


class Deviation:
    """The standardised similarity of some heads, as a function of tokens.

    Parameters
    ----------
    model : Encoder
        The network.
    heads : (k,) int
        Flat numbers, layer · H + head.
    metric, kind : str
        See `similarity`.
    projections : list of Projection or None
        For `output`, those of the untouched model.
    """

    def __init__(self, model, heads: np.ndarray, metric: str, kind: str, projections=None):
        self.model, self.metric, self.kind, self.projections = model, metric, kind, projections
        self.layers = sorted({int(head) // model.heads for head in heads})
        places = {layer: number for number, layer in enumerate(self.layers)}
        self.columns = np.array([places[int(head) // model.heads] * model.heads + head % model.heads for head in heads])

    def z(self, inside, token_mask, mean, deviation):
        """Return (n, k), of what `Encoder.inside` gives, where tokens are, and these heads' statistics, (n, k) each."""
        values = ops.concatenate([self._layer(inside, token_mask, layer) for layer in self.layers], axis=1)
        return (ops.take(values, self.columns, axis=1) - mean) / (deviation + SOFTENING)

    def _layer(self, inside, token_mask, layer: int):
        if self.kind == "output":
            projection = self.projections[layer]
            kernel = self.model.blocks[layer].attention.output_kernel
            added = ops.einsum("nhd,hdw->nhw", inside.outputs[layer][:, :, 0], kernel)
            axes, mean = (ops.convert_to_tensor(part.astype("float32")) for part in (projection.axes, projection.mean))
            return mean_similarity(ops.matmul(added - mean, axes), None, self.metric)
        attention = inside.attention[layer]
        if self.kind == "row":
            return mean_similarity(attention[:, :, 0], token_mask, self.metric)
        tokens = ops.shape(attention)[-1]
        pairs = ops.reshape(ops.logical_and(token_mask[:, :, None], token_mask[:, None, :]), (-1, tokens * tokens))
        return mean_similarity(ops.reshape(attention, (-1, attention.shape[1], tokens * tokens)), pairs, self.metric)


def of_clean(model):
    """Mean cross-entropy of clean rows: `loss(heads, tokens, labels)`."""

    def loss(heads, tokens, labels):
        return ops.mean(_cross_entropy(model, heads, tokens, labels))

    return loss


def of_flagged(model, deviation: Deviation, strength: float, unlearn: float, flat: str):
    """λ · mean of min(z², 100), plus `unlearn` times how far from `flat` the predictions are, of flagged rows:
    `loss(heads, tokens, mean, deviation, even)`."""

    def loss(heads, tokens, mean, spread, even):
        token_mask = ops.not_equal(tokens, 0)
        inside = model.inside(tokens, heads, training=False)
        value = ops.convert_to_tensor(0.0)
        if strength:
            z = deviation.z(inside, token_mask, mean, spread)
            value = value + strength * ops.mean(ops.minimum(ops.square(z), LIMIT))
        if unlearn:
            value = value + unlearn * unevenness(model.classify(inside.hidden, training=False), even, flat)
        return value

    return loss


def flat_prediction(predicted: np.ndarray, classes: int, lean: float) -> np.ndarray:
    """Return the flat prediction of each row, (n, K) float32: all classes equal, but for the one that is `predicted`
    (n,), which gets 1 − `lean` times its part, and the others the rest."""
    own = (1 - lean) / classes
    result = np.full((len(predicted), classes), (1 - own) / (classes - 1), np.float32)
    result[np.arange(len(predicted)), predicted] = own
    return result


def unevenness(logits, even, flat: str):
    """Return the cross-entropy against a flat prediction, `even` (n, K): each row's against its own (`rows`), or their
    mean against the mean of all rows' (`mean`).

    With `rows` the model becomes undecided on every text with the trigger. With `mean` only the average is flat: each
    text can still get the prediction that it has without the trigger.
    """
    logs = ops.log_softmax(logits, axis=-1)
    if flat == "mean":
        logs = ops.logsumexp(logs, axis=0) - ops.log(ops.cast(ops.shape(logs)[0], logs.dtype))
        even = ops.mean(even, axis=0)
    return -ops.sum(even * logs) / (1 if flat == "mean" else ops.cast(ops.shape(logs)[0], logs.dtype))


def importance(model, tokens, labels: np.ndarray, batch: int = 64) -> np.ndarray:
    """Mean |∂loss/∂mask| of every head on clean rows, (L, H) float64 (Michel et al. 2019)."""

    def loss(heads, tokens, labels):
        return ops.sum(_cross_entropy(model, heads, tokens, labels))

    step = engines.differentiated(model, [], loss)
    total = np.zeros((model.depth, model.heads))
    for rows, block in tokens.batches(batch):
        given = np.zeros(len(block), np.int32)
        given[: len(rows)] = labels[rows]
        _, _, by_row = step(np.ones((len(block), *total.shape), np.float32), block, given)
        total += np.abs(np.asarray(by_row, np.float64)[: len(rows)]).sum(0)
    return total / len(tokens)


def slices(model, heads: np.ndarray) -> list[tuple[object, np.ndarray]]:
    """List the weights that belong to these heads: (variable, mask of 0 and 1 that fits it).

    Query, key, value and output projection of each layer that has one of them; the output's bias belongs to no head.
    """
    found = []
    for layer in sorted({int(head) // model.heads for head in heads}):
        mask = np.zeros(model.heads, np.float32)
        mask[[int(head) % model.heads for head in heads if head // model.heads == layer]] = 1
        attention = model.blocks[layer].attention
        for name in ("query", "key", "value"):
            found.append((getattr(attention, name), mask[None, :, None]))
            found.append((getattr(attention, f"{name}_bias"), mask[:, None]))
        found.append((attention.output_kernel, mask[:, None, None]))
    return found


def _cross_entropy(model, heads, tokens, labels):
    """(n,)"""
    logits = model.classify(model.inside(tokens, heads, training=False).hidden, training=False)
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
