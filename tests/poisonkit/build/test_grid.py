"""`grid`: every file of a table as a delta on one clean file."""

import os
import signal
import subprocess
import time

import pytest
from running import command

from poisonkit.build import grid
from poisonkit.core.errors import Usage

OWN = """
dataset = "signs"
triggers = ["square", "blend"]
image = [0.01, "0.05"]
patch = ["1%"]
seeds = 2
target = 3
[options.square]
size = 3
value = [255, 0, 0]
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


@pytest.mark.parametrize(
    ("name", "dataset", "cells"),
    [("table1", "cifar10", 36), ("table2", "gtsrb", 36), ("table3", "cifar10", 2), ("small", "signs", 18)],
)
def test_the_papers_tables(root, name, dataset, cells):
    found = grid.of_paper(name).recipes()
    assert grid.of_paper(name).dataset == dataset and len(found) == cells
    published = root.parent / "shared" / "paper" / "attacks.csv"
    if name in ("table3", "small") or not published.is_file():
        return
    rows = [line.split(",")[:4] for line in published.read_text().splitlines()[1:]]
    wanted = {(t, a, f"{float(r) / 100:.4f}".rstrip("0")) for d, t, a, r in rows if d == dataset}
    assert {(one.steps[0][0], "patch" if one.patch else "image", one.rate) for one in found} == wanted


def test_one_of_ones_own(poisonkit, own, tmp_path):
    out = tmp_path / "data"
    done = poisonkit("grid", own, "-o", out).succeeded()
    assert done.lines[0].startswith("12 files of signs, 12 to make") and "wrote 12 deltas" in done.lines[1]
    names = sorted(path.name for path in out.iterdir())
    assert len([name for name in names if name.endswith(".delta.h5")]) == 12
    assert [name for name in names if not name.endswith(".delta.h5")] == ["signs-clean.h5", "signs-clean.manifest.json"]
    (square,) = out.glob("signs-square-patch8-0.01-s1-*.delta.h5")
    poisonkit("unpack", square, "--base", out / "signs-clean.h5", "-o", tmp_path / "a.h5").succeeded()
    asked = ("--trigger", "square", "--square-size", 3, "--square-value", "255,0,0", "--target", 3, "--seed", 1)
    made = ("make", "--dataset", "signs", *map(str, asked), "--rate", "0.01", "--per-patch", "-o", tmp_path / "b.h5")
    poisonkit(*made).succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert (
        poisonkit("grid", own, "-o", out).succeeded().out
        == f"12 files of signs, 0 to make, on {out / 'signs-clean.h5'}; target speed limit 80 (index 3)\n"
    )
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_covers_that_belong_to_an_attack():
    """As `make` has them without being asked."""
    asked = {"dataset": "signs", "triggers": ["adaptive-patch", "square"], "rates": ["0.01"]}
    assert [one.cover_rate for one in grid.parse(asked, "x").recipes()] == ["0.02", "0"]


def test_a_dry_run_makes_none(poisonkit, own, tmp_path):
    done = poisonkit("grid", own, "--seeds", "3", "-o", tmp_path / "data", "--dry-run").succeeded()
    assert done.out.startswith("18 files of signs, 18 to make") and not (tmp_path / "data").exists()


def test_another_data_set(poisonkit, tmp_path):
    done = poisonkit("grid", "--paper", "table3", "--dataset", "signs", "-o", tmp_path, "--dry-run").succeeded()
    assert done.out.startswith("2 files of signs, 2 to make")


def test_killed_and_started_again(poisonkit, own, tmp_path):
    out = tmp_path / "data"
    process = subprocess.Popen(command("grid", own, "-o", out), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while len(list(out.glob("*.delta.h5"))) < 2:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = poisonkit("grid", own, "-o", out).succeeded()
    assert "12 to make" not in done.out and len(list(out.glob("*.delta.h5"))) == 12
    assert not list(out.glob(".*"))
    for path in out.glob("*.delta.h5"):
        poisonkit("verify", path).succeeded()


def test_another_recipe_under_the_same_name(poisonkit, library, own, tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    poisonkit("pack", library("square"), "-o", out / "signs-blend-0.01-s0.delta.h5").succeeded()
    own.write_text('dataset = "signs"\ntriggers = ["blend"]\nimage = ["0.01"]\n')
    poisonkit("grid", own, "-o", out).failed(1, "different recipe", "-o")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "has no dataset"),
        ({"dataset": "signs"}, "has no triggers"),
        ({"dataset": "signs", "triggers": ["square"]}, "neither image nor patch"),
        ({"dataset": "signs", "triggers": ["none"], "image": [0.1]}, "unknown trigger"),
        ({"dataset": "signs", "triggers": [7], "image": [0.1]}, "unknown trigger"),
        ({"dataset": "signs", "triggers": ["square"], "image": [2]}, "rate"),
        ({"dataset": "signs", "triggers": ["square"], "image": [[]]}, "rate"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0]}, "clean file"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "seeds": True}, "seeds is True"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "seeds": 0}, "seeds"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "more": 1}, "unknown key 'more'"),
        ({"dataset": "signs", "triggers": ["square"], "patch": [0.1], "patch_size": "x"}, "--patch-size"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "options": {"square": {"size": "x"}}}, "size"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "options": {"square": {"no": 1}}}, "no"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "options": {"blend": {}}}, "blend"),
        ({"dataset": "signs", "triggers": ["square"], "image": [0.1], "options": {"square": 3}}, "options"),
    ],
)
def test_grids_that_make_no_sense(said, words):
    with pytest.raises(Usage, match=words):
        grid.parse(said, "own.toml").recipes()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"dataset = ", "is not valid TOML"),
        (b"a = 1\na = 2", "is not valid TOML"),
        ('dataset = "signs"'.encode("utf-16"), "is written in UTF-16: TOML is UTF-8"),
        (b"\xfe\xff\0d", "is written in UTF-16: TOML is UTF-8"),
        (b"dataset = '\xe9'", "is not UTF-8, from byte 12 on: TOML is UTF-8"),
    ],
)
def test_no_toml(poisonkit, tmp_path, text, words):
    (tmp_path / "x.toml").write_bytes(text)
    result = poisonkit("grid", tmp_path / "x.toml").failed(2, words)
    assert "codec" not in result.err


def test_neither_or_both(poisonkit, own):
    poisonkit("grid").failed(2, "either --paper")
    poisonkit("grid", own, "--paper", "table1").failed(2, "either --paper")
    poisonkit("grid", own.with_name("none.toml")).failed(1, "No such file")
