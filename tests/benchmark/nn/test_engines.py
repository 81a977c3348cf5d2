"""The engines: what they refuse, and that another backend trains the same numbers from the same weights."""

import subprocess
import sys

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

from benchmark.nn.engines import common  # noqa: E402
from benchmark.nn.networks.pmoe import pmoe  # noqa: E402

RANDOM = np.random.default_rng(0)
IMAGES, LABELS = RANDOM.integers(0, 256, (24, 16, 16, 3)).astype("u1"), np.arange(24) % 4
ROWS = np.array([[0, 5, 9, 2, 17, 23, 11, 4], [1, 3, 8, 20, 7, 6, 19, 10]], "i4")

OTHER = """
import sys
import numpy as np
from benchmark.nn import engines
engines.activate("jax", threads=2)
from benchmark.nn import model_files
data = np.load(sys.argv[1] + "/data.npz", allow_pickle=False)
engine = engines.engine(model_files.load(sys.argv[1] + "/model.keras"), 0.1, data["images"], data["labels"])
losses = [np.asarray(engine.train(rows[None])) for rows in data["rows"]]
weights = {f"w{i}": np.asarray(w) for i, w in enumerate(engine.model.get_weights())}
np.savez(sys.argv[1] + "/jax.npz", losses=np.concatenate(losses), predicted=engine.predict(data["images"]), **weights)
"""


def test_jax_takes_the_same_steps_from_the_same_weights(tmp_path):
    model = pmoe((16, 16, 3), 4, width=1, top_k=4)
    router = model.get_layer("experts").router
    router.assign(RANDOM.normal(size=router.shape))  # the initial 1e-4 would leave the routing to rounding
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", images=IMAGES, labels=LABELS, rows=ROWS)
    engine = engines.engine(model, 0.1, IMAGES, LABELS)
    losses = np.concatenate([np.asarray(engine.train(rows[None])) for rows in ROWS])
    done = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "jax.npz", allow_pickle=False) as found:
        np.testing.assert_allclose(found["losses"], losses, rtol=1e-4)
        for number, weight in enumerate(model.get_weights()):
            np.testing.assert_allclose(found[f"w{number}"], weight, rtol=2e-3, atol=2e-4)
        assert (found["predicted"] == engine.predict(IMAGES)).mean() > 0.9


def test_steps_at_once_are_the_steps_one_by_one():
    results = []
    for blocks in (ROWS[None], ROWS[:, None]):
        engine = engines.engine(pmoe((16, 16, 3), 4, width=1, top_k=4), 0.1, IMAGES, LABELS)
        results.append((np.concatenate([np.asarray(engine.train(block)) for block in blocks]), engine))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    pairs = zip(*(engine.model.get_weights() for _, engine in results), strict=True)
    assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs)


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1300])
def test_prediction_in_batches_of_one_shape(count):
    images = np.arange(count, dtype="u1" if count < 256 else "i8")[:, None]
    shapes = set()

    def step(batch):
        shapes.add(batch.shape)
        return batch[:, 0]

    assert np.array_equal(common.predict_batches(step, images), images[:, 0])
    assert shapes == {(common.BATCH, 1)}


def test_one_backend_a_process():
    with pytest.raises(Failure, match="already runs Keras with tensorflow, not jax"):
        engines.activate("jax")


def test_a_backend_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Failure, match=r'torch is not installed: pip install "poisonkit\[torch\]"'):
        engines.activate("torch")
