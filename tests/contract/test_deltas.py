"""A delta that poisonkit packed, trained on by benchmark with the clean base: the same data, the same run."""

import os
import shutil
import subprocess
import sys

import damage
import h5py
import numpy as np
import pytest

data = pytest.importorskip("benchmark.format.dataset")


@pytest.fixture
def shared(library, poisonkit, tmp_path):
    """`shared(name)`: a folder with the delta of that file and the clean file beside it."""

    def pack(name="two"):
        poisonkit("pack", library(name), "-o", tmp_path / "shared.delta.h5").succeeded()
        shutil.copy(library("clean"), tmp_path / "signs-clean.h5")
        shutil.copy(library("camouflaged-clean"), tmp_path / "signs-clean-hidden.h5")
        return tmp_path / "shared.delta.h5"

    return pack


@pytest.mark.parametrize(
    "name",
    ["square", "wanet-patch", "camouflaged", "source-specific"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("blend-patch", "warped-patch", "notebook-warped", "two", "all-to-all", "clean-label")
    ],
)
def test_the_same_data_set(library, shared, name):
    whole, found = data.load(library(name)), data.load(shared(name))
    assert found.manifest == whole.manifest == data.peek(shared(name))
    for part in ("train", "test", "triggered", "truth"):
        assert np.array_equal(getattr(found, part).inputs, getattr(whole, part).inputs)
        assert np.array_equal(getattr(found, part).labels, getattr(whole, part).labels)
    assert np.array_equal(found.wanted, whole.wanted) and np.array_equal(found.truth_rows, whole.truth_rows)
    assert (found.others is None) == (whole.others is None)
    if whole.others is not None:
        assert np.array_equal(found.others.inputs, whole.others.inputs)
        assert np.array_equal(found.others.labels, whole.others.labels)


def test_the_base_by_name(library, shared, tmp_path):
    delta = shared()
    (tmp_path / "signs-clean.h5").unlink()
    with pytest.raises(data.Failure, match="--base"):
        data.load(delta)
    assert data.load(delta, base=library("clean")).digest == data.load(library("two")).digest
    with pytest.raises(data.Failure, match="must be a clean file"):
        data.load(delta, base=library("square"))


def test_another_base(shared, poisonkit, tmp_path):
    delta, other = shared(), tmp_path / "other.h5"
    poisonkit("make", *poisonkit.small[:-1], "test=101", "--rate", "0", "-o", other).succeeded()
    with pytest.raises(data.Failure, match="is not the base"):
        data.load(delta, base=other)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("changed/rows", {0: 10**9}, "changed/rows holds row 1000000000, there are 200"),
        ("changed/labels", {0: 7}, "train/labels"),
        ("trigger/0/taps", {0: 10**6}, "outside"),
        ("trigger/0/weights", {1000: 3}, "images"),
    ],
)
def test_a_forged_delta(shared, name, values, words):
    delta = shared("square")
    damage.set_rows(delta, name, values)
    with pytest.raises(data.Failure, match=name):
        data.load(delta)
    damage.reseal(delta)
    with pytest.raises(data.Failure, match=words):
        data.load(delta)


@pytest.mark.parametrize("name", ["changed/role", "trigger/0/bias"])
def test_a_missing_array(shared, name):
    delta = shared("square")
    with h5py.File(delta, "r+") as f:
        del f[name]
    with pytest.raises(data.Failure, match=f"{name} is missing"):
        data.load(delta)
    facts = damage.manifest(delta)
    damage.write_manifest(delta, damage.sealed(damage.changed(facts, ("arrays", name), ...)))
    with pytest.raises(data.Failure, match=name):
        data.load(delta)


@pytest.mark.slow
def test_one_run_whichever_was_trained_on(library, shared, tmp_path):
    def train(*arguments):
        command = [sys.executable, "-m", "benchmark", "train", *map(os.fspath, arguments), "--runs", tmp_path / "runs"]
        options = ["--width", "1", "--epochs", "1", "--threads", "1"]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=300)

    train(shared("square"))
    (first,) = (tmp_path / "runs").iterdir()
    before = (first / "result.json").read_bytes()
    assert "already finished" in train(library("square")).stderr
    assert [first] == list((tmp_path / "runs").iterdir()) and (first / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda recipe: recipe.update(target=None, label_mode="all-to-all"), "which its triggered rows are"),
        (lambda recipe: recipe.update(triggers=recipe["triggers"] * 3), "names no array trigger/1/mask"),
    ],
    ids=["no target", "more triggers"],
)
def test_a_delta_whose_recipe_has_more_than_it_holds(shared, change, words):
    delta = shared("square")
    facts = damage.manifest(delta)
    change(facts["of"]["recipe"])
    facts["of"] = damage.sealed(facts["of"])
    damage.write_manifest(delta, damage.sealed(facts))
    with pytest.raises(data.Failure, match=words):
        data.load(delta)
