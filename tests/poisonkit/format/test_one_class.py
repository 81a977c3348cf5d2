"""A data set of one class: nothing can be learned from it, and no reader takes such a file, so that none is made."""

import numpy as np
import pytest


@pytest.mark.parametrize("asked", [("--rate", "0"), ("--trigger", "square", "--rate", "0.1")])
def test_no_file_of_one_class_is_made(poisonkit, tmp_path, asked):
    images = np.zeros((8, 8, 8, 3), np.uint8)
    labels = np.zeros(8, np.int64)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    source = ("--dataset", "npz", "--source", tmp_path / "x.npz", "-o", tmp_path / "x.h5")
    done = poisonkit("make", *source, *asked)
    done.failed(1, "has too few classes (1), expected a list of two names or more")
    assert not (tmp_path / "x.h5").exists()
    labels[0] = 1
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert poisonkit("make", *source[:-1], tmp_path / "x.h5", "--rate", "0").code == 0
    poisonkit("verify", tmp_path / "x.h5").succeeded()
