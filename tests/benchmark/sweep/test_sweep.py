"""Sweeps: what there is to do, in which order, on which devices; failures, kills, and other sweeps beside them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import click.testing
import h5py
import pytest
import writer
from pretend_runs import finish, manifest, names, planned

from benchmark.cli import main
from benchmark.core import files
from benchmark.core.errors import Usage
from benchmark.sweep import plan, processes, sweep
from benchmark.sweep.progress import Overall

SETTINGS = ("--width", "1", "--top-k", "4", "--batch-size", "16")


def test_a_file_is_trained_with_the_seed_that_it_was_poisoned_with_and_a_clean_one_with_all(tmp_path):
    tasks = planned(tmp_path, manifest("a-s3", seed=3), manifest("b-s0", seed=0), manifest("clean", "clean"),
                    manifest("c-s3", seed=3), manifest("other", "clean", source="other"))  # fmt: skip
    assert names(tasks) == ["clean t0", "other t0", "clean t3", "b-s0 t0", "a-s3 t3", "c-s3 t3"]
    assert [task.after and task.after.name for task in tasks[3:]] == [tasks[0].name, tasks[2].name, tasks[2].name]
    assert tasks[0].images == 200 and "--seed=3" in tasks[2].arguments


def test_seeds_vary_training_alone(tmp_path):
    tasks = planned(tmp_path, manifest("a-s3", seed=3), manifest("clean", "clean"), seeds=2)
    assert names(tasks) == ["clean t0", "clean t1", "a-s3 t0", "a-s3 t1"]


def test_two_copies_of_a_file_are_one_run(tmp_path):
    assert names(planned(tmp_path, manifest("a-s0", seed=0), manifest("a-s0", seed=0))) == ["a-s0 t0"]


def test_which_files_are_meant(tmp_path):
    for name in ("b.h5", "a.h5", "a.manifest.json", ".part-1"):
        (tmp_path / name).touch()
    assert [path.name for path in plan.find([tmp_path, tmp_path / "a.h5"])] == ["a.h5", "b.h5"]
    with pytest.raises(Usage, match="no such file"):
        plan.find([tmp_path / "absent.h5"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Usage, match="no .h5 file there"):
        plan.find([tmp_path / "empty"])


class Pretend:
    """An engine that trains nothing: `room` tasks at a time, each ends at the next look as `outcome` says."""

    def __init__(self, outcome=lambda task: None, room=2):
        self.outcome, self.size = outcome, room
        self.running, self.log, self.stopped = [], [], False

    def room(self):
        return len(self.running) < self.size

    def start(self, task):
        self.running.append(task)
        self.log.append(names([task])[0])

    def ended(self):
        over, self.running = self.running, []
        found = [(task, self.outcome(task)) for task in over]
        for task, problem in found:
            if problem is None:
                finish(task)
        return found

    def stop(self):
        self.stopped = True


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sweep, "TICK", 0.001)


def go(tasks, engine):
    todo = plan.missing(tasks)
    run = sweep.Sweep(todo, engine, Overall(todo, len(tasks), quiet=True))
    return run.go()


def test_poisoned_runs_wait_for_the_clean_run_of_their_seed_alone(tmp_path, quick):
    tasks = planned(tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0), manifest("a-s1", seed=1))
    engine = Pretend(room=1)
    assert go(tasks, engine) == {} and engine.stopped
    assert engine.log == ["clean t0", "clean t1", "a-s0 t0", "a-s1 t1"]
    engine = Pretend(room=3)
    for task in tasks:
        shutil.rmtree(task.folder)
    go(tasks, engine)
    assert engine.log[:2] == ["clean t0", "clean t1"], "the third place stays free: nothing is ready for it"


def test_a_failed_run_stops_no_other(tmp_path, quick):
    tasks = planned(tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0), manifest("b-s0", seed=0))

    def outcome(task):
        if task.is_clean:
            (task.folder / processes.LOG).write_text("one\n\n" + "\n".join(f"line {n}" for n in range(9)) + "\n")
            return "exit code 1"
        return None

    engine = Pretend(outcome)
    failed = go(tasks, engine)
    assert failed == {tasks[0].name: ["exit code 1", *(f"line {n}" for n in range(4, 9))]}
    assert engine.log == ["clean t0", "a-s0 t0", "b-s0 t0"]
    again = Pretend()
    assert go(tasks, again) == {} and again.log[0] == "clean t0", "what failed is tried again"


def test_nothing_is_done_twice(tmp_path, quick):
    tasks = planned(tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0))
    go(tasks, Pretend())
    engine = Pretend()
    assert plan.missing(tasks) == [] and go(tasks, engine) == {} and engine.log == []
    more = planned(tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0), manifest("a-s1", seed=1))
    go(more, engine)
    assert engine.log == ["clean t1", "a-s1 t1"]


def test_a_clean_run_that_comes_later_is_compared_with(tmp_path, quick):
    """A finished run goes to its process once more when there is a clean model to compute its ASR with."""
    square = manifest("a-s0", seed=0)
    go(planned(tmp_path, square), Pretend())
    tasks = planned(tmp_path, square, manifest("clean", "clean"))
    assert names(plan.missing(tasks)) == ["clean t0", "a-s0 t0"]
    engine = Pretend(lambda task: (task.folder / "model.keras").touch())
    go(tasks, engine)
    assert engine.log == ["clean t0", "a-s0 t0"]
    (tasks[0].folder / "model.keras").unlink()
    assert plan.missing(tasks) == [], "without the model there is nothing to compute it with"


def test_a_run_that_ends_without_a_result_has_failed(tmp_path, quick):
    (task,) = planned(tmp_path, manifest("a-s0", seed=0))
    engine = Pretend()
    engine.ended = lambda: [(engine.running.pop(), None)] if engine.running else []
    assert go([task], engine) == {task.name: ["ended without a result"]}


def test_a_result_of_a_later_version_is_a_failure_of_that_run_alone(tmp_path, quick):
    tasks = planned(tmp_path, manifest("a-s0", seed=0), manifest("b-s0", seed=0))
    tasks[0].folder.mkdir(parents=True)
    (tasks[0].folder / "result.json").write_text('{"result_version": 2}')
    failed = go(tasks, Pretend())
    assert list(failed) == [tasks[0].name] and "of version 2" in failed[tasks[0].name][0]


def test_a_damaged_result_is_made_anew(tmp_path, quick):
    (task,) = planned(tmp_path, manifest("a-s0", seed=0))
    task.folder.mkdir(parents=True)
    (task.folder / "result.json").write_text("{")
    engine = Pretend()
    assert plan.missing([task]) == [task] and task.trained() == 0 and "made again" in task.problem()
    assert go([task], engine) == {} and engine.log == ["a-s0 t0"] and task.problem() is None


def test_a_run_that_another_process_works_on_is_waited_for(tmp_path, quick):
    busy, free = planned(tmp_path, manifest("a-s0", seed=0), manifest("b-s0", seed=0))
    busy.folder.mkdir(parents=True)
    engine, looks = Pretend(), iter(range(1000))
    with files.locked(busy.folder):
        assert files.busy(busy.folder)

        class Watch(Overall):
            def tick(self, running):
                if next(looks) == 20:
                    assert engine.log == ["b-s0 t0"]
                    raise KeyboardInterrupt

        todo = plan.missing([busy, free])
        with pytest.raises(KeyboardInterrupt):
            sweep.Sweep(todo, engine, Watch(todo, 2, quiet=True)).go()
    assert engine.stopped and not files.busy(busy.folder)
    go([busy, free], engine)
    assert engine.log == ["b-s0 t0", "a-s0 t0"]


def test_a_run_that_somebody_else_was_quicker_to_start_is_no_failure(tmp_path, quick):
    (task,) = planned(tmp_path, manifest("a-s0", seed=0))
    held = []

    def outcome(task):
        if not held:
            held.append(files.locked(task.folder))
            held[0].__enter__()
            return "exit code 1"
        return None

    class Watch(Overall):
        looks = 0

        def tick(self, running):
            self.looks += 1
            if self.looks == 10:
                held[0].__exit__(None, None, None)

    engine = Pretend(outcome)
    assert sweep.Sweep([task], engine, Watch([task], 1, quiet=True)).go() == {}
    assert engine.log == ["a-s0 t0", "a-s0 t0"]


def test_a_run_that_somebody_else_has_finished_meanwhile_is_no_failure(tmp_path, quick):
    (task,) = planned(tmp_path, manifest("a-s0", seed=0))

    def outcome(task):
        finish(task)
        return "exit code 1"

    engine = Pretend(outcome)
    assert go([task], engine) == {} and engine.log == ["a-s0 t0"]


def test_progress_goes_by_the_histories(tmp_path, capsys):
    tasks = planned(tmp_path, manifest("a-s0", seed=0), manifest("b-s0", seed=0, rows=300))
    watch = Overall(tasks, 7)
    tasks[1].folder.mkdir(parents=True)
    (tasks[1].folder / "history.csv").write_text("epoch\n1\n")
    watch.tick([tasks[1]])
    assert tasks[1].trained() == 300 and re.fullmatch(r", about \d+ s left", watch.left())
    finish(tasks[1])
    watch.done(tasks[1])
    watch.failed(tasks[0], ["exit code 1", "because"])
    watch.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{tasks[1].name}: BA 50.0, ASR 50.0  (6 of 7 runs, about ")
    assert second == f"{tasks[0].name}: failed, exit code 1  (7 of 7 runs, 1 failed)"


@pytest.mark.parametrize(
    ("named", "expected"),
    [("0,1", ["0", "1"]), ("2, MIG-7 ,2", ["2", "MIG-7", "2"]), ("", []), ("-1", []), ("1,-1,2", ["1"])],
)
def test_the_devices_that_are_named(named, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert processes.devices() == expected


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_devices_that_are_there(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    tool = program(tmp_path / "nvidia-smi", "echo 0; echo 1")
    assert processes.devices() == ["0", "1"]
    program(tool, "echo no driver; exit 9")
    assert processes.devices() == []
    tool.unlink()
    if not shutil.which("nvidia-smi"):
        assert processes.devices() == []


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Run so many tasks through `Processes`; (device, start, end) of each as their processes saw it."""
    script = 'echo "device=${CUDA_VISIBLE_DEVICES-none} $(date +%s.%N)"; sleep 0.3; date +%s.%N; exit "$4"'
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "pretend", script)))

    def start(count, jobs, gpus, codes=()):
        engine = processes.Processes(jobs, gpus)
        tasks = []
        for number in range(count):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            code = codes[number] if codes else 0
            tasks.append(SimpleNamespace(arguments=("train", str(code)), folder=tmp_path / str(number)))
        keys = [Key(task) for task in tasks]
        waiting, ended = list(keys), []
        while waiting or engine.running:
            while waiting and engine.room():
                engine.start(waiting.pop(0))
            ended += engine.ended()
            time.sleep(0.01)
        words = [(key.folder / processes.LOG).read_text().split() for key in keys]
        seen = [(word[0].removeprefix("device="), float(word[1]), float(word[2])) for word in words]
        return seen, {key.folder.name: problem for key, problem in ended}

    return start


class Key(SimpleNamespace):
    """A task that can be a key."""

    def __init__(self, task):
        super().__init__(**vars(task))

    def __hash__(self):
        return hash(self.folder)


def most_at_once(spans):
    return max(sum(start <= other < end for _, start, end in spans) for _, other, _ in spans)


def test_one_run_a_device(started, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen, problems = started(5, None, ["0", "3"])
    assert {device for device, *_ in seen} == {"0", "3"} and set(problems.values()) == {None}
    for device in ("0", "3"):
        assert most_at_once([span for span in seen if span[0] == device]) == 1
    assert most_at_once(seen) == 2
    assert most_at_once(started(3, 1, ["0", "3"])[0]) == 2
    assert most_at_once(started(4, None, ["0", "0"])[0]) == 2


def test_jobs_are_counted_on_each_device(started, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    gpus = processes.devices()
    seen, _ = started(5, 3, gpus)
    assert most_at_once(seen) == 3 and {device for device, *_ in seen} == {"5"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,MIG-1")
    seen, problems = started(9, 2, processes.devices())
    assert most_at_once(seen) == 4 and len(problems) == 9
    for device in ("0", "MIG-1"):
        assert most_at_once([span for span in seen if span[0] == device]) == 2
    assert {seen[0][0], seen[1][0]} == {"0", "MIG-1"}, "the first two are not put on one"


@pytest.mark.parametrize(
    ("devices", "jobs", "begun"),
    [("3", ("--jobs", "3"), {"3": 3}), ("0,1", ("--jobs", "2"), {"0": 2, "1": 2}), ("0,1", (), {"0": 1, "1": 1}),
     ("0", ("--jobs", "9" * 25), {"0": 9}),
     ("0,0", (), {"0": 2}), ("", ("--jobs", "2"), {None: 2}), ("", (), {None: 1})],
)  # fmt: skip
def test_jobs_of_the_command_are_a_gpu_s(tmp_path, monkeypatch, devices, jobs, begun):
    """What is begun before anything has ended, by the command itself."""
    _, poisoned = writer.toy(tmp_path)
    started = []

    def process(words, folder, device, at_once):
        started.append(device)
        return subprocess.Popen(["sleep", "600"])

    def look(self, running):
        if running:
            raise KeyboardInterrupt

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.setattr(processes, "process", process)
    monkeypatch.setattr(Overall, "tick", look)
    done = invoke("sweep", *SETTINGS, poisoned, "--seeds", "9", "--runs", tmp_path / "runs", *jobs)
    assert done.exit_code == 130 and Counter(started) == begun


def test_jax_shares_the_memory_of_a_device(tmp_path, monkeypatch):
    """JAX would take three quarters of it for the first process, and the second would find none."""
    script = 'echo "${XLA_PYTHON_CLIENT_MEM_FRACTION-unset}"'
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "pretend", script)))
    for name in processes.JAX_MEMORY:
        monkeypatch.delenv(name, raising=False)

    def shares(jobs, gpus):
        engine = processes.Processes(jobs, gpus)
        task = Key(SimpleNamespace(arguments=(), folder=tmp_path))
        engine.start(task)
        wait_for(engine.ended)
        return (tmp_path / processes.LOG).read_text().strip()

    assert [shares(*words) for words in ((None, ["0"]), (3, ["0"]), (2, ["0", "0"]), (3, []))] == [
        "unset", "0.300", "0.225", "unset",
    ]  # fmt: skip
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.1")
    assert shares(3, ["0"]) == "0.1"


def test_jobs_at_a_time_without_devices(started, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    seen, problems = started(6, 3, [], codes=[0, 3, 0, 0, 0, 0])
    assert most_at_once(seen) == 3 and {device for device, *_ in seen} == {""}
    assert problems.pop("1") == "exit code 3" and set(problems.values()) == {None}
    assert most_at_once(started(3, None, [])[0]) == 1


def test_problems_in_words():
    assert processes.problem(0) is None and processes.problem(2) == "exit code 2"
    assert (
        processes.problem(-9) == "killed by signal 9 (out of memory?)"
        and processes.problem(-15) == "killed by signal 15"
    )


def gone(pid):
    """Has the process ended (or is a zombie that nobody has asked for yet)?"""
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="processes are looked up in /proc")
def test_a_run_ends_with_the_sweep_that_started_it(tmp_path):
    """`kill -9` of the parent: the child notices and ends."""
    child = "import time; from benchmark.sweep import processes; processes.end_with_parent(0.05); time.sleep(600)"
    parent = (
        "import os, subprocess, sys, time; from benchmark.sweep import processes\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}],\n"
        "    env=os.environ | {processes.PARENT: str(os.getpid())})\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        time.sleep(0.5)
        assert not gone(pid)
        process.kill()
    wait_for(lambda: gone(pid))


def command(*words):
    return [sys.executable, "-m", "benchmark", "sweep", *SETTINGS, *map(os.fspath, words)]


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


def spoil(path):
    """Change a pixel of a file, so that it is not what its manifest says."""
    with h5py.File(path, "r+") as file:
        file["train/images"][0, 0, 0, 0] ^= 255


@pytest.mark.slow
def test_killed_with_a_run_that_fails_and_started_again(tmp_path):
    """The real thing: a clean and a poisoned file, a spoilt copy of another; `kill -9` of sweep in its middle."""
    clean, poisoned = writer.toy(tmp_path)
    arrays = writer.poisoned_arrays(writer.clean_arrays(), poisoned=6)
    spoilt, runs = tmp_path / "toy-spoilt.h5", tmp_path / "runs"
    writer.write(spoilt, arrays, writer.manifest_of(arrays, writer.clean_arrays(), "toy-spoilt"))
    spoil(spoilt)
    words = (tmp_path, "--epochs", "30", "--jobs", "2", "--runs", runs)
    listed = invoke("sweep", *SETTINGS, *words, "-n").stdout.splitlines()
    assert len(listed) == 3 and all(line.endswith("  to do") for line in listed) and not runs.exists()

    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(runs.glob("toy-clean*/checkpoint.npz")), 120)
        process.kill()
        assert len(list(runs.glob("*/result.json"))) < 2
    (folder,) = runs.glob("toy-clean*")
    wait_for(lambda: not files.busy(folder))

    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1 and done.stdout == "3 runs: 0 existed, 2 made, 1 failed\n", done
    tail = done.stderr.splitlines()[-3:]
    assert re.fullmatch(r"benchmark: toy-spoilt--.* failed", tail[0]) and tail[1] == "    exit code 1"
    assert "train/images is not what the manifest says" in tail[2] and str(spoilt) in tail[2]
    assert "from epoch" in (folder / "log.txt").read_text()
    (other,) = runs.glob("toy-square*")
    baseline = json.loads((other / "result.json").read_text())["baseline"]
    assert baseline["how"] == "same seed" and baseline["asr"]["of"] == 45

    spoil(spoilt)  # a pixel that is changed twice is what it was
    before = {path: path.stat().st_mtime_ns for name in (folder, other) for path in name.iterdir()}
    done = subprocess.run(command(*words, "-q"), capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 runs: 2 existed, 1 made\n", "")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert invoke("sweep", *SETTINGS, *words).stdout == "3 runs: 3 existed, 0 made\n"


def test_ctrl_c_ends_the_runs_too(tmp_path):
    _, poisoned = writer.toy(tmp_path)
    words = command(poisoned, "--epochs", "5000", "--runs", tmp_path / "runs", "-q")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(tmp_path.glob("runs/*/checkpoint.npz")), 120)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said == "benchmark: stopped; the same command goes on with what is missing\n"
    (folder,) = (tmp_path / "runs").iterdir()
    assert not files.busy(folder)


def test_what_cannot_be_read_is_reported_and_stops_nothing(tmp_path):
    (tmp_path / "no-data.h5").write_bytes(b"no data")
    done = invoke("sweep", tmp_path, "--runs", tmp_path / "runs")
    assert done.exit_code == 1 and done.stdout == "0 runs: 0 existed, 0 made\n"
    assert re.fullmatch(r"benchmark: \S+no-data.h5: not an HDF5 file\n", done.stderr)


def test_what_there_is_to_do_is_listed(tmp_path):
    writer.toy(tmp_path)
    words = ("sweep", *SETTINGS, "--epochs", "4", tmp_path, "--runs", tmp_path / "runs", "--dry-run")
    clean, poisoned = (line.split() for line in invoke(*words).stdout.splitlines())
    assert clean[0].startswith("toy-clean--") and clean[1:] == poisoned[1:] == ["to", "do"]
    (tmp_path / "runs" / clean[0]).mkdir(parents=True)
    (tmp_path / "runs" / clean[0] / "history.csv").write_text("epoch\n1\n2\n3\n")
    assert invoke(*words).stdout.splitlines() == [f"{clean[0]}  75 % done", f"{poisoned[0]}  to do"]


def test_usage(tmp_path):
    writer.toy(tmp_path)
    assert "go together" in invoke("sweep", tmp_path, "--engine", "dask").stderr
    assert invoke("sweep", tmp_path, "--scheduler", "tcp://h:1").exit_code == 2
    assert invoke("sweep", tmp_path / "absent").exit_code == 2
    assert invoke("sweep").exit_code == 2


def test_dask_that_is_not_installed_is_one_line(tmp_path, monkeypatch):
    writer.toy(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = invoke("sweep", tmp_path, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1", "--runs", tmp_path / "r")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and 'pip install "poisonkit[cluster]"' in done.stderr
