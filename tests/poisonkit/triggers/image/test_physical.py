"""The sticker in the world: against a plain loop in whole numbers, and what is drawn."""

import numpy as np
import pytest
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.random_streams import row_words
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import physical

STILL = {"angle": "0", "scale": "0", "shift": "0", "light": "0", "tint": "0"}


def built(given=None, tile=(32, 32, 3), name="physical", patch=None, **more):
    return build(Recipe("0.1", ((name, parameters(name, given or {}, None)),), patch, **more), tile)[0]


def by_hand(image, picture, centre, angle, size, shift, colour):
    """Pixel by pixel, in Python's whole numbers."""
    side, out = picture.shape[0], image.copy()
    cosine, sine = (value * 256 // size for value in physical.turn(angle))
    for i, j in np.ndindex(image.shape[:2]):
        down, across = 256 * i + 128 - 128 * centre[0] - shift[0], 256 * j + 128 - 128 * centre[1] - shift[1]
        y = ((cosine * down + sine * across + 32768) >> 16) + 128 * (side - 1)
        x = ((cosine * across - sine * down + 32768) >> 16) + 128 * (side - 1)
        sums = [0] * picture.shape[-1]
        for a in (0, 1):
            for b in (0, 1):
                row, column = (y >> 8) + a, (x >> 8) + b
                weight = (y & 255 if a else 256 - (y & 255)) * (x & 255 if b else 256 - (x & 255))
                if 0 <= row < side and 0 <= column < side:
                    *colours, opacity = map(int, picture[row, column])
                    parts = [*(level * opacity for level in colours), opacity]
                    sums = [total + weight * part for total, part in zip(sums, parts, strict=True)]
        for c in range(image.shape[-1]):
            lit = min(sums[c] * colour[c] >> 8, 255 * sums[-1])
            total = lit + int(image[i, j, c]) * ((255 << 16) - sums[-1])
            out[i, j, c] = (2 * total + (255 << 16)) // (2 * (255 << 16))
    return out


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_by_hand(channels):
    rng = np.random.default_rng(channels)
    images, picture = pictures(rng, 6, (14, 11, channels)), pictures(rng, 1, (5, 5, channels + 1))[0]
    how = {
        "angle": np.array([0, 150, -900, 1800, 37, -1234]),
        "size": np.array([256, 300, 200, 256, 26, 480]),
        "shift": np.array([[0, 0], [300, -77], [-512, 512], [1, 0], [0, 1], [-900, 2000]]),
        "colour": np.array([[256] * 3, [200, 256, 300], [512] * 3, [0, 1, 2], [255] * 3, [256, 100, 256]]),
    }
    found = physical.put(images, picture, (13, 12), how)
    for i, image in enumerate(images):
        own = {key: values[i].tolist() for key, values in how.items()}
        assert np.array_equal(found[i], by_hand(image, picture, (13, 12), **own)), i


def test_where_nothing_is_drawn_it_is_the_sticker():
    images = pictures(np.random.default_rng(0), 20, (32, 32, 3))
    for place in ("lower-right", "3,7", "center"):
        sticker = built({"size": "8", "position": place}, name="sticker").stencil.apply(images).astype(int)
        found = built(STILL | {"position": place}).train.put(images, np.arange(20))
        assert np.abs(found - sticker).max() <= 1 and (found != sticker).mean() < 0.001  # halves of 1/32768


def test_a_quarter_turn_is_one():
    picture = pictures(np.random.default_rng(0), 1, (8, 8, 4))[0]
    images, none = np.full((1, 8, 8, 3), 9, np.uint8), {"size": np.array([256]), "shift": np.zeros((1, 2), np.int64)}
    none["colour"] = np.full((1, 3), 256)
    turned = physical.put(images, picture, (8, 8), none | {"angle": np.array([900])})
    assert np.array_equal(
        turned[0], np.rot90(physical.put(images, picture, (8, 8), none | {"angle": np.array([0])})[0])
    )
    assert physical.turn(0) == (65536, 0) and physical.turn(900) == (0, 65536) and physical.turn(-1800) == (-65536, 0)


def test_what_is_drawn_lies_within_the_limits():
    given = parameters("physical", {"angle": "10", "scale": "50", "shift": "3", "light": "25", "tint": "0"}, None)
    found = physical.drawn(given, row_words(1, "physical", np.arange(5000), physical.DRAWS))
    for name, least, most in (("angle", -100, 100), ("size", 128, 384), ("shift", -768, 768), ("colour", 192, 320)):
        assert least <= found[name].min() < least + 20 and most - 20 < found[name].max() <= most
        assert abs(found[name].mean() - (least + most) / 2) < 0.02 * (most - least)
    assert (found["colour"] == found["colour"][:, :1]).all()


def test_a_row_is_drawn_alike_whichever_others_there_are():
    images, rows, one = pictures(np.random.default_rng(0), 150, (32, 32, 3)), np.arange(150) * 3, built()
    whole = one.train.put(images, rows, 2)
    assert np.array_equal(one.train.put(images[50:90], rows[50:90]), whole[50:90])
    assert (one.test.put(images, rows) != whole).any() and one.streams == ("physical", "physical-test")
    tiled = built({"size": "4"}, (16, 16, 3), patch=(8, 8))
    images = np.tile(pictures(np.random.default_rng(0), 20, (8, 8, 3)), (1, 2, 2, 1))
    found = tiled.train.put(images, np.arange(20))
    assert np.array_equal(found, np.tile(found[:, :8, :8], (1, 2, 2, 1)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"position": "random"}, "expected a place"),
        ({"size": "40"}, "does not fit"),
        ({"angle": "181"}, "from 0 to 180"),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(Usage, match=words):
        built(given)


def test_a_picture_of_ones_own(poisonkit, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "p.png"), np.full((30, 20, 3), (0, 0, 255), np.uint8))
    asked = ("--trigger", "physical", "--physical-image", tmp_path / "p.png", "--rate", "0.05")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
