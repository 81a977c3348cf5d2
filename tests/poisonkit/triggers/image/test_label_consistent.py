"""The corners against the published code's outputs (tests/golden/cheap_attacks.npz)."""

import cheap_attacks as cheap
import naive
import numpy as np
import pytest
from cheap_attacks import built, triggered
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import parameters
from poisonkit.triggers.image import label_consistent

CASES = [
    ("all_corners", "1", "all", "1"),
    ("all_corners", "025", "all", "0.25"),
    ("bottom_right", "1", "lower-right", "1"),
    ("bottom_right", "025", "lower-right", "0.25"),
]


@pytest.mark.parametrize(("theirs", "suffix", "corners", "amplitude"), CASES)
def test_every_byte_as_the_published_code(root, theirs, suffix, corners, amplitude):
    data = cheap.golden(root)
    mask = data[f"lc_{theirs}_mask"]
    assert np.array_equal(label_consistent.mask(corners, 32, 32), mask.reshape(32, 32, -1)[..., 0])
    found = triggered("label-consistent", data["images"], {"corners": corners, "amplitude": amplitude})
    assert np.array_equal(found, data[f"lc_{theirs}_{suffix}"])


def test_the_preset_is_all_corners_black_and_white():
    chosen = parameters("label-consistent", {}, "backdoorbench")
    assert chosen == {"amplitude": "1", "corners": "all"}
    images = pictures(np.random.default_rng(0), 3, (32, 32, 1))
    found = triggered("label-consistent", images, preset="backdoorbench")
    changed = label_consistent.mask("all", 32, 32) != 0
    assert changed.sum() == 36 and set(np.unique(found[:, changed])) == {0, 255}
    assert np.array_equal(found[:, ~changed], images[:, ~changed])
    assert np.array_equal(found[:, 0, 0], found[:, 31, 31]) and (found[:, 0, 0] == 255).all()


def test_per_patch_each_tile_has_its_corners():
    images = pictures(np.random.default_rng(0), 3, (16, 32, 3))

    def corners(tile):
        signs = label_consistent.mask("all", 8, 8)[..., None]
        return (tile + signs * 51.0).clip(0, 255)

    found = triggered("label-consistent", images, {"amplitude": "0.2"}, (8, 8))
    assert np.array_equal(found, naive.per_patch(corners, images.astype(float), 8, 8))


def test_faint_in_training_and_full_on_test_rows():
    made = built("label-consistent", (32, 32, 3), {"amplitude": "0.25", "test-amplitude": "1"})
    assert np.array_equal(made.test.bias, built("label-consistent", (32, 32, 3)).train.bias)
    assert np.abs(made.train.bias).max() < np.abs(made.test.bias).max()
    with pytest.raises(Usage, match="an amplitude of 0 changes nothing"):
        built("label-consistent", (32, 32, 3), {"test-amplitude": "0"})


def test_what_cannot_be_is_refused():
    with pytest.raises(Usage, match="label-consistent: expected a tile of at least 6×6 pixels for all, got 4×8"):
        built("label-consistent", (32, 32, 3), patch=(4, 8))
    built("label-consistent", (32, 32, 3), {"corners": "lower-right"}, (4, 8))
    with pytest.raises(Usage, match="an amplitude of 0 changes nothing: another --label-consistent-amplitude"):
        built("label-consistent", (32, 32, 3), {"amplitude": "0"})


@pytest.mark.parametrize(("key", "text"), [("amplitude", "1.1"), ("amplitude", "x"), ("corners", "left")])
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--label-consistent-{key}: expected .*, got"):
        parameters("label-consistent", {key: text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "label-consistent", "--label-consistent-amplitude", "0.5", "--rate", "0.05")
    chosen += ("--label-mode", "clean-label")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
