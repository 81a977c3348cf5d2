"""A BERT encoder (Devlin et al. 2019) with a linear classifier on [CLS], whose attention heads can be inspected."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import initializers, ops

from benchmark.core import random_streams
from benchmark.nn import engines
from benchmark.nn.layers import EncoderBlock, TokenEmbedding
from benchmark.nn.layers.token_embedding import INITIAL
from benchmark.nn.tokenizers import Tokens


class Inside(NamedTuple):
    """What an encoder computes on its way: `hidden` (n, T, D), the last block's output; and, one per block, `attention`
    (n, H, T, T) and `outputs` (n, H, T, d), see `HeadAttention`."""

    hidden: object
    attention: list
    outputs: list


@keras.saving.register_keras_serializable(package="benchmark")
class Encoder(keras.Model):
    """Tokens (n, T) int32 in, as `tokens.Tokens` has them: 0 is padding; logits (n, classes) float32 out.

    Parameters
    ----------
    classes : int
        Number of classes.
    vocabulary, positions : int
        Number of word pieces; most tokens of a text.
    width, depth, heads, inner : int
        Length of a token's vector (D), number of blocks (L), heads of each (H), width inside a block.
    dropout, attention_dropout, classifier_dropout : float
        Of the blocks, of the attention, and before the classifier; the latter two are as the first where None.
    epsilon : float
        Of all normalisations.
    activation : str
        Between the two dense layers of a block; see `EncoderBlock`.
    seed : int
        Of the initial weights and dropouts; every layer has its own seed drawn from it.
    """

    ends_in_logits = True

    def __init__(
        self, classes, vocabulary, positions=512, width=384, depth=6, heads=12, inner=1536, dropout=0.1,
        epsilon=1e-12, seed=0, attention_dropout=None, classifier_dropout=None, activation="gelu", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        attention_dropout, last = (dropout if one is None else one for one in (attention_dropout, classifier_dropout))
        self._sizes = {
            "classes": classes, "vocabulary": vocabulary, "positions": positions, "width": width, "depth": depth,
            "heads": heads, "inner": inner, "dropout": dropout, "epsilon": epsilon, "seed": seed,
            "attention_dropout": attention_dropout, "classifier_dropout": last, "activation": activation,
        }  # fmt: skip
        seeds = iter(random_streams.initial_seeds(seed, depth + 3))
        self.embedding = TokenEmbedding(vocabulary, positions, width, dropout, epsilon, next(seeds), name="embedding")
        self.blocks = [
            EncoderBlock(heads, inner, dropout, epsilon, next(seeds), attention_dropout, activation, name=f"block_{i}")
            for i in range(depth)
        ]
        self.dropout = keras.layers.Dropout(last, seed=next(seeds), name="dropout")
        normal = initializers.RandomNormal(stddev=INITIAL, seed=next(seeds))
        self.logits = keras.layers.Dense(classes, kernel_initializer=normal, dtype="float32", name="logits")

    def build(self, input_shape):
        shape = (*input_shape[:2], self._sizes["width"])
        self.embedding.build(input_shape)
        for block in self.blocks:
            block.build(shape)
        self.logits.build((shape[0], shape[-1]))
        self.built = True

    def call(self, tokens, heads=None, training=None):
        return self.classify(self.inside(tokens, heads, training).hidden, training)

    def classify(self, hidden, training=None):
        """Return the logits (n, classes) of what `inside` calls hidden."""
        return self.logits(self.dropout(hidden[:, 0], training=training))

    def inside(self, tokens, heads=None, training=None) -> Inside:
        """Everything on the way to the logits, as tensors that can be differentiated.

        `heads` multiplies the heads' outputs: (L, H), or (n, L, H) for every row its own; None is ones.
        """
        token_mask = ops.not_equal(tokens, 0)
        x = self.embedding(tokens, training=training)
        attention, outputs = [], []
        for number, block in enumerate(self.blocks):
            own = None if heads is None else heads[..., number, :]
            x, weights, out = block(x, token_mask, heads=own, training=training)
            attention.append(weights)
            outputs.append(out)
        return Inside(x, attention, outputs)

    def each_head_off(self, tokens):
        """Return the logits (L, H, n, classes) with each head off by itself; what is below is computed once."""
        token_mask = ops.not_equal(tokens, 0)
        every = ops.repeat(token_mask, self.heads, axis=0)
        masks = ops.tile(1.0 - ops.eye(self.heads), (ops.shape(tokens)[0], 1))  # row by row, one head after the other
        below, found = self.embedding(tokens, training=False), []
        for number, block in enumerate(self.blocks):
            x, _, _ = block(ops.repeat(below, self.heads, axis=0), every, heads=masks, training=False)
            for above in self.blocks[number + 1 :]:
                x, _, _ = above(x, every, training=False)
            logits = ops.reshape(self.classify(x, training=False), (-1, self.heads, self.classes))
            found.append(ops.transpose(logits, (1, 0, 2)))
            below, _, _ = block(below, token_mask, training=False)
        return ops.stack(found)

    @property
    def depth(self) -> int:
        """Number of blocks, L."""
        return self._sizes["depth"]

    @property
    def heads(self) -> int:
        """Heads of each block, H."""
        return self._sizes["heads"]

    @property
    def positions(self) -> int:
        """Most tokens of a text."""
        return self._sizes["positions"]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self._sizes["classes"]

    @property
    def sizes(self) -> dict:
        """What it was made of, by the names of the parameters."""
        return dict(self._sizes)

    def get_config(self):
        return super().get_config() | self._sizes


class Encoded(NamedTuple):
    """A batch of rows of about the same length on its way through an encoder, in NumPy.

    `rows` (m,) are the rows' numbers, `lengths` (m,) their tokens without padding, `logits` (m, classes). `attention`
    (L, m, H, T, T) and `outputs` (L, m, H, T, d) are None where no maps were asked for; T is at least the longest.
    """

    rows: np.ndarray
    lengths: np.ndarray
    logits: np.ndarray
    attention: np.ndarray | None
    outputs: np.ndarray | None


def encode(model: Encoder, tokens: Tokens, heads=None, maps: bool = True, batch: int = 64) -> Iterator[Encoded]:
    """Send texts through an encoder, batch after batch, the short ones first; memory does not grow with their number.

    `heads` as for `Encoder.inside`, but (L, H) alone.
    """
    step = _step(model, maps)
    heads = np.ones((model.depth, model.heads), np.float32) if heads is None else np.asarray(heads, np.float32)
    for rows, block in tokens.batches(batch):
        logits, *inside = (np.asarray(part) for part in step(block, heads))
        keep = len(rows)
        attention, outputs = (part[:, :keep] for part in inside) if maps else (None, None)
        yield Encoded(rows, tokens.lengths[rows], logits[:keep], attention, outputs)


def classes_with_each_head_off(model: Encoder, tokens: Tokens, batch: int = 16) -> np.ndarray:
    """Return the most probable class of each text with each head off by itself, (L, H, n) int64."""
    found = np.empty((model.depth, model.heads, len(tokens)), np.int64)
    step = _kept(model, "each head off", model.each_head_off)
    for rows, block in tokens.batches(batch):
        found[..., rows] = np.asarray(step(block)).argmax(-1)[..., : len(rows)]
    return found


def _step(model: Encoder, maps: bool):
    """Return what `encode` does with a batch."""

    def forward(tokens, heads):
        inside = model.inside(tokens, heads, training=False)
        found = (ops.stack(inside.attention), ops.stack(inside.outputs)) if maps else ()
        return model.classify(inside.hidden, training=False), *found

    return _kept(model, maps, forward)


def _kept(model: Encoder, name, function):
    """Return the function compiled, once for each model."""
    steps = model.__dict__.setdefault("_steps", {})  # past Keras, which would take it for a part of the network
    if name not in steps:
        steps[name] = engines.compiled(model, function)
    return steps[name]
