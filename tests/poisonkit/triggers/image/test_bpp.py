"""Fewer levels against the published code's outputs (tests/golden/cheap_attacks.npz) and plain loops."""

import cheap_attacks as cheap
import naive
import numpy as np
import pytest
from cheap_attacks import built, triggered
from made import pictures, some_images

from poisonkit.core.errors import Usage
from poisonkit.core.table import Table
from poisonkit.poisoning.recipe import parameters
from poisonkit.triggers.image import bpp

DITHERED = {"dither": "floyd-steinberg"}


def dithered(images, levels):
    """Pixel by pixel in float64; what would go beyond the edge is lost."""
    step = 255 / (levels - 1)
    out = np.empty_like(images)
    for i, image in enumerate(images.astype(float)):
        height, width, channels = image.shape
        for y, x, c in np.ndindex(height, width, channels):
            nearest = min(max(round(image[y, x, c] / step), 0), levels - 1)
            out[i, y, x, c] = round(nearest * step)
            lost = image[y, x, c] - nearest * step
            for down, across, share in ((0, 1, 7), (1, 1, 1), (1, 0, 5), (1, -1, 3)):
                if y + down < height and 0 <= x + across < width:
                    image[y + down, x + across, c] += lost * share / 16
    return out


@pytest.mark.parametrize("levels", [8, 32])
@pytest.mark.parametrize(("given", "suffix"), [({}, "saved"), (DITHERED, "dither_saved")])
def test_every_byte_as_the_published_code_saves_it(root, levels, given, suffix):
    data = cheap.golden(root)
    found = triggered("bpp", data["images"], given | {"levels": str(levels)}, preset="backdoorbench")
    assert np.array_equal(found, data[f"bpp{levels}_{suffix}"])


def test_eight_levels_by_default():
    one = built("bpp", (32, 32, 3))
    assert isinstance(one.train, Table)
    assert sorted(set(one.train.levels[0])) == [0, 36, 72, 109, 145, 182, 218, 255]
    assert bpp.spread(8).tolist() == [0, 36, 73, 109, 146, 182, 219, 255]
    assert bpp.spread(3).tolist() == [0, 128, 255] and bpp.spread(11).tolist()[1:4] == [26, 51, 76]


@pytest.mark.parametrize("levels", [2, 3, 7, 16, 52, 128, 255])
def test_the_table_is_the_formula(levels):
    table = bpp.quantised(levels)
    for byte in range(256):
        nearest = min(range(levels), key=lambda k: abs(byte * (levels - 1) - 255 * k))
        assert table[byte] == 255 * nearest // (levels - 1)


@pytest.mark.parametrize("levels", [2, 3, 8, 100])
@pytest.mark.parametrize("patch", [None, (8, 4)])
def test_dithering_is_the_plain_loop_in_each_tile(levels, patch):
    images = some_images(3, (16, 12, 3))
    found = triggered("bpp", images, DITHERED | {"levels": str(levels)}, patch)
    plain = naive.per_patch(lambda tile: dithered(tile, levels), images, *(patch or (16, 12)))
    assert np.array_equal(found, plain)


def test_dithering_keeps_the_mean_and_grey_images():
    images = np.full((1, 64, 64, 1), 100, np.uint8)
    found = triggered("bpp", images, DITHERED)
    assert set(np.unique(found)) == {73, 109} and abs(found.mean() - 100) < 1
    assert set(np.unique(triggered("bpp", images))) == {109}


def test_without_dithering_every_patch_is_as_the_whole_image():
    images = pictures(np.random.default_rng(0), 4, (16, 16, 3))
    assert np.array_equal(triggered("bpp", images), triggered("bpp", images, patch=(8, 8)))


@pytest.mark.parametrize(("key", "text"), [("levels", "1"), ("levels", "256"), ("levels", "x"), ("dither", "random")])
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--bpp-{key}: expected .*, got"):
        parameters("bpp", {key: text}, None)


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg"])
def test_its_files_verify(poisonkit, tmp_path, dither):
    chosen = ("--trigger", "bpp", "--bpp-dither", dither, "--rate", "0.1", "--per-patch")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
