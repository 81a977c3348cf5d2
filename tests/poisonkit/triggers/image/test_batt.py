"""BATT against the published code's outputs (tests/golden/cheap_attacks.npz) and turns known beforehand."""

import math

import cheap_attacks as cheap
import naive
import numpy as np
import pytest
from cheap_attacks import built, triggered
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE
from poisonkit.poisoning.recipe import parameters
from poisonkit.triggers.image import batt

IMAGES = pictures(np.random.default_rng(0), 5, (32, 32, 3))


def turned(images, degrees):
    """Pixel by pixel, in floats: where the middle of each comes from."""
    height, width = images.shape[1:3]
    cos, sin = (one(math.radians(degrees)) for one in (math.cos, math.sin))
    out = np.zeros_like(images)
    for row in range(height):
        for column in range(width):
            dx, dy = column + 0.5 - width / 2, row + 0.5 - height / 2
            c, r = math.floor(cos * dx - sin * dy + width / 2), math.floor(sin * dx + cos * dy + height / 2)
            if 0 <= r < height and 0 <= c < width:
                out[:, row, column] = images[:, r, c]
    return out


def test_every_byte_as_the_published_code(root):
    data = cheap.golden(root)
    assert np.array_equal(triggered("batt", data["images"], preset="backdoorbox"), data["batt16_bx"])
    rows, columns = batt.sources("16", 32, 32)
    inside = (rows >= 0) & (rows < 32) & (columns >= 0) & (columns < 32)
    assert np.array_equal(inside, data["batt16_inside"] > 0)
    assert np.array_equal((rows * 32 + columns)[inside], data["batt16_source"][inside])


@pytest.mark.parametrize("angle", ["16", "-10", "44", "123.4", "350"])
@pytest.mark.parametrize("patch", [(8, 8), (16, 8)])
def test_per_patch_each_tile_is_turned(angle, patch):
    expected = naive.per_patch(lambda tile: turned(tile, float(angle)), IMAGES, *patch)
    found = triggered("batt", IMAGES, {"angle": angle}, patch)
    assert np.array_equal(found, expected)


def test_quarter_turns_are_exact_and_counter_clockwise():
    for angle, turns in (("90", 1), ("180", 2), ("-90", 3), ("270", 3)):
        assert np.array_equal(triggered("batt", IMAGES, {"angle": angle}), np.rot90(IMAGES, turns, (1, 2)))
    grey = pictures(np.random.default_rng(1), 3, (9, 9, 1))
    assert np.array_equal(triggered("batt", grey, {"angle": "90"}), np.rot90(grey, 1, (1, 2)))


def test_it_is_taps_alone():
    one = built("batt", (32, 32, 3))
    assert one.stencil.taps.shape[-1] == 1 and not one.stencil.bias.any()
    assert set(np.unique(one.stencil.weights)) == {0, ONE}


@pytest.mark.parametrize(("angle", "patch"), [("0", None), ("360", None), ("0.1", (8, 8))])
def test_a_turn_that_moves_nothing_is_refused(angle, patch):
    with pytest.raises(Usage, match=f"batt: turning .* by {angle}° moves no pixel: another --batt-angle"):
        built("batt", (32, 32, 3), {"angle": angle}, patch)


@pytest.mark.parametrize("text", ["361", "-361", "x", "", "nan"])
def test_angles_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match="--batt-angle: expected a decimal number from -360 to 360, got"):
        parameters("batt", {"angle": text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "batt", "--batt-angle", "-20", "--rate", "0.1", "--per-patch")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
