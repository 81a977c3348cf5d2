"""Detectors that run or train networks, on a run of another backend, in processes of their own."""

import subprocess
import sys
from importlib.util import find_spec

import in_process
import pytest
import writer

METHODS = ("strip", "scale-up", "ibd-psc", "beatrix", "confusion")
QUICK = ("strip.overlays=4", "rounds=2", "first_epochs=1", "epochs=1", "steps=3", "last_steps=3", "confusion.batch=8")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_detectors_on_another_backend(backend, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    _, poisoned = writer.toy(tmp_path)
    runs = tmp_path / "runs"
    held = ("--hold-out", "30", "--learning-rate", "0.05", "--backend", backend)
    _benchmark("train", *in_process.SETTINGS, poisoned, "--runs", runs, "-q", *held)
    (run,) = runs.iterdir()
    methods = [word for name in METHODS for word in ("--method", name)]
    options = [word for one in QUICK for word in ("--option", one)]
    done = _benchmark("detect", run, *methods, *options, "--clean-rows", "30", "--no-twin")
    lacking = [line for line in done.stderr.splitlines() if line.startswith("benchmark: ")]
    found = {name for name in METHODS if list(run.glob(f"detect-{name}-*/scores.csv"))}
    # on so small a network nothing may tell the rows of one method apart, or a class lack clean rows: which it says
    assert {"strip", "ibd-psc", "confusion"} <= found and len(found) + len(lacking) == len(METHODS), done


def _benchmark(*words):
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
