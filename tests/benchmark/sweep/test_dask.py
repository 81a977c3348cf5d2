"""A real Dask cluster: a scheduler and two workers as processes of their own, one of them killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import writer

from benchmark.core import files

pytest.importorskip("distributed", reason="dask[distributed] is not installed (the extra `cluster`)")

SETTINGS = ("--width", "1", "--epochs", "40", "--top-k", "4", "--batch-size", "16")


def dask(*words, log):
    """`dask WORDS` as a process, in a session of its own so that its children can be ended with it."""
    command = [sys.executable, "-m", "dask", *map(os.fspath, words)]
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler file, and two workers (Popen) that run one task at a time."""
    where, processes = tmp_path / "scheduler.json", []
    with open(tmp_path / "dask.log", "wb") as log:
        quiet = ("--no-dashboard", "--host", "127.0.0.1")
        processes.append(dask("scheduler", "--scheduler-file", where, "--port", "0", *quiet, log=log))
        one = ("--scheduler-file", where, "--nthreads", "1", "--no-nanny", "--local-directory", tmp_path, *quiet)
        workers = [dask("worker", "--name", str(name), *one, log=log) for name in range(2)]
        processes += workers
        try:
            yield where, workers
        finally:
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.mark.slow
def test_a_worker_that_dies_in_the_middle_costs_no_run(cluster, tmp_path):
    scheduler, workers = cluster
    _, poisoned = writer.toy(tmp_path)
    runs = tmp_path / "runs"
    words = ["sweep", poisoned, *SETTINGS, "--runs", runs, "--seeds", "2"]
    words += ["--engine", "dask", "--scheduler", scheduler]
    command = [sys.executable, "-m", "benchmark", *map(os.fspath, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        deadline = time.monotonic() + 120
        while len(list(runs.glob("*/checkpoint.npz"))) < 2:  # both workers are at it
            assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "dask.log").read_text()
            time.sleep(0.02)
        workers[0].send_signal(signal.SIGKILL)
        out, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, err
    assert out == "2 runs: 0 existed, 2 made\n"
    results = [json.loads(path.read_text()) for path in runs.glob("*/result.json")]
    assert len(results) == 2 and all(result["scores"]["ba"]["of"] == 60 for result in results)
    continued = [path for path in runs.glob("*/log.txt") if "from epoch" in path.read_text()]
    assert len(continued) == 1, "the dead worker's run went on where it was"


@pytest.mark.slow
def test_ctrl_c_ends_the_runs_on_the_workers_too(cluster, tmp_path):
    _, poisoned = writer.toy(tmp_path)
    runs = tmp_path / "runs"
    words = ["sweep", poisoned, *SETTINGS, "--epochs", "5000", "--runs", runs, "-q"]
    command = [sys.executable, "-m", "benchmark", *words, "--engine", "dask", "--scheduler", cluster[0]]
    with subprocess.Popen(list(map(os.fspath, command)), stderr=subprocess.PIPE, text=True) as sweep:
        deadline = time.monotonic() + 120
        while not list(runs.glob("*/checkpoint.npz")):
            assert sweep.poll() is None and time.monotonic() < deadline, (tmp_path / "dask.log").read_text()
            time.sleep(0.02)
        sweep.send_signal(signal.SIGINT)
        said = sweep.communicate(timeout=60)[1]
    assert (sweep.returncode, said) == (130, "benchmark: stopped; the same command goes on with what is missing\n")
    (folder,) = runs.iterdir()
    assert not files.busy(folder)


def test_no_scheduler_there(tmp_path, monkeypatch):
    from benchmark.core.errors import Failure
    from benchmark.sweep import dask as cluster

    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(Failure, match="no Dask scheduler answers at tcp://127.0.0.1:1 "):
        cluster.Cluster("tcp://127.0.0.1:1", None)
