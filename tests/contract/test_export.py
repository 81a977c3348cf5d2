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
    poisonkit("make", "--dataset", "npz", "--source", tmp_path / "x.npz", "--rate", "0", "-o", tmp_path).succeeded()
    (made,) = tmp_path.glob("*.h5")
    before, after = (json.loads(poisonkit("show", path, "--json").out) for path in (library(name), made))
    for path, entry in after["arrays"].items():
        assert entry == before["arrays"][path]
    assert after["source"]["classes"] == before["source"]["classes"]
    assert np.array_equal(data.load(made).train.inputs, data.load(library(name)).train.inputs)


def test_a_folder_comes_back(poisonkit, library, tmp_path):
    """By class and row: a folder has no other order."""
    poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "x").succeeded()
    poisonkit("make", "--dataset", "folder", "--source", tmp_path / "x", "--rate", "0", "-o", tmp_path).succeeded()
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
