"""FTrojan against the published code's outputs (tests/golden/cheap_attacks.npz) and a plain loop."""

import cheap_attacks as cheap
import numpy as np
import pytest
from cheap_attacks import built, triggered

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE
from poisonkit.poisoning.recipe import parameters


def test_agrees_with_the_published_code(root):
    """Within 2 levels, 97 % within 1: what its way to whole levels of YCrCb and back makes of an image by itself."""
    data = cheap.golden(root)
    found = triggered("ftrojan", data["images"], preset="backdoorbench")
    differ = np.abs(found.astype(int) - data["ftrojan_bb"])
    assert differ.max() <= 2 and (differ <= 1).mean() > 0.97
    assert np.abs(data["images"].astype(int) - data["ftrojan_bb"]).max() > 5  # else nothing would have been compared


@pytest.mark.parametrize(("patch", "shape"), [(None, (32, 32, 3)), ((8, 8), (32, 32, 3)), ((4, 16), (16, 16, 3))])
def test_whole_levels_of_cr_and_cb_in_rgb(patch, shape):
    tile = patch or shape[:2]
    levels = np.floor(30 * cheap.two_frequencies(*tile))
    levels = np.tile(levels, (shape[0] // tile[0], shape[1] // tile[1]))
    one = built("ftrojan", shape, patch=patch)
    wanted = levels[..., None] * np.array([1.403, -0.714 - 0.344, 1.773])
    assert np.abs(one.stencil.bias / ONE - wanted).max() < 1e-3
    assert one.stencil.pointwise and (one.stencil.weights == ONE).all()
    assert np.abs(levels).max() >= 3


def test_another_magnitude_on_test_rows():
    made = built("ftrojan", (32, 32, 3), {"test-magnitude": "60"})
    assert np.array_equal(made.test.bias, built("ftrojan", (32, 32, 3), {"magnitude": "60"}).train.bias)
    with pytest.raises(Usage, match="ftrojan: a magnitude of 0 adds 0 everywhere"):
        built("ftrojan", (32, 32, 3), {"test-magnitude": "0"})


def test_what_cannot_be_is_refused():
    with pytest.raises(Usage, match="ftrojan: changes colours, expected images of 3 channels"):
        built("ftrojan", (32, 32, 1))
    with pytest.raises(Usage, match="ftrojan: expected a tile of even sides n, .* got 9×9"):
        built("ftrojan", (9, 9, 3))
    with pytest.raises(Usage, match="ftrojan: a magnitude of 0 adds 0 everywhere: another --ftrojan-magnitude"):
        built("ftrojan", (32, 32, 3), {"magnitude": "0"})
    for text in ("-1", "1001", "x", "nan"):
        with pytest.raises(Usage, match="--ftrojan-magnitude: expected a decimal number from 0 to 1000, got"):
            parameters("ftrojan", {"magnitude": text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "ftrojan", "--rate", "0.1", "--patch-size", "16x8")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
