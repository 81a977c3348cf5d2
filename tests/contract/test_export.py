"""What was exported comes back: the same arrays by their digests, in both formats that the tool reads itself."""

import json

import numpy as np
import pytest

data = pytest.importorskip("benchmark.data")


@pytest.mark.parametrize("name", ["clean", "two"])
def test_npz_comes_back(poisonkit, library, tmp_path, name):
    poisonkit("export", library(name), "--format", "npz", "-o", tmp_path / "x.npz").succeeded()
    poisonkit("make", "--dataset", "npz", "--source", tmp_path / "x.npz", "--rate", "0", "-o", tmp_path).succeeded()
    (made,) = tmp_path.glob("*.h5")
    before, after = (json.loads(poisonkit("show", path, "--json").out) for path in (library(name), made))
    for path, entry in after["arrays"].items():
        assert entry == before["arrays"][path]
    assert after["source"]["classes"] == before["source"]["classes"]
    assert np.array_equal(data.load(made).train.images, data.load(library(name)).train.images)


def test_a_folder_comes_back(poisonkit, library, tmp_path):
    """By class and row: a folder has no other order."""
    poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "x").succeeded()
    poisonkit("make", "--dataset", "folder", "--source", tmp_path / "x", "--rate", "0", "-o", tmp_path).succeeded()
    (made,) = tmp_path.glob("*.h5")
    before, after = data.load(library("two")), data.load(made)
    for part in ("train", "test"):
        order = np.argsort(getattr(before, part).labels, kind="stable")
        assert np.array_equal(getattr(after, part).images, getattr(before, part).images[order])
        assert np.array_equal(getattr(after, part).labels, getattr(before, part).labels[order])


def test_keras_reads_the_folder_with_the_files_own_labels(poisonkit, library, tmp_path):
    """(Its loader numbers classes by sorted folders, the target's empty one in `triggered` too.)"""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "x").succeeded()
    expected = data.load(library("two"))
    for part in ("train", "triggered"):
        found = keras.utils.image_dataset_from_directory(
            tmp_path / "x" / part, image_size=(32, 32), shuffle=False, batch_size=None, verbose=False
        )
        order = np.argsort(getattr(expected, part).labels, kind="stable")
        images, labels = (np.stack([np.asarray(entry[i]) for entry in found]) for i in (0, 1))
        assert np.array_equal(images, getattr(expected, part).images[order])
        assert np.array_equal(labels, getattr(expected, part).labels[order])
