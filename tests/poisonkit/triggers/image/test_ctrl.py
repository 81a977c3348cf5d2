"""CTRL against the published code's outputs (tests/golden/cheap_attacks.npz) and the formula in float64."""

import cheap_attacks as cheap
import naive
import numpy as np
import pytest
from cheap_attacks import built, triggered
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import parameters

TO_YUV = np.array([[0.299, 0.587, 0.114], [-0.147, -0.289, 0.436], [0.615, -0.515, -0.1]])
TO_RGB = np.array([[1, 0, 1.14], [1, -0.396, -0.581], [1, 2.029, 0]])


def formula(images, magnitude, back=TO_RGB):
    """YUV, magnitude · P onto U and V, back; float64, not yet cut."""
    yuv = images.astype(np.float64) @ TO_YUV.T
    yuv[..., 1:] += magnitude * cheap.two_frequencies(*images.shape[1:3])[..., None]
    return yuv @ back.T


def test_agrees_with_the_published_code(root):
    """Every byte, wherever its float is not within 0.001 of a whole number, and within the range."""
    data = cheap.golden(root)
    floats = data["ctrl_bb_float"]
    found = triggered("ctrl", data["images"], preset="backdoorbench")
    inside = (floats >= 0) & (floats < 256)
    safe = inside & (np.abs(floats - np.rint(floats)) > 0.001)
    assert inside.mean() > 0.98 and safe.mean() > 0.97
    assert np.array_equal(found[safe], data["ctrl_bb"][safe])
    differ = np.abs(found.astype(int) - data["ctrl_bb"])[inside]
    assert differ.max() <= 1 and (differ > 0).mean() < 0.001
    assert set(found[floats < 0]) == {0} and set(found[floats >= 256]) <= {255}  # clipped: there, they wrap around


def test_agrees_with_the_code_on_a_later_kornia(root):
    data = cheap.golden(root)
    floats = data["ctrl_kornia09_float"]
    found = triggered("ctrl", data["images"], {"inverse": "exact"})
    inside = (floats >= 0) & (floats < 256)
    assert inside.mean() > 0.98 and np.array_equal(found[inside], data["ctrl_kornia09"][inside])


@pytest.mark.parametrize("patch", [(8, 8), (16, 4)])
@pytest.mark.parametrize("inverse", ["published", "exact"])
def test_per_patch_it_has_the_frequencies_of_the_tile(patch, inverse):
    images = pictures(np.random.default_rng(0), 4, (32, 32, 3))
    back = TO_RGB if inverse == "published" else np.linalg.inv(TO_YUV)
    found = triggered("ctrl", images, {"magnitude": "25.5", "inverse": inverse}, patch)
    exact = naive.per_patch(lambda tile: formula(tile, 25.5, back), images.astype(float), *patch).clip(0, 255)
    off = found - exact  # it is cut: (−1, 0]
    assert off.max() < 0.013 and off.min() > -1.013


def test_another_magnitude_on_test_rows():
    made = built("ctrl", (32, 32, 3), {"magnitude": "50", "test-magnitude": "100"})
    for part, magnitude in (("train", "50"), ("test", "100")):
        assert np.array_equal(made.on(part).bias, built("ctrl", (32, 32, 3), {"magnitude": magnitude}).train.bias)
    assert built("ctrl", (32, 32, 3), {"magnitude": "50", "test-magnitude": "50"}).test is None


def test_grey_odd_sides_and_no_magnitude_are_refused():
    for given in ({"magnitude": "0"}, {"test-magnitude": "0"}):
        with pytest.raises(Usage, match="ctrl: a magnitude of 0 adds nothing: another --ctrl-magnitude"):
            built("ctrl", (32, 32, 3), given)
    with pytest.raises(Usage, match=r"ctrl: changes colours, expected images of 3 channels \(RGB\), got 1"):
        built("ctrl", (32, 32, 1))
    with pytest.raises(Usage, match="ctrl: expected a tile of even sides n, .* got 15×30: another --patch-size"):
        built("ctrl", (30, 30, 3), patch=(15, 30))


@pytest.mark.parametrize(
    ("key", "text"), [("magnitude", "-1"), ("magnitude", "1001"), ("magnitude", "x"), ("inverse", "kornia")]
)
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--ctrl-{key}: expected .*, got"):
        parameters("ctrl", {key: text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "ctrl", "--rate", "0.05", "--label-mode", "clean-label", "--per-patch")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
