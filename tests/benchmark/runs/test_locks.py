"""File systems without locks, and the umask: what `benchmark` leaves, and whom it asks."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys

import click.testing
import fake_runs
import pytest
import writer

from benchmark.cli import main
from benchmark.core import files

SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16")
NO_LOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int how) { (void) file; (void) how; errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""


@pytest.fixture(autouse=True)
def unwarned():
    files._without_locks.clear()


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


def refuse(number):
    def flock(file, how):
        raise OSError(number, os.strerror(number))

    return flock


SLOW = [pytest.param(number, marks=pytest.mark.slow) for number in (errno.ENOSYS, errno.EOPNOTSUPP)]


@pytest.mark.parametrize("number", [errno.ENOLCK, *SLOW])
def test_train_and_sweep_go_on_with_one_warning(number, tmp_path, monkeypatch):
    clean, _ = writer.toy(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    done = invoke("train", clean, *SETTINGS, "--runs", tmp_path / "runs", "-q")
    (run,) = (tmp_path / "runs").iterdir()
    assert done.exit_code == 0 and files.is_file(run / "result.json"), done.output
    assert done.stderr.count("\n") == 1 and f"{run}: its file system has no locks" in done.stderr
    assert os.strerror(number) in done.stderr
    assert not files.busy(run), "nobody knows"
    (run / ".part-1.json").touch()
    (run / "result.json").unlink()
    assert invoke("train", clean, *SETTINGS, "--runs", tmp_path / "runs", "-q").exit_code == 0
    assert (run / ".part-1.json").is_file(), "it may be another process's"


def test_another_error_is_still_one(tmp_path, monkeypatch):
    clean, _ = writer.toy(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse(errno.EIO))
    done = invoke("train", clean, *SETTINGS, "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs a compiler and LD_PRELOAD")
@pytest.mark.slow
def test_the_real_thing(tmp_path):
    """A sweep of two files on a file system that knows no `flock`: its own warning, and those of its runs in logs."""
    writer.toy(tmp_path)
    (tmp_path / "nolock.c").write_text(NO_LOCK)
    library = tmp_path / "nolock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "nolock.c"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(library), "FLOCK_ERRNO": "37"}
    command = [sys.executable, "-m", "benchmark", "sweep", *SETTINGS, tmp_path, "--runs", tmp_path / "runs", "-q"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 and done.stdout == "2 runs: 0 existed, 2 made\n", done
    assert done.stderr.count("\n") == 1 and f"benchmark: {tmp_path}/runs/toy-" in done.stderr
    assert "has no locks (No locks available)" in done.stderr
    assert all("has no locks" in path.read_text() for path in (tmp_path / "runs").glob("*/log.txt"))


def modes(folder):
    return {path.relative_to(folder): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("mask", "mode"),
    [
        (0o027, 0o640),
        pytest.param(0o077, 0o600, marks=pytest.mark.slow),
        pytest.param(0o002, 0o664, marks=pytest.mark.slow),
    ],
)
def test_the_umask_is_honoured(mask, mode, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "data").mkdir()
    _, poisoned = writer.toy(tmp_path / "data")
    fake_runs.write(tmp_path / "fakes", history=[(1, 70, 40), (0.5, 80, 50)])
    before = os.umask(mask)
    try:
        words = ("--keep-epochs", "--hold-out", "30", "--runs", tmp_path / "out" / "runs", "-q")
        assert invoke("train", poisoned, *SETTINGS, *words).exit_code == 0
        (run,) = (tmp_path / "out" / "runs").iterdir()
        assert invoke("repair", run, "--method", "clp", "--option", "fine-tuning.epochs=1").exit_code == 0
        assert invoke("report", tmp_path / "fakes", "-o", tmp_path / "out" / "report").exit_code == 0
        assert invoke("figures", tmp_path / "fakes", "-o", tmp_path / "out" / "figures").exit_code == 0
        with files.create(tmp_path / "out" / "log.txt") as log:
            log.write(b"a")
    finally:
        os.umask(before)
    found = modes(tmp_path / "out")
    names = {path.name for path in found}
    assert {"result.json", "model.keras", "history.csv", "report.html", "log.txt", "epoch-001.keras"} < names
    assert {path: one for path, one in found.items() if one != mode} == {}
