"""Runs: finished once, gone on with after a kill, compared with their baseline, scored and shown."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import writer
from in_process import SETTINGS, invoke, only, outcome, same, train

from benchmark.core import files


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A clean and a poisoned file of one source, 4 classes, 16×16 pixels."""
    return writer.toy(tmp_path_factory.mktemp("toy"))


def command(*arguments):
    return [sys.executable, "-m", "benchmark", "train", *SETTINGS, *map(os.fspath, arguments)]


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """A finished run of the poisoned file. Copy what you change."""
    runs = tmp_path_factory.mktemp("finished")
    train(toy[1], "--runs", runs, "--quiet")
    return only(runs)


def test_what_a_finished_run_holds(finished, toy):
    names = sorted(path.name for path in finished.iterdir() if path.name != ".lock")
    assert names == ["config.json", "history.csv", "losses.npz", "model.keras", "predictions.npz", "result.json"]
    result = json.loads((finished / "result.json").read_text())
    assert result["dataset"]["name"] == "toy-square-0.1-s0" and result["name"] == finished.name
    assert result["config"] == json.loads((finished / "config.json").read_text())
    scores, predicted = result["scores"], files.read_npz(finished / "predictions.npz")
    labels = np.arange(60) % 4
    assert scores["ba"] == {"count": int((predicted["test"] == labels).sum()), "of": 60,
                            "percent": 100 * float((predicted["test"] == labels).mean())}  # fmt: skip
    assert scores["asr"]["count"] == int((predicted["triggered"] == 0).sum()) and scores["asr"]["of"] == 45
    assert scores["asr_by_class"][0] is None and sum(entry["of"] for entry in scores["asr_by_class"][1:]) == 45
    assert result["device"] and result["images_per_second"] > 0 and "keras" in result["environment"]["versions"]
    head, *rows = (finished / "history.csv").read_text().splitlines()
    assert head == "epoch,loss,ba,asr,seconds,score_seconds,images" and len(rows) == 4


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(finished, toy, tmp_path):
    train(toy[1], "--runs", tmp_path / "again", "--quiet")
    same(outcome(only(tmp_path / "again")), outcome(finished))
    train(toy[1], "--runs", tmp_path / "other", "--quiet", "--seed", "1")
    assert outcome(only(tmp_path / "other"))[1] != outcome(finished)[1]


def test_a_finished_run_is_not_trained_again(finished, toy):
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    done = train(toy[1], "--runs", finished.parent)
    assert "already finished" in done.stderr and "25.0" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in finished.iterdir()}


@pytest.mark.slow
def test_killed_three_times_it_ends_with_the_same_numbers(finished, toy, tmp_path):
    """`kill -9` of the real process, each time as soon as it has got on by an epoch."""
    history = tmp_path / finished.name / "history.csv"
    for epoch in (1, 2, 3):
        with subprocess.Popen(command(toy[1], "--runs", tmp_path), stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 300
            while not history.is_file() or history.read_text().count("\n") <= epoch:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
    assert (tmp_path / finished.name / "checkpoint.npz").is_file()
    done = train(toy[1], "--runs", tmp_path)
    assert "from epoch" in done.stderr or "already finished" in done.stderr
    same(outcome(tmp_path / finished.name), outcome(finished))
    assert not (tmp_path / finished.name / "checkpoint.npz").exists()


class Killed(BaseException):
    """Stands for SIGKILL: no handler in the program may catch it."""


@pytest.mark.slow
def test_stopped_before_any_of_its_files_it_ends_with_the_same_numbers(finished, toy, tmp_path, monkeypatch):
    real = os.replace
    for stop in range(20):
        runs, seen = tmp_path / str(stop), iter(range(100))

        def replace(source, target, stop=stop, seen=seen):
            if next(seen) == stop:
                raise Killed
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        stopped = False
        try:
            train(toy[1], "--runs", runs, "-q")
        except Killed:
            stopped = True
        monkeypatch.setattr(os, "replace", real)
        train(toy[1], "--runs", runs, "-q")
        same(outcome(only(runs)), outcome(finished))
        assert not list(only(runs).glob(".part-*")) and not (only(runs) / "checkpoint.npz").exists()
        if not stopped:
            assert stop == 17  # config, 4 × (losses, checkpoint, history), predictions, history, model, result
            return
    raise AssertionError("a run writes more files than expected")


def test_ctrl_c_says_where_it_goes_on(toy, tmp_path):
    long = [*command(toy[1], "--runs", tmp_path), "--epochs", "5000"]
    with subprocess.Popen(long, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("*/checkpoint.npz")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        lines = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert re.fullmatch(r"benchmark: stopped; the same command goes on from epoch \d+", lines[-1])


def test_two_processes_on_one_run(finished, toy, tmp_path):
    shutil.copytree(finished, tmp_path / finished.name)
    (tmp_path / finished.name / "result.json").unlink()
    with files.locked(tmp_path / finished.name):
        done = train(toy[1], "--runs", tmp_path, "-q", code=1)
    assert done.stderr.endswith("another process is working on this run\n") and done.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_nothing_half_written(toy, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = train(toy[1], "--runs", tmp_path, "-q", code=1)
    assert "config.json: No space left on device (make room" in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in only(tmp_path).iterdir()] == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_checkpoint_is_named(content, finished, toy, tmp_path):
    folder = tmp_path / finished.name
    shutil.copytree(finished, folder)
    (folder / "result.json").unlink()
    if content is None:
        files.write_npz(folder / "checkpoint.npz", {"0000": np.zeros(3)})
    else:
        (folder / "checkpoint.npz").write_bytes(content)
    done = train(toy[1], "--runs", tmp_path, "-q", code=1)
    assert "checkpoint.npz: damaged" in done.stderr and "delete it" in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_of_another_configuration(finished, toy, tmp_path):
    folder = tmp_path / finished.name
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert "another configuration" in train(toy[1], "--runs", tmp_path, "-q", code=1).stderr


def test_cad_comes_with_the_clean_run_whenever_that_appears(finished, toy, tmp_path):
    shutil.copytree(finished, tmp_path / finished.name)
    hint = invoke("show", tmp_path).stdout
    assert re.search(rf"no CAD yet.*: benchmark train {toy[0]} --.* --runs {tmp_path}$", hint)
    train(toy[0], "--runs", tmp_path, "-q", "--seed", "5")
    (shown,) = (row for row in results(tmp_path) if row["name"] == finished.name)
    assert shown["baseline"]["how"] == "mean of 1 other seed" and shown["baseline"]["asr"] is None
    clean = next(row for row in results(tmp_path) if row["dataset"]["kind"] == "clean")
    assert shown["baseline"]["cad"] == clean["scores"]["ba"]["percent"] - shown["scores"]["ba"]["percent"]
    assert clean["scores"]["asr"] is None and clean["baseline"] is None
    train(toy[1], "--runs", tmp_path, "-q")  # knows both files: adds what the trigger does to the clean model
    stored = json.loads((tmp_path / finished.name / "result.json").read_text())["baseline"]
    assert stored["asr"]["of"] == 45 and stored["runs"] == [clean["name"]]
    train(toy[0], "--runs", tmp_path, "-q")
    (shown,) = (row for row in results(tmp_path) if row["name"] == finished.name)
    assert shown["baseline"]["how"] == "same seed" and "no CAD yet" not in invoke("show", tmp_path).stdout


def test_a_baseline_given_by_hand(finished, toy, tmp_path):
    shutil.copytree(finished, tmp_path / "runs" / finished.name)
    train(toy[0], "--runs", tmp_path / "clean", "-q", "--epochs", "1")
    clean = only(tmp_path / "clean")
    train(toy[1], "--runs", tmp_path / "runs", "-q", "--baseline", clean)
    (shown,) = results(tmp_path / "runs")
    assert shown["baseline"]["how"] == "given" and shown["baseline"]["runs"] == [clean.name]
    assert shown["baseline"]["asr"]["of"] == 45
    wrong = train(toy[1], "--runs", tmp_path / "runs", "-q", "--baseline", finished, code=1)
    assert "must be trained on a clean file" in wrong.stderr
    assert "not a run" in train(toy[1], "--runs", tmp_path / "runs", "--baseline", tmp_path, "-q", code=1).stderr


def results(runs):
    return json.loads(invoke("show", runs, "--json").stdout)


def test_hold_out_trains_on_fewer_rows(toy, tmp_path):
    train(toy[1], "--runs", tmp_path, "-q", "--hold-out", "20", "--epochs", "1")
    assert (only(tmp_path) / "history.csv").read_text().splitlines()[1].endswith(",100")
    assert "leaves nothing of 120" in train(toy[1], "--runs", tmp_path, "-q", "--hold-out", "120", code=1).stderr


def test_more_patches_than_the_images_have(toy, tmp_path):
    assert (
        "--network pmoe on images of 16x16: its network's top_k is 17, of 16 patches"
        in train(toy[1], "--runs", tmp_path / "runs", "--top-k", "17", "-q", code=2).stderr
    )
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_explodes_is_said(toy, tmp_path):
    done = train(toy[1], "--runs", tmp_path, "-q", "--learning-rate", "1e30", code=1)
    assert "try a smaller --learning-rate" in done.stderr


def test_a_network_that_diverges_in_its_last_step_is_no_result(toy, tmp_path):
    """It predicts class 0 of everything, which is the attacker's: an ASR of 100 %, after a loss that was a number."""
    whole = ("--epochs", "1", "--batch-size", "120", "--learning-rate", "1e38")
    done = train(toy[1], "--runs", tmp_path, "-q", *whole, code=1)
    assert "diverged in the last epoch" in done.stderr and "try a smaller --learning-rate" in done.stderr
    assert not list(tmp_path.glob("*/result.json"))


def test_score_and_show(finished, toy, tmp_path):
    again = invoke("score", finished, toy[1], "--json")
    assert json.loads(again.stdout)["scores"] == json.loads((finished / "result.json").read_text())["scores"]
    assert "ASR" not in invoke("score", finished, toy[0]).stdout
    shown = invoke("show", finished, "--wide").stdout
    assert re.search(r"BA +ASR +CAD", shown) and finished.name in shown
    assert len(json.loads(invoke("show", finished, finished.parent, "--json").stdout)) == 2
    assert "no finished run" in invoke("show", tmp_path).stderr
    assert invoke("show", tmp_path / "absent").exit_code == 2
    assert "no trained model" in scored_without("model.keras", finished, toy, tmp_path)
    assert "not finished" in scored_without("result.json", finished, toy, tmp_path)
    broken = tmp_path / "model.keras" / finished.name / "model.keras"
    broken.write_bytes(b"no model")
    assert "not a model" in invoke("score", broken.parent, toy[1]).stderr
    other = writer.toy(tmp_path, classes=5)[1]
    assert "its classes are not those" in invoke("score", finished, other).stderr


def scored_without(name, finished, toy, tmp_path):
    folder = tmp_path / name / finished.name
    shutil.copytree(finished, folder)
    (folder / name).unlink()
    done = invoke("score", folder, toy[1])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.slow
def test_several_files_each_in_a_process_of_its_own_clean_ones_first(toy, tmp_path):
    done = train(toy[1], toy[0], "--runs", tmp_path, "-q", "--epochs", "1")
    shown = done.stdout
    assert 0 < shown.index("toy-clean--") < shown.index("toy-square") and "same seed" in shown


def test_a_failed_process_is_the_failure_of_the_command(toy, tmp_path):
    done = train(toy[0], "--runs", tmp_path, "-q", "--seeds", "2", "--hold-out", "120", code=1)
    assert done.stdout == "" and not list(tmp_path.glob("*/result.json"))


def test_seeds_are_summed_up_by_mean_and_standard_deviation(finished, tmp_path):
    for seed, count in ((0, 15), (1, 18), (2, 21)):
        result = json.loads((finished / "result.json").read_text())
        result["scores"]["ba"] = {"count": count, "of": 60, "percent": count / 0.6}
        result["config"]["seed"], result["name"] = seed, f"run-{seed}"
        (tmp_path / f"run-{seed}").mkdir()
        files.write_json(tmp_path / f"run-{seed}" / "result.json", result)
        files.write_json(tmp_path / f"run-{seed}" / "config.json", result["config"])
    shown = invoke("show", tmp_path, "--wide").stdout.split("\n\n")[-1]
    title, _, row, *_ = shown.splitlines()
    assert title == "mean ± standard deviation over seeds"
    assert re.match(r"\S+ +square .* 3 training seeds +30.0 ± 5.0 ", row)


def jax(toy, runs):
    arguments = command(toy[1], "--runs", runs, "--backend", "jax", "-q", "--epochs", "2", "--batch-size", "40")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    return only(runs)


@pytest.mark.slow
def test_jax_trains(toy, tmp_path):
    folder = jax(toy, tmp_path)
    assert "--w1-e2-jax-t0-" in folder.name
    rows = outcome(folder)[2]
    assert float(rows[1][1]) > float(rows[2][1])


@pytest.mark.slow
def test_jax_repeats_itself_and_goes_on_after_a_kill(toy, tmp_path):
    """Stopped after its first epoch by a copy of the folder as it was then."""
    first = jax(toy, tmp_path / "a")
    folder = tmp_path / "b" / first.name
    arguments = command(
        toy[1], "--runs", tmp_path / "b", "--backend", "jax", "-q", "--epochs", "2", "--batch-size", "40"
    )
    with subprocess.Popen(arguments) as process:
        while not (folder / "history.csv").is_file():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    same(outcome(jax(toy, tmp_path / "b")), outcome(first))


def test_help_is_fast_because_it_imports_no_backend():
    check = (
        "import sys; from benchmark.cli.main import main\n"
        "try: main(['train', '--help'])\n"
        "finally: assert not {'keras', 'tensorflow', 'jax', 'h5py', 'numpy'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--preset" in done.stdout


@pytest.mark.parametrize("arguments", [("--preset", "huge"), ("--width", "0"), ("--backend", "mxnet"), ()])
def test_usage(arguments, toy):
    paths = toy[:1] if arguments else []
    assert invoke("train", *arguments, *paths).exit_code == 2
