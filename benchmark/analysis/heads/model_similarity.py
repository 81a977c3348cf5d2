"""The head similarities of one model: of any number of texts, of which (n, L·H) is all that is kept."""

import copy
import time

import numpy as np

from benchmark.analysis.heads import controls, similarity
from benchmark.analysis.heads.anomaly import HEADS, Reference
from benchmark.analysis.heads.detector import DetectorSettings
from benchmark.core.errors import Failure
from benchmark.nn import tokenizers
from benchmark.runs.context import Opened

BLOCK = 4096
LEAST_HELD_OUT = 50


def long_enough(texts: np.ndarray, least: int) -> np.ndarray:
    """Return which texts have that many words, (n,) bool."""
    return np.array([len(text.split()) >= least for text in texts], bool)


class ModelSimilarity:
    """The similarities of a run's network, and their reference statistics on its held-out rows.

    Parameters
    ----------
    opened : Opened
        The run. Held-out texts that are too short are left out, as they are of the ranking.
    settings : DetectorSettings
        `metric` and `map` (see `similarity`), `min_words` and `heads`: `Failure` for more than there are.
    """

    def __init__(self, opened: Opened, settings: DetectorSettings):
        self.opened = opened
        self.metric, self.kind = settings.metric, settings.map
        self.model = opened.network()
        layers, heads = self.shape
        if heads < 2:
            raise Failure(f"{opened.job.folder}: its network has one head a layer; similarity needs two or more")
        self.asked = settings.heads
        if self.asked > layers * heads and self.asked != HEADS:
            raise Failure(f"--option heads.heads: the network has {layers * heads} heads, got {self.asked}")
        self.rows, self.seconds = 0, 0.0
        texts = opened.held_out.inputs
        texts = texts[long_enough(texts, settings.min_words)]
        if len(texts) < LEAST_HELD_OUT:
            raise Failure(
                f"{opened.job.folder}: {len(texts)} clean texts of {settings.min_words} words or more are too few to "
                f"estimate normal behaviour, {LEAST_HELD_OUT} are needed: give more --clean-rows, train with a larger "
                "--hold-out, or lower --option heads.min_words"
            )
        held = opened.tokens(texts)
        self.projections = self._principal_axes(held) if self.kind == "output" else None
        self.reference = Reference(self.similarities(held).astype(np.float64), held.lengths)

    def beside(self, opened: Opened) -> "ModelSimilarity":
        """Return the same model's, of the same run opened in another way."""
        other = copy.copy(self)
        other.opened = opened
        return other

    @property
    def contaminated(self) -> int:
        """How many heads are treated as contaminated: as many as were asked for, at most half of all.

        With more, a statement about them would be one about all heads, and there would not be as many others to
        compare with.
        """
        return min(self.asked, self.shape[0] * self.shape[1] // 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads."""
        return self.model.depth, self.model.heads

    def read(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute similarities (n, F) float32 and lengths (n,) int64 of texts, block by block."""
        values = np.empty((len(texts), self.shape[0] * self.shape[1]), np.float32)
        lengths = np.empty(len(texts), np.int64)
        for start in range(0, len(texts), BLOCK):
            found = self.opened.tokens(texts[start : start + BLOCK])
            values[start : start + BLOCK] = self.similarities(found)
            lengths[start : start + BLOCK] = found.lengths
        return values, lengths

    def read_pieces(self, texts: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute the same with every word piece replaced by a random one."""
        found = self.opened.tokens(texts)
        made = controls.pieces(found.tokens, found.lengths, self.opened.tokenizer.ordinary(), seed)
        return self.similarities(tokenizers.Tokens(made, found.lengths)), found.lengths

    def similarities(self, found: tokenizers.Tokens) -> np.ndarray:
        """Compute the similarities of tokens, (n, F) float32, layer by layer."""
        from benchmark.nn.encoder import encode

        started = time.perf_counter()
        layers, heads = self.shape
        values = np.empty((len(found), layers, heads), np.float32)
        for batch in encode(self.model, found):
            for layer in range(layers):
                values[batch.rows, layer] = self._layer(batch, layer)
        self.rows += len(found)
        self.seconds += time.perf_counter() - started
        return values.reshape(len(found), -1)

    def attention_from_cls(self, text: str, layer: int, head: int, model=None) -> tuple[list[str], np.ndarray]:
        """Return the tokens of one text, and the head's attention from [CLS] to each; in another model, if given."""
        from benchmark.nn.encoder import encode

        found = self.opened.tokens(np.array([text], object))
        (batch,) = encode(model or self.model, found)
        length = int(found.lengths[0])
        return self.opened.tokenizer.names(found.tokens[0, :length]), np.asarray(batch.attention)[layer][
            0, head, 0, :length
        ]

    def _principal_axes(self, held: tokenizers.Tokens) -> list[similarity.Projection]:
        from benchmark.nn.encoder import encode

        moments = [similarity.Moments(block.attention.output_kernel.shape[-1]) for block in self.model.blocks]
        for batch in encode(self.model, held):
            for layer, moment in enumerate(moments):
                moment.add(self._added(batch, layer))
        return [moment.projection() for moment in moments]

    def _layer(self, batch, layer: int) -> np.ndarray:
        if self.projections is not None:
            return similarity.mean_similarity(self.projections[layer](self._added(batch, layer)), None, self.metric)
        return similarity.of_attention(batch.attention[layer], batch.lengths, self.metric, self.kind)

    def _added(self, batch, layer: int) -> np.ndarray:
        """Return what each head adds to the hidden state of [CLS], (m, H, D)."""
        kernel = np.asarray(self.model.blocks[layer].attention.output_kernel)
        return np.einsum("mhd,hdw->mhw", batch.outputs[layer][:, :, 0], kernel)
