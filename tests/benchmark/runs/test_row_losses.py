"""The losses of training rows after the first epochs: what is recorded, on every backend, after a kill, and read."""

import dataclasses
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import text_writer
import writer
from in_process import SETTINGS, invoke, only, outcome, same, train

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.format import dataset
from benchmark.nn import engines
from benchmark.runs import row_losses
from benchmark.runs.run import Run
from benchmark.training import texts
from benchmark.training.callbacks import Epoch

engines.activate("tensorflow", threads=2)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """A run of six epochs, 20 rows held out. Copy what you change."""
    runs = tmp_path_factory.mktemp("finished")
    train(toy[1], "--runs", runs, "-q", "--epochs", "6", "--hold-out", "20", "--keep-epochs")
    return only(runs)


def by_hand(probabilities, labels):
    return -np.log(np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels])


def test_the_losses_after_each_of_five_epochs_are_those_of_the_network_then(finished, toy):
    from benchmark.nn import model_files

    data = dataset.load(toy[1])
    found = row_losses.read(finished, len(data.train))
    assert found.epochs.tolist() == [1, 2, 3, 4, 5]
    assert found.losses.dtype == np.float16 and found.losses.shape == (5, 120)
    kept = np.isin(np.arange(120), data.kept(20))
    assert np.isnan(found.losses[:, ~kept]).all() and (~kept).sum() == 20
    for epoch in (1, 5):
        model = model_files.load(finished / "epochs" / f"epoch-{epoch:03d}.keras")
        expected = by_hand(model(data.train.inputs, training=False), data.train.labels)
        np.testing.assert_allclose(found.losses[epoch - 1, kept], expected[kept], rtol=2e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_record_the_same(backend, toy, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    from benchmark.nn import model_files

    command = [sys.executable, "-m", "benchmark", "train", *SETTINGS, os.fspath(toy[1]), "--runs", os.fspath(tmp_path)]
    command += ["--backend", backend, "--epochs", "2", "--hold-out", "7", "-q"]
    subprocess.run(command, check=True)
    data = dataset.load(toy[1])
    found = row_losses.read(only(tmp_path), 120)
    kept = data.kept(7)
    expected = by_hand(model_files.load(only(tmp_path))(data.train.inputs, training=False), data.train.labels)
    assert found.epochs.tolist() == [1, 2] and np.isnan(found.losses).sum() == 14
    np.testing.assert_allclose(found.losses[1, kept], expected[kept], rtol=5e-3, atol=5e-3)


def test_texts_of_all_lengths_are_each_given_their_own_loss(tmp_path):
    from benchmark.nn import model_files

    _, poisoned = text_writer.toy(tmp_path)
    done = invoke("train", poisoned, "--encoder", "tiny", "--epochs", "1", "--hold-out", "20", "--batch-size", "16",
                  "--rows", "90", "--runs", tmp_path / "runs", "-q")  # fmt: skip
    assert done.exit_code == 0, done.output
    folder = only(tmp_path / "runs")
    data = dataset.load(poisoned)
    rows = texts.taken(data, Run.at(folder).settings)
    model = model_files.load(folder)
    tokens = texts.for_run(folder, data, model).train.inputs.tokens
    logits = np.asarray(model(tokens[rows], training=False), np.float64)
    expected = by_hand(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), data.train.labels[rows])
    found = row_losses.read(folder, len(data.train)).losses
    assert found.shape == (1, len(data.train)) and len(rows) == 90
    np.testing.assert_allclose(found[0, rows], expected, rtol=2e-3, atol=2e-3)
    assert np.isnan(np.delete(found[0], rows)).all()


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("stop", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_killed_between_its_files_a_run_loses_no_losses(stop, finished, toy, tmp_path, monkeypatch):
    real, seen = os.replace, iter(range(100))

    def replace(source, target):
        if next(seen) == stop:
            raise Killed
        real(source, target)

    words = (toy[1], "--runs", tmp_path, "-q", "--epochs", "6", "--hold-out", "20")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        train(*words)
    monkeypatch.setattr(os, "replace", real)
    assert train(*words).stderr == ""
    same(outcome(only(tmp_path)), outcome(finished))


def half_trained(toy, runs, spoil):
    """A run stopped after its second epoch's checkpoint, its losses spoilt, then finished; what was said."""
    calls = iter(range(100))

    def count(source, target, real=os.replace):
        if next(calls) == 6:  # config, 2 × (losses, checkpoint, history) are done, the next losses not
            raise Killed
        real(source, target)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", count)
        train(toy[1], "--runs", runs, "-q")
    spoil(only(runs) / "losses.npz")
    return train(toy[1], "--runs", runs, "-q").stderr


def test_losses_that_are_gone_are_said_and_the_others_recorded(toy, tmp_path):
    said = half_trained(toy, tmp_path, lambda path: path.unlink())
    assert "losses.npz: lacks the losses of rows after epoch 1" in said and said.count("\n") == 1
    found = row_losses.read(only(tmp_path), 120)
    assert found.epochs.tolist()[-1] == 4 and len(found.losses) == len(found.epochs) < 4


@pytest.mark.slow
def test_a_damaged_file_is_put_aside(toy, tmp_path):
    said = half_trained(toy, tmp_path, lambda path: path.write_bytes(b"PK"))
    assert "kept as losses.npz.damaged" in said and "lacks the losses" in said
    assert row_losses.read(only(tmp_path), 120).epochs.tolist()[-1] == 4


def test_what_was_recorded_past_the_checkpoint_is_recorded_anew(finished, toy, tmp_path):
    found = row_losses.read(finished, 120)
    early = found.up_to(2)
    assert early.epochs.tolist() == [1, 2] and np.array_equal(early.losses, found.losses[:2], equal_nan=True)


@pytest.mark.parametrize("change", [
    {"epochs": np.array([1, 1])}, {"epochs": np.array([2, 1])}, {"epochs": np.array([0, 1])},
    {"epochs": np.array([1.0, 2.0])}, {"losses": np.zeros((2, 3), "f2")}, {"losses": np.zeros((2, 4), "f4")},
    {"losses": np.zeros((1, 4), "f2")}, {"losses": np.full((2, 4), -np.inf, "f2")},
    {"epochs": np.array([2**63 - 1, -(2**63)])},
])  # fmt: skip
def test_other_files_are_not_read(change, tmp_path):
    good = row_losses.RowLosses(np.array([1, 2]), np.zeros((2, 4), "f2"))
    files.write_npz(tmp_path / "losses.npz", dataclasses.asdict(good))
    assert np.array_equal(row_losses.read(tmp_path, 4).losses, good.losses)
    files.write_npz(tmp_path / "losses.npz", dataclasses.asdict(good) | change)
    with pytest.raises(Damaged, match=r"losses\.npz: cannot be read"):
        row_losses.read(tmp_path, 4)


def test_a_run_without_says_so_and_a_link_is_not_followed(tmp_path):
    with pytest.raises(Failure, match="did not record the losses of its rows"):
        row_losses.read(tmp_path, 4)
    files.write_npz(tmp_path / "x.npz", {"epochs": np.array([1]), "losses": np.zeros((1, 4), "f2")})
    (tmp_path / "losses.npz").symlink_to(tmp_path / "x.npz")
    with pytest.raises(Damaged, match="is a link"):
        row_losses.read(tmp_path, 4)


def test_a_loss_beyond_float16_is_its_largest_number(tmp_path):
    class Method:
        rows = np.array([0, 2, 3])
        data = type("Data", (), {"train": range(4)})

    class Engine:
        def losses(self, rows):
            return np.array([1e9, 0.5, 1e-9], np.float32)

    record = row_losses.RecordLosses(Run(tmp_path, None), Method(), Engine(), 0)
    with np.errstate(over="raise", invalid="raise"):
        record.on_epoch(Epoch(1, 0.5, None, None, 1.0, 1.0, 3), {})
        record.on_epoch(Epoch(6, 0.5, None, None, 1.0, 1.0, 3), {})
    found = row_losses.read(tmp_path, 4)
    assert found.epochs.tolist() == [1]
    np.testing.assert_array_equal(found.losses, np.array([[65504, np.nan, 0.5, 0]], "f2"))
