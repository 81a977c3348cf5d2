"""The training of a text encoder: its first weights, its tokens, its batches.

64 tokens a text, a linear classifier on [CLS], dropout 0.1; AdamW whose rate falls linearly to a tenth, weight decay
0.01 but for normalisations and biases, gradients clipped to norm 1; batches of texts of like length.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure, Usage
from benchmark.format.dataset import Dataset, Rows
from benchmark.nn import tokenizers
from benchmark.nn.tokenizers import Tokens
from benchmark.training import encoders, truncation
from benchmark.training.settings import EncoderSettings

GROUPS = ("train", "test", "triggered", "others")  # what goes through a network


class Texts:
    """The training of an encoder on one data set. See `methods.Method`.

    `data` has tokens for texts; `record` is what the result says of the encoder and of triggers that were cut off.
    """

    def __init__(self, data: Dataset, settings: EncoderSettings, log: Callable[[str], None]):
        from benchmark.nn.engines import common

        self.settings = settings
        self.rows = taken(data, settings)
        origin = encoders.find(settings, log)
        texts = data.train.inputs[self.rows]
        self.tokenizer = (
            tokenizers.Words.of(texts) if origin is None else tokenizers.Pieces(origin.folder / tokenizers.PIECES)
        )
        self.data = tokenized(data, self.tokenizer)
        self.model = encoders.build(origin, len(data.classes), len(self.tokenizer), settings.seed)
        steps = -(-len(self.rows) // settings.batch_size) * settings.epochs
        self.optimizer = common.adamw(self.model, settings.learning_rate, steps)
        cut = truncation.measure(data, self.tokenizer)
        named = {"name": settings.encoder, "vocabulary": len(self.tokenizer)}
        self.record: dict[str, Any] = {
            "encoder": ({} if origin is None else origin.record()) | named,
            "tokens": tokenizers.LENGTH,
            "cut_off": cut,
            "network": self.model.sizes,
        }
        for line in (*truncation.lines(cut), *truncation.unknown(data, self.tokenizer)):
            logging.getLogger("benchmark").warning("%s", line)

    def save(self, folder: Path) -> None:
        """See `methods.Method`: the tokenizer."""
        self.tokenizer.save(folder)

    def blocks(self, epoch: int, steps: int) -> Iterator[tuple[np.ndarray, int]]:
        """See `methods.Method`; every block is one step."""
        inputs: Any = self.data.train.inputs
        lengths = inputs.lengths
        for rows in length_batches(self.rows, lengths, self.settings.batch_size, self.settings.seed, epoch):
            yield rows[None].astype(np.int32), tokenizers.width(lengths[rows].max())


def taken(data: Dataset, settings: EncoderSettings) -> np.ndarray:
    """Return the training rows that a run takes, ascending: those that are not held out, or `settings.rows` of them.

    These are the same in every run of a source. Raises `Usage` where there are fewer.
    """
    rows = data.kept(settings.hold_out)
    if settings.rows is None:
        return rows
    if settings.rows > len(rows):
        raise Usage(f"--rows {settings.rows}: there are {len(rows)} training rows that are not held out")
    return random_streams.some(rows, settings.rows, "rows taken")


def length_batches(rows: np.ndarray, lengths: np.ndarray, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Make the batches of an epoch (from 1): every row once, texts that are padded to the same width together.

    The rows come in the order of a permutation, each into the batch of its width that is open; what is left in the
    end is put together by length, so that only the last batch of all is smaller. The batches are then shuffled.
    """
    widths = np.array([tokenizers.width(length) for length in lengths[rows]])
    order = random_streams.permutation(seed, f"epoch {epoch}", len(rows))
    found, left = [], []
    for width in tokenizers.WIDTHS:
        own = rows[order[widths[order] == width]]
        full = len(own) // batch * batch
        found += list(own[:full].reshape(-1, batch))
        left.append(own[full:])
    rest = np.concatenate(left)
    found += [rest[start : start + batch] for start in range(0, len(rest), batch)]
    return [found[number] for number in random_streams.permutation(seed, f"batches of epoch {epoch}", len(found))]


def tokenized(data: Dataset, tokenizer) -> Dataset:
    """Put tokens for texts into everything that goes through a network."""
    groups: dict[str, Rows | None] = {name: getattr(data, name) for name in GROUPS}
    changed: dict[str, Any] = {
        name: Rows(_tokens(rows.inputs, tokenizer), rows.labels) for name, rows in groups.items() if rows
    }
    return replace(data, **changed)


def for_run(folder: Path, data: Dataset, model) -> Dataset:
    """Turn a data set into what a run's trained network takes: texts into tokens of the tokenizer in its folder."""
    if not EncoderSettings.trains_on(data.modality):
        return data
    tokenizer = tokenizers.load(folder)
    check_vocabulary(tokenizer, model, folder)
    return tokenized(data, tokenizer)


def check_vocabulary(tokenizer, model, folder: Path) -> None:
    """Raise `Failure` where a run's network knows fewer tokens than the tokenizer in its folder makes."""
    known = model.sizes["vocabulary"]
    if len(tokenizer) > known:
        raise Failure(f"{folder}: its tokenizer makes tokens up to {len(tokenizer) - 1}, its network knows {known}")


def _tokens(inputs: Any, tokenizer: Any) -> Any:
    return inputs if isinstance(inputs, Tokens) else tokenizers.encode(tokenizer, inputs)
