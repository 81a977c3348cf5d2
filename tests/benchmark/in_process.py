"""`benchmark` in this process, on small files, and what it leaves."""

import json
import os
import signal
import zipfile
from contextlib import contextmanager

import click.testing
import h5py
import numpy as np
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.core import files


@contextmanager
def within(seconds):
    """Fails what takes longer: a number that never ends must not take the tests with it."""

    def over(*_):
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


SETTINGS = ("--width", "1", "--epochs", "4", "--top-k", "4", "--batch-size", "16")


def invoke(*arguments):
    """`benchmark ARGUMENTS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])


def train(*arguments, code=0):
    done = invoke("train", *SETTINGS, *arguments)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def only(runs):
    (folder,) = runs.iterdir()
    return folder


def outcome(folder):
    """Everything of a finished run that must not depend on how often it was stopped."""
    result = json.loads((folder / "result.json").read_text())
    rows = [line.split(",")[:4] for line in (folder / "history.csv").read_text().splitlines()]
    arrays = files.read_npz(folder / "predictions.npz")
    losses = files.read_npz(folder / "losses.npz")
    assert len(losses["epochs"]) == min(5, len(rows) - 1)
    arrays |= {"epochs": losses["epochs"], "losses": np.nan_to_num(losses["losses"], nan=-1)}
    with zipfile.ZipFile(folder / "model.keras") as archive, h5py.File(archive.open("model.weights.h5")) as weights:
        found = {}
        weights.visititems(lambda name, node: found.update({name: node[()]} if isinstance(node, h5py.Dataset) else {}))
    return result["scores"], result["final_loss"], rows, arrays | found


def same(a, b):
    assert a[:3] == b[:3]
    assert len(a[3]) > 40 and a[3].keys() == b[3].keys()
    assert all(np.array_equal(a[3][name], b[3][name]) for name in a[3])


def refused(path, tmp_path) -> str:
    """The one line on stderr of `benchmark train`, which must exit with 1 and leave no run behind."""
    runs = tmp_path / "runs"
    done = CliRunner().invoke(main.main, ["train", str(path), "--runs", str(runs), "--preset", "small"])
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("benchmark: ")
    assert str(path) in done.stderr
    assert not runs.exists() or not list(runs.glob("*/result.json"))
    return done.stderr
