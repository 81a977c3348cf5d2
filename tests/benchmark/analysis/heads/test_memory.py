"""What `detect` keeps of the texts that it reads: their similarities and lengths, and nothing else."""

import tracemalloc

import numpy as np

from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

from heads_network import HEADS, LAYERS, network  # noqa: E402

from benchmark.analysis.heads import model_similarity  # noqa: E402
from benchmark.analysis.heads.detector import DetectorSettings  # noqa: E402
from benchmark.format.dataset import Rows  # noqa: E402
from benchmark.nn import tokenizers  # noqa: E402
from benchmark.runs.context import Opened  # noqa: E402

WORDS = [f"w{number}" for number in range(26)]


class Loaded(Opened):
    """A run whose network is in memory."""

    def network(self):
        return network()


def texts(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    found = np.empty(count, object)
    found[:] = [" ".join(random.choice(WORDS, 9)) for _ in range(count)]
    return found


def test_memory_grows_by_the_similarities_alone(monkeypatch):
    monkeypatch.setattr(model_similarity, "BLOCK", 256)
    held = Rows(texts(60), np.zeros(60, np.int64))
    opened = Loaded(job=None, trained={}, contents=None, tokenizer=tokenizers.Words(WORDS), held_out=held)
    own = model_similarity.ModelSimilarity(opened, DetectorSettings(map="full"))
    own.read(texts(256))  # what is compiled stays
    peaks = []
    for count in (512, 2048):
        some = texts(count)
        tracemalloc.start()
        values, lengths = own.read(some)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert values.shape == (count, LAYERS * HEADS) and lengths.tolist() == [11] * count
    kept = (2048 - 512) * (LAYERS * HEADS * 4 + 8)
    assert peaks[1] - peaks[0] < kept + 200_000
