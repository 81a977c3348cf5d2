"""Runs that are stopped in time, and go on: the real commands on small files."""

import functools
import json
import os
import re
import subprocess
import sys
import time

import click.testing
import pytest
import writer
from in_process import outcome, same

from benchmark.cli import main
from benchmark.runs import position, stopping

SETTINGS = ("--width", "1", "--top-k", "4", "--batch-size", "16", "--epochs", "6")


def invoke(*words, code=0):
    done = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The two files, and the runs of a sweep that nobody stopped."""
    root = tmp_path_factory.mktemp("whole")
    files = writer.toy(root)
    invoke("sweep", *files, *SETTINGS, "--runs", root / "runs", "-q")
    return files, root / "runs"


@pytest.fixture
def after_two_epochs(monkeypatch):
    """`--stop-after 100s`, by a clock that goes on by 40 seconds an epoch."""
    clock = {"now": 0.0}
    plain = stopping.StopInTime.on_epoch

    def on_epoch(self, epoch, predicted):
        clock["now"] += 40.0
        plain(self, epoch, predicted)

    monkeypatch.setattr(stopping.StopInTime, "on_epoch", on_epoch)
    limited = functools.partial(stopping.StopInTime, clock=lambda: clock["now"])
    monkeypatch.setattr(stopping, "StopInTime", limited)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_in_a_sweep_to_the_same_end(whole, tmp_path, after_two_epochs):
    (clean, poisoned), runs = whole
    done = invoke("train", poisoned, *SETTINGS, "--runs", tmp_path, "--stop-after", "100s", "-q")
    (folder,) = tmp_path.iterdir()
    assert done.stdout == "" and done.stderr == (
        f"benchmark: {folder.name}: stopped after epoch 2 of 6, to end in time; the same command goes on\n"
    )
    assert (folder / "checkpoint.npz").is_file() and not (folder / "result.json").exists()
    assert not (folder / position.NAME).exists()
    states = json.loads(invoke("sweep", clean, poisoned, *SETTINGS, "--runs", tmp_path, "-n", "--json").stdout)
    assert [entry["state"] for entry in states] == ["to do", "33 % done"]

    words = ("sweep", clean, poisoned, *SETTINGS, "--runs", tmp_path, "--stop-after", "30m", "--jobs", "2")
    done = invoke(*words)
    assert done.stdout == "2 runs: 0 existed, 2 made\n"
    assert "from epoch 3" in (folder / "log.txt").read_text()
    for run in tmp_path.iterdir():
        same(outcome(run), outcome(runs / run.name))
        assert not (run / position.NAME).exists()
    compared = [json.loads((path / folder.name / "result.json").read_text())["baseline"] for path in (tmp_path, runs)]
    assert compared[0] == compared[1] and compared[0]["asr"]["of"] > 0


def test_json_of_a_run_that_was_stopped_is_an_empty_list(whole, tmp_path, after_two_epochs):
    done = invoke("train", whole[0][0], *SETTINGS, "--runs", tmp_path, "--stop-after", "100", "-q", "--json")
    assert json.loads(done.stdout) == []


@pytest.mark.slow
def test_a_poisoned_run_before_its_clean_run_gets_the_same_cad(whole, tmp_path):
    (clean, poisoned), runs = whole
    done = invoke("sweep", poisoned, clean, *SETTINGS, "--runs", tmp_path)
    assert done.stdout == "2 runs: 0 existed, 2 made\n"
    shown = [line.split("--")[0] for line in done.stderr.splitlines()]
    assert shown == ["toy-square-0.1-s0", "toy-clean"], done.stderr
    (folder,) = tmp_path.glob("toy-square*")
    ours, theirs = (json.loads((path / folder.name / "result.json").read_text()) for path in (tmp_path, runs))
    assert ours["baseline"] == theirs["baseline"] is not None and ours["scores"] == theirs["scores"]
    assert invoke("sweep", poisoned, clean, *SETTINGS, "--runs", tmp_path).stdout == "2 runs: 2 existed, 0 made\n"


def test_there_is_no_time_at_all(whole, tmp_path):
    """Longer than any start: nothing is begun, nothing fails, and the line says so."""
    (clean, poisoned), _ = whole
    words = ("sweep", clean, poisoned, *SETTINGS, "--runs", tmp_path, "--stop-after", "0.001")
    done = invoke(*words)
    assert done.stdout == "2 runs: 0 existed, 0 made, 2 left (2 not begun); the same command goes on with them\n"
    left = json.loads(invoke(*words, "--json").stdout)
    assert (left["made"], left["failed"], list(left["left"].values())) == (0, {}, ["to do", "to do"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--stop-after", "soon"), "expected a duration such as 8m, 1h30m, 90s or 90 (seconds), got 'soon'"),
        (("--stop-after", "0"), "expected a duration above 0 and of at most a year, got '0'"),
        (
            ("--stop-after", "8m", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1"),
            "--stop-after is not for --engine dask: its scheduler decides when a run starts",
        ),
    ],
    ids=["no duration", "nothing", "dask"],
)
def test_usage(whole, tmp_path, words, line):
    done = invoke("sweep", whole[0][0], "--runs", tmp_path / "runs", *words, code=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and line in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_process_ends_itself_where_nobody_ends_it():
    """`train` alone has no sweep above it that would kill it."""
    text = (
        "import time\n"
        "from benchmark.cli import train\n"
        "from benchmark.runs import stopping\n"
        "with train.ended_in_time(stopping.StopInTime(0.1), 'a-run'):\n"
        "    time.sleep(60)\n"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0 and time.monotonic() - begun < 50
    assert done.stderr == (
        "benchmark: a-run: stopped in the middle of an epoch, to end in time; the same command repeats that epoch\n"
    )


def test_several_runs_of_train_stop_too(whole, tmp_path, monkeypatch):
    from benchmark.sweep import processes

    asked = []

    def foreground(words):
        asked.append([word for word in words if "--stop-after" in word])
        return 0

    monkeypatch.setattr(processes, "foreground", foreground)
    done = invoke("train", *whole[0], *SETTINGS, "--runs", tmp_path, "--stop-after", "1h", "-q")
    assert len(asked) == 1 and re.fullmatch(r"--stop-after=3[56]\d\d\.\ds", asked[0][0])
    assert done.stderr == "benchmark: 2 of 2 runs left when the time was up; the same command goes on\n"
    assert done.stdout == ""


@pytest.mark.slow
def test_a_sweep_ends_in_time(whole, tmp_path):
    """By the real clock: 25 seconds, and runs of hours."""
    (clean, poisoned), _ = whole
    words = ["sweep", clean, poisoned, *SETTINGS[:-1], "90000", "--runs", tmp_path, "--stop-after", "25s"]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *map(os.fspath, words)],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0 and time.monotonic() - begun < 25 + 10, "with Python's own start and end"
    said = re.fullmatch(
        r"2 runs: 0 existed, 0 made, 2 left \((toy-clean--\S+) after epoch (\d+) of 90000, 1 not begun\); "
        r"the same command goes on with them\n",
        done.stdout,
    )
    assert said and int(said[2]) >= 1, done
    assert (tmp_path / said[1] / "checkpoint.npz").is_file()
