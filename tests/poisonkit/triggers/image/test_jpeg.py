"""JPEG's loss against a real JPEG, and what it does to each tile."""

import cv2
import naive
import numpy as np
import pytest
from cheap_attacks import triggered
from made import some_images

from poisonkit.core import jpeg as core
from poisonkit.core.errors import Usage
from poisonkit.core.jpeg import jpeg
from poisonkit.poisoning.recipe import parameters

SAMPLING = {"none": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}


def by_library(images, quality, subsampling):
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[subsampling]]
    found = []
    for image in images:
        _, data = cv2.imencode(".jpg", image[..., ::-1], flags)
        found.append(cv2.imdecode(data, cv2.IMREAD_UNCHANGED).reshape(image.shape)[..., ::-1])
    return np.stack(found).astype(int)


@pytest.mark.parametrize(("subsampling", "near"), [("none", 0.6), ("420", 0.6)])
@pytest.mark.parametrize("shape", [(32, 32, 3), (19, 29, 3), (32, 32, 1)])
def test_it_is_as_a_library_s(subsampling, near, shape):
    """Nearly: libjpeg rounds at other places, so that some coefficients fall on the other side of a half."""
    images = some_images(10, shape)
    found = triggered("jpeg", images, {"subsampling": subsampling}).astype(int)
    theirs = by_library(images, 25, subsampling)
    assert np.abs(found - theirs).mean() < near
    lost, theirs_lost = np.abs(found - images).mean(), np.abs(theirs - images).mean()
    assert abs(lost - theirs_lost) < 0.15 * theirs_lost and lost > 2


def halved(plane):
    """Half the size and back, pixel by pixel: the means of 2 × 2, then 9, 3, 3 and 1 sixteenths of the nearest four."""
    height, width = len(plane) // 2, len(plane[0]) // 2
    small = [
        [(plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum() + 1 + x % 2) // 4 for x in range(width)]
        for y in range(height)
    ]
    out = np.empty_like(plane)
    for y, x in np.ndindex(*plane.shape):
        near = (y // 2, x // 2)
        next_y, next_x = (min(max(at // 2 + (1 if at % 2 else -1), 0), n - 1) for at, n in ((y, height), (x, width)))
        total = 9 * small[near[0]][near[1]] + 3 * small[next_y][near[1]] + 3 * small[near[0]][next_x]
        out[y, x] = (total + small[next_y][next_x] + (7 if x % 2 else 8)) // 16
    return out


def test_colours_are_halved_as_the_plain_loop():
    planes = np.random.default_rng(0).integers(-128, 128, (2, 6, 10)).astype(np.int32)
    found = core._larger(core._smaller(planes))
    assert np.array_equal(found, np.stack([halved(plane) for plane in planes]))


def test_grey_images_have_no_colours_to_halve():
    images = some_images(4, (32, 32, 1))
    assert np.array_equal(jpeg(images, 50, halved=True), jpeg(images, 50))
    assert np.abs(jpeg(some_images(4), 100, halved=True).astype(int) - some_images(4)).max() > 2


@pytest.mark.parametrize("subsampling", ["none", "420"])
def test_per_patch_each_tile_is_a_picture_of_its_own(subsampling):
    images = some_images(3)
    for patch in ((8, 8), (16, 4)):
        found = triggered("jpeg", images, {"subsampling": subsampling}, patch)
        plain = naive.per_patch(lambda tile: jpeg(tile, 25, subsampling == "420"), images, *patch)
        assert np.array_equal(found, plain)


@pytest.mark.parametrize(("key", "text"), [("quality", "0"), ("quality", "101"), ("subsampling", "422")])
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--jpeg-{key}: expected .*, got"):
        parameters("jpeg", {key: text}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "jpeg", "--jpeg-quality", "10", "--rate", "0.1", "--per-patch")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
