"""Features and logits of rows, block by block, against the network itself."""

import threading
import time

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import evidence
from benchmark.nn import engines
from benchmark.nn.tokenizers import Tokens


@pytest.fixture(scope="module", autouse=True)
def tensorflow():
    engines.activate("tensorflow")


def test_of_images_they_are_the_inputs_and_outputs_of_the_last_layer(tmp_path):
    from benchmark.nn.networks.pmoe import pmoe

    model = pmoe((16, 16, 3), 4, width=1, top_k=4, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (600, 16, 16, 3), np.uint8)  # more than a block
    forward = evidence.forward(model)
    evidence.by_block(tmp_path / "x.npy", images, lambda block: np.concatenate(forward(block), axis=1))
    kept = np.load(tmp_path / "x.npy")
    assert kept.shape == (600, 64 + 4) and kept.dtype == np.float32
    logits = model.get_layer("logits")
    assert np.allclose(kept[:, :64] @ logits.kernel.numpy() + logits.bias.numpy(), kept[:, 64:], atol=1e-4)
    shifted = np.exp(kept[:, 64:] - kept[:, 64:].max(1, keepdims=True))
    assert np.allclose(shifted / shifted.sum(1, keepdims=True), model.predict(images, verbose=0), atol=1e-5)


def test_of_texts_they_are_those_of_cls_in_the_order_of_the_rows(tmp_path):
    from benchmark.nn.encoder import Encoder

    model = Encoder(classes=3, vocabulary=50, positions=64, width=16, depth=2, heads=2, inner=20)
    model.build((None, 64))
    random = np.random.default_rng(0)
    lengths = random.integers(2, 60, 150)
    tokens = np.where(np.arange(64) < lengths[:, None], random.integers(1, 50, (150, 64)), 0).astype(np.int32)
    forward = evidence.forward(model)
    evidence.by_block(tmp_path / "x.npy", Tokens(tokens, lengths), lambda block: np.concatenate(forward(block), axis=1))
    kept = np.load(tmp_path / "x.npy")
    hidden = np.asarray(model.inside(tokens, training=False).hidden)[:, 0]
    assert kept.shape == (150, 16 + 3) and np.allclose(kept[:, :16], hidden, atol=1e-4)
    assert np.allclose(kept[:, 16:], np.asarray(model(tokens, training=False)), atol=1e-4)


def test_no_rows_are_no_rows(tmp_path):
    evidence.by_block(tmp_path / "x.npy", np.empty((0, 4, 4, 3), np.uint8), lambda block: block)
    assert len(np.load(tmp_path / "x.npy")) == 0


def test_blocks_are_of_one_size_and_hold_every_row_once():
    images = np.arange(1200 * 3).reshape(1200, 3)
    found = list(evidence.blocks(images, 500))
    assert [len(block) for _, block, _ in found] == [500] * 3 and [count for *_, count in found] == [500, 500, 200]
    assert np.array_equal(np.concatenate([rows for rows, *_ in found]), np.arange(1200))
    assert all(np.array_equal(block[:count], images[rows]) for rows, block, count in found)


@pytest.fixture
def store(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"a network")
    return evidence.Store(tmp_path)


def test_two_processes_wait_for_one_another_and_compute_it_once(store, tmp_path):
    made, started = [], threading.Event()

    def make(path):
        made.append(path)
        started.set()
        time.sleep(0.5)  # longer than what an impatient process waits
        np.save(path, np.zeros((3, 2)))

    other = threading.Thread(target=evidence.Store(tmp_path).array, args=("x", 3, make))
    other.start()
    started.wait()
    assert store.array("x", 3, make).shape == (3, 2) and len(made) == 1
    other.join()


def test_what_a_killed_process_left_is_removed(store):
    store.folder.mkdir()
    (store.folder / ".part-1234.npy").write_bytes(b"half")
    store.array("x", 1, lambda path: np.save(path, np.zeros(1)))
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "x.npy"]


def test_what_would_wait_for_itself_is_refused(store):
    with pytest.raises(Failure, match="y: cannot be computed within x"):
        store.array("x", 1, lambda path: store.array("y", 1, path.touch))
    assert store.array("x", 1, lambda path: np.save(path, np.zeros(1))).shape == (1,)


@pytest.mark.parametrize(
    "wrong", [np.zeros((3, 5), np.float32), np.zeros((3, 4)), np.zeros((3, 4), np.int32), np.zeros(3, np.float32)]
)
def test_an_array_of_another_shape_or_type_is_made_again_with_a_word(store, wrong, caplog):
    store.folder.mkdir()
    np.save(store.folder / "x.npy", wrong)
    found = store.array("x", 3, lambda path: np.save(path, np.ones((3, 4), np.float32)), 4)
    assert found.shape == (3, 4) and found.dtype == np.float32 and found.all()
    assert "expected float32 of (3, 4)" in caplog.text and "made again" in caplog.text


def test_what_is_computed_is_of_the_shape_that_was_said(store):
    with pytest.raises(Failure, match=r"x: what was computed is not float32 of \(3, 4\)"):
        store.array("x", 3, lambda path: np.save(path, np.ones((3, 5), np.float32)), 4)
