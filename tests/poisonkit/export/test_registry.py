"""`poisonkit export` as a command: names, refusals, --force, what is left when it is stopped or the disk is full."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import damage
import numpy as np
import pytest

from poisonkit.exporters.registry import FORMATS

TEXTS = ("csv", "jsonl")
FOLDERS = [form.name for form in FORMATS if form.suffix is None and form.name not in ("backdoorbench", *TEXTS)]
FILES = [form.name for form in FORMATS if form.suffix is not None]


@pytest.fixture
def two(library, tmp_path):
    return shutil.copyfile(library("two"), tmp_path / "two.h5")


def tree(folder):
    """Path → contents (None: a folder) of everything below."""
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_the_result_lies_beside_the_file_and_is_the_same_every_time(poisonkit, two, tmp_path, name):
    before = {"two.h5"}
    result = poisonkit("export", two, "--format", name).succeeded()
    (made,) = {path.name for path in tmp_path.iterdir()} - before
    assert made == FORMATS[name].default_name(two)
    assert result.lines == [f"wrote {tmp_path / made} ({name}, 200 train, 100 test, 90 triggered)"]
    first = tree(tmp_path)
    poisonkit("export", two, "--format", name).failed(1, made, "already exists", "--force")
    assert tree(tmp_path) == first
    poisonkit("export", two, "--format", name, "--force").succeeded()
    assert tree(tmp_path) == first


def test_every_format_is_in_the_help(poisonkit):
    out = " ".join(poisonkit("export", "--help").succeeded().out.split())
    for form in FORMATS:
        assert f"{form.name}: {form.help}" in out
    poisonkit("export", "x.h5", "--format", "pickle").failed(2, "unknown format 'pickle'", *FORMATS.names())


def test_options_of_other_formats(poisonkit, two):
    poisonkit("export", two, "--format", "croissant", "--no-truth").failed(2, "--no-truth", "croissant")
    poisonkit("export", two, "--format", "backdoor-toolbox", "--no-truth").failed(2, "--no-truth")
    poisonkit("export", two, "--format", "npz", "--creator", "me").failed(2, "--creator", "npz")
    poisonkit("export", two, "--format", "npz", "--url", "https://example.org").failed(2, "--url", "npz")


@pytest.mark.parametrize(("name", "suffix"), [("npz", ".npz"), ("croissant", ".json")])
def test_a_file_by_another_name_or_in_a_folder(poisonkit, two, tmp_path, name, suffix):
    poisonkit("export", two, "--format", name, "-o", two).failed(2, "-o", suffix, "two.h5")
    poisonkit("export", two, "--format", name, "-o", tmp_path / "new" / f"x{suffix}").succeeded()
    assert (tmp_path / "new" / f"x{suffix}").is_file()
    poisonkit("export", two, "--format", name, "-o", tmp_path / "new").succeeded()
    assert len(list((tmp_path / "new").iterdir())) == 2
    (tmp_path / f"folder{suffix}").mkdir()
    poisonkit("export", two, "--format", name, "-o", tmp_path / f"folder{suffix}").succeeded()  # a folder like any


def test_a_folder_that_is_not_ours_is_never_replaced(poisonkit, two, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    poisonkit("export", two, "--format", "imagefolder", "-o", mine).succeeded()  # it was empty
    shutil.rmtree(mine)
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    for force in ([], ["--force"]):
        poisonkit("export", two, "--format", "imagefolder", "-o", mine, *force).failed(1, "mine", "not created by")
        poisonkit("export", two, "--format", "imagefolder", "-o", two, *force).failed(1, "two.h5", "not created by")
    (tmp_path / "link").symlink_to(mine)
    poisonkit("export", two, "--format", "imagefolder", "-o", tmp_path / "link", "--force").failed(1, "is a link")
    assert tree(mine) == {"thesis.tex": b"years of work"} and two.is_file()


@pytest.mark.parametrize("name", ["imagefolder", "npz", "backdoor-toolbox"])
def test_labels_and_rows_that_are_none(poisonkit, library, tmp_path, name):
    for array, value in (("train/labels", 10), ("triggered/labels", -1), ("truth/rows", 200), ("triggered/wanted", 99)):
        path = damage.copy(library("two"), tmp_path, "bad.h5")
        damage.set_rows(path, array, {-1: value})
        damage.reseal(path)
        result = poisonkit("export", path, "--format", name)
        result.failed(1, "bad.h5", array)
        assert [path.name for path in tmp_path.iterdir()] == ["bad.h5"]


@pytest.mark.parametrize("name", FORMATS.names())
def test_what_is_no_file_of_ours(poisonkit, tmp_path, name):
    (tmp_path / "x.h5").write_bytes(b"rubbish")
    poisonkit("export", tmp_path / "x.h5", "--format", name).failed(1, "x.h5")
    poisonkit("export", tmp_path / "none.h5", "--format", name).failed(1, "none.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_a_bar_on_a_terminal_and_none_elsewhere(poisonkit, two, monkeypatch):
    """The bar gets as far as its end says."""
    from poisonkit.cli import inspect

    bars = []

    class Bar:
        def __init__(self, total, label, unit):
            self.total, self.done = total, 0
            bars.append(self)

        def update(self, count):
            self.done += count

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(inspect, "progress_bar", Bar)
    for name in [*FOLDERS, "npz"]:
        poisonkit("export", two, "--format", name).succeeded()
    assert len(bars) == len(FOLDERS) + 1 and all(bar.total == bar.done > 0 for bar in bars)


# ---- stopped, killed, no room

PAUSED = """
import sys, time
from poisonkit.cli import main as cli
from poisonkit.exporters import base
from poisonkit.exporters.formats import npz
stage = sys.argv.pop(1)
def pause(function):
    def wrapped(*arguments, **more):
        wrapped.calls += 1
        if wrapped.calls == 50:
            print("here", flush=True)
            for _ in range(600):
                time.sleep(0.1)
        return function(*arguments, **more)
    wrapped.calls = 0
    return wrapped
if stage == "pictures":
    base.THREADS = 1
    counted = pause(lambda: None)
    before = base.write_pictures
    def write_pictures(data, array, path_of, bar, chosen=None):
        before(data, array, path_of, bar, chosen)
        counted.calls = 49
        counted()
    base.write_pictures = write_pictures
else:
    npz._header = pause(npz._header)
    npz._header.calls = 46
sys.argv[0] = "poisonkit"
cli.main()
"""


def stopped(number, *arguments):
    command = [sys.executable, "-c", PAUSED, *map(os.fspath, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n", process.stderr.read()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


CASES = [("pictures", "imagefolder"), ("arrays", "npz")]


@pytest.mark.parametrize(("stage", "name"), CASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(two, tmp_path, stage, name, number):
    code, out, err = stopped(number, stage, "export", two, "--format", name)
    assert (code, out, err) == (130, "", "poisonkit: interrupted; no partial files were left behind\n")
    assert [path.name for path in tmp_path.iterdir()] == ["two.h5"]


@pytest.mark.parametrize(("stage", "name"), CASES)
def test_killed_and_the_next_one_cleans_up(poisonkit, two, tmp_path, stage, name):
    assert stopped(signal.SIGKILL, stage, "export", two, "--format", name)[0] == -signal.SIGKILL
    (left,) = {path.name for path in tmp_path.iterdir()} - {"two.h5"}
    assert left.startswith(".two") and left.endswith(".tmp")
    poisonkit("export", two, "--format", name).succeeded()
    assert len(list(tmp_path.iterdir())) == 2 and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_a_full_disk(poisonkit, two, tmp_path, name):
    """(RLIMIT_FSIZE stands in for it.)"""

    def lower():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = poisonkit.spawn("export", two, "--format", name, preexec_fn=lower, env=environment)
    result.failed(1, "could not be written", "File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["two.h5"]


def test_too_little_room_is_said_before(poisonkit, two, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    for name in (*FOLDERS, "npz"):
        poisonkit("export", two, "--format", name).failed(1, "needs", "left")
    assert [path.name for path in tmp_path.iterdir()] == ["two.h5"]


def test_a_force_that_fails_leaves_what_was_there(poisonkit, two, tmp_path, monkeypatch):
    from poisonkit.exporters import base

    poisonkit("export", two, "--format", "imagefolder").succeeded()
    poisonkit("export", two, "--format", "npz").succeeded()
    before = tree(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base, "png", full)
    poisonkit("export", two, "--format", "imagefolder", "--force").failed(1, "No space left on device")
    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    poisonkit("export", two, "--format", "npz", "--force").failed(1, "No space left on device")
    monkeypatch.undo()
    assert tree(tmp_path) == before
    monkeypatch.setattr(base.os, "rename", full)
    poisonkit("export", two, "--format", "imagefolder", "--force").failed(1, "No space left on device")
    assert tree(tmp_path) == before


def test_the_folder_comes_back_where_the_second_renaming_fails(two, tmp_path, monkeypatch):
    from poisonkit.exporters import base, marks

    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    marks.write(tmp_path / "x", "test")
    before = tree(tmp_path / "x")
    rename, calls = os.rename, []

    def once(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(base.os, "rename", once)
    with pytest.raises(OSError), base.replacing_folder(tmp_path / "x", "test") as folder:
        (folder / "new").write_text("new")
    assert tree(tmp_path / "x") == before and len(calls) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two.h5", "x"]
