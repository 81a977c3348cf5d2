"""What was exported comes back: the same arrays by their digests, in both formats that the tool reads itself."""

import json
import multiprocessing
from importlib.util import find_spec

import numpy as np
import pytest

data = pytest.importorskip("benchmark.format.dataset")


@pytest.mark.parametrize("name", ["clean", "two"])
def test_npz_comes_back(poisonkit, library, tmp_path, name):
    poisonkit("export", library(name), "--format", "npz", "-o", tmp_path / "x.npz").succeeded()
    done = poisonkit("make", "--dataset", "npz", "--source", tmp_path / "x.npz", "--rate", "0", "-o", tmp_path)
    assert done.code == 0 and ("is an export of the poisoned data set" in done.err) == (name == "two") == bool(done.err)
    (made,) = tmp_path.glob("*.h5")
    before, after = (json.loads(poisonkit("show", path, "--json").out) for path in (library(name), made))
    for path, entry in after["arrays"].items():
        assert entry == before["arrays"][path]
    assert after["source"]["classes"] == before["source"]["classes"]
    assert np.array_equal(data.load(made).train.inputs, data.load(library(name)).train.inputs)


def test_a_folder_comes_back(poisonkit, library, tmp_path):
    """By class and row: a folder has no other order."""
    poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "x").succeeded()
    done = poisonkit("make", "--dataset", "folder", "--source", tmp_path / "x", "--rate", "0", "-o", tmp_path)
    assert done.code == 0 and "is an export of the poisoned data set" in done.err
    (made,) = tmp_path.glob("*.h5")
    before, after = data.load(library("two")), data.load(made)
    for part in ("train", "test"):
        order = np.argsort(getattr(before, part).labels, kind="stable")
        assert np.array_equal(getattr(after, part).inputs, getattr(before, part).inputs[order])
        assert np.array_equal(getattr(after, part).labels, getattr(before, part).labels[order])


def _keras(folder):
    """(images, labels) of each part, in the order in which Keras finds them."""
    import keras

    found = {}
    for part in ("train", "triggered"):
        rows = keras.utils.image_dataset_from_directory(
            folder / part, image_size=(32, 32), shuffle=False, batch_size=None, verbose=False
        )
        found[part] = [np.stack([np.asarray(entry[i]) for entry in rows]) for i in (0, 1)]
    return found


@pytest.mark.skipif(not (find_spec("keras") and find_spec("tensorflow")), reason="Keras on TensorFlow is not installed")
def test_keras_reads_the_folder_with_the_files_own_labels(poisonkit, library, tmp_path):
    """(Its loader numbers classes by sorted folders, the target's empty one in `triggered` too.)"""
    poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "x").succeeded()
    expected = data.load(library("two"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_keras, (tmp_path / "x",))
    for part, (images, labels) in found.items():
        order = np.argsort(getattr(expected, part).labels, kind="stable")
        assert np.array_equal(images, getattr(expected, part).inputs[order])
        assert np.array_equal(labels, getattr(expected, part).labels[order])


def _made(poisonkit, *asked):
    done = poisonkit("make", *asked)
    assert done.code == 0, done
    return done


@pytest.mark.parametrize("form", ["csv", "imagefolder"])
def test_classes_with_numbers_for_names_come_back_with_a_word_about_it(poisonkit, tmp_path, form):
    """Of -1, 0, 1 the exports number 0, 1, 2: a target 1 would be another class, and nobody would see it."""
    if form == "csv":
        (tmp_path / "in").mkdir()
        rows = "text,label\n" + "".join(f"text {i},{i % 3 - 1}\n" for i in range(30))
        for part in ("train", "test"):
            (tmp_path / "in" / f"{part}.csv").write_text(rows)
        asked, source = ("--dataset", "csv"), tmp_path / "in"
    else:
        images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
        parts = {f"x_{part}": images for part in ("train", "test")} | {
            f"y_{part}": np.arange(30) % 3 for part in ("train", "test")
        }
        np.savez(tmp_path / "in.npz", **parts, classes=np.array(["-1", "0", "1"]))
        asked, source = ("--dataset", "npz"), tmp_path / "in.npz"
    first = _made(poisonkit, *asked, "--source", source, "--rate", "0", "-o", tmp_path / "first.h5")
    assert not first.errors
    poisonkit("export", tmp_path / "first.h5", "--format", form, "-o", tmp_path / "out").succeeded()
    back = ("--dataset", "csv" if form == "csv" else "folder", "--source", tmp_path / "out", "--rate", "0")
    (line,) = _made(poisonkit, *back, "-o", tmp_path / "second.h5").errors
    assert ("0 is -1, 1 is 0, 2 is 1" if form == "csv" else "0_-1 is -1, 1_0 is 0, 2_1 is 1") in line
    if form == "csv":
        third = _made(poisonkit, *back, "--source-option", "label=class", "-o", tmp_path / "third.h5")
        assert not third.errors
        names = json.loads(poisonkit("show", tmp_path / "third.h5", "--json").succeeded().out)["source"]["classes"]
        assert names == ["-1", "0", "1"]
