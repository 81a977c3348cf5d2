"""What lies in the user's working directory is not imported: not by a command, not by the processes that it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import writer

from benchmark.core import child_process

SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "40")
NAMES = ("numpy", "keras", "h5py", "json", "tokenizers", "runpy", "distributed")
COMMAND = Path(sys.executable).with_name("benchmark")


@pytest.fixture
def trap(tmp_path):
    """A working directory in which everything that might be imported by mistake says so."""
    folder = tmp_path / "here"
    (folder / "benchmark").mkdir(parents=True)
    for name in (*NAMES, "benchmark/__init__", "poisonkit"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} of the working directory')\n")
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"))


def run(trap, *words, **variables):
    """The real command, started in that directory."""
    if not COMMAND.is_file():
        pytest.skip("the command `benchmark` is not installed")
    command = [COMMAND, *map(os.fspath, words)]
    environment = os.environ | variables
    return subprocess.run(command, cwd=trap, capture_output=True, text=True, check=False, env=environment)


def finished(runs):
    return sorted(json.loads(path.read_text())["dataset"]["name"] for path in runs.glob("*/result.json"))


def test_train_in_this_process_and_in_others(trap, toy, tmp_path):
    done = run(trap, "train", toy[0], *SETTINGS, "--runs", tmp_path / "runs", "-q")
    assert done.returncode == 0, done.stderr
    done = run(trap, "train", *toy, *SETTINGS, "--runs", tmp_path / "runs", "-q")
    assert done.returncode == 0, done.stderr
    assert finished(tmp_path / "runs") == ["toy-clean", "toy-square-0.1-s0"]


@pytest.mark.slow
def test_sweep(trap, toy, tmp_path):
    done = run(trap, "sweep", toy[0], *SETTINGS, "--runs", tmp_path / "runs", "-q")
    assert (done.returncode, done.stdout) == (0, "1 run: 0 existed, 1 made\n"), done.stderr


@pytest.mark.slow
def test_sweep_on_a_dask_cluster(trap, toy, tmp_path):
    """Scheduler and worker are started there, too, as their own command starts them."""
    pytest.importorskip("distributed", reason="dask[distributed] is not installed (the extra `cluster`)")
    code = "import sys; sys.argv[0] = 'dask'; sys.path[:1] = []; from dask.__main__ import main; main()"
    quiet = ("--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(tmp_path / "scheduler.json"))
    words = {"scheduler": ("--port", "0"), "worker": ("--nthreads", "1", "--local-directory", str(tmp_path))}
    with open(tmp_path / "dask.log", "wb") as log:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, name, *own, *quiet],
                cwd=trap,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for name, own in words.items()
        ]
        try:
            where = ("--engine", "dask", "--scheduler", tmp_path / "scheduler.json", "--runs", tmp_path / "runs", "-q")
            while not (tmp_path / "scheduler.json").exists():
                assert started[0].poll() is None, (tmp_path / "dask.log").read_text()
            done = run(trap, "sweep", toy[0], *SETTINGS, *where)
        finally:
            for process in reversed(started):
                os.killpg(process.pid, 9)
                process.wait()
    assert (done.returncode, done.stdout) == (0, "1 run: 0 existed, 1 made\n"), done.stderr


def test_checks_of_files_and_tokenizers(trap, toy, tmp_path):
    """Each in a child process; what it says is of the file, not of the working directory."""
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"no HDF5")
    done = run(trap, "train", broken, *SETTINGS)
    assert done.stderr == f"benchmark: {broken}: not an HDF5 file\n"
    pytest.importorskip("tokenizers")
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    check = child_process.command("benchmark.nn.tokenizer_sandbox", [str(tokenizer)])
    done = subprocess.run(check, cwd=trap, capture_output=True, text=True, env=child_process.environment(), check=False)
    assert done.returncode == child_process.REFUSED and done.stdout.startswith("not a tokenizer"), done.stderr


def test_pythonpath_goes_on_working(tmp_path):
    """The working directory is on the path where PYTHONPATH names it, and only there."""
    (tmp_path / "mine.py").write_text("print('mine')\n")
    (tmp_path / "other").mkdir()

    def imported(**variables):
        words = [*child_process.command("mine", ["an argument"])]
        environment = child_process.environment(**variables)
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)

    assert imported(PYTHONPATH=str(tmp_path / "other")).returncode == 1
    assert imported(PYTHONPATH=os.pathsep.join([str(tmp_path / "other"), str(tmp_path)])).stdout == "mine\n"


def test_the_user_s_site_goes_on_working(tmp_path):
    """By the Python that the virtual environment was made of: in the environment itself there is no such site."""
    python = Path(sys.base_prefix) / "bin" / "python3"
    if not python.is_file():
        pytest.skip("no such Python")
    environment = child_process.environment(PYTHONUSERBASE=str(tmp_path / "user"))
    where = [python, "-m", "site", "--user-site"]
    folder = Path(subprocess.run(where, capture_output=True, text=True, env=environment, check=True).stdout.strip())
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("print('mine')\n")
    command = [python, *child_process.command("mine", [])[1:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "mine\n", done.stderr


def test_a_module_is_run_as_python_m_runs_it(tmp_path):
    (tmp_path / "shown.py").write_text("import sys; print(__name__, sys.argv[1:], '' in sys.path)\n")
    words = child_process.command("shown", ["--x", "y z"])
    environment = child_process.environment(PYTHONPATH=str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "__main__ ['--x', 'y z'] False\n", done.stderr
