"""The sticker against the float64 formula; its resizing against exact fractions."""

import hashlib
from fractions import Fraction

import cv2
import h5py
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.stencil import Stencil
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.builtin_picture import built_in, cut_out
from poisonkit.triggers.image import sticker
from poisonkit.triggers.image_base import ImageContext


def built(tile, given=None, picture=None):
    values = parameters("sticker", given or {}, None)
    sticker.check(values, tile)
    return sticker.build(values, tile, ImageContext(0, 0, picture))


def twin(images, pattern, row, column, opacity):
    """image·(1 − a) + a·colour inside the sticker, float64; a is the opacity times the picture's own."""
    out = images.astype(np.float64)
    inside = out[:, row : row + pattern.shape[0], column : column + pattern.shape[1]]
    alpha = opacity * pattern[..., -1:] / 255
    inside[:] = (1 - alpha) * inside + alpha * pattern[..., :-1]
    return out


def resized(picture, height, width):
    """The mean over each new pixel's area, colours weighted by opacity, in exact fractions."""
    old, channels = picture.shape[:2], picture.shape[2] - 1
    out = np.zeros((height, width, channels + 1), np.uint8)

    def shares(i, before, after):  # (index, share of the new pixel i) of the old pixels that it covers
        for k in range(before):
            share = min(Fraction(k + 1, before), Fraction(i + 1, after)) - max(Fraction(k, before), Fraction(i, after))
            if share > 0:
                yield k, share * after

    for i in range(height):
        for j in range(width):
            parts = [(picture[y, x].tolist(), a * b) for y, a in shares(i, old[0], height)
                     for x, b in shares(j, old[1], width)]  # fmt: skip
            weight = sum(pixel[-1] * share for pixel, share in parts)
            out[i, j, -1] = int(weight + Fraction(1, 2))
            for c in range(channels if weight else 0):
                colour = sum(pixel[c] * pixel[-1] * share for pixel, share in parts) / weight
                out[i, j, c] = int(colour + Fraction(1, 2))
    return out


@settings(max_examples=60, deadline=None)
@given(data=st.data(), channels=st.sampled_from([1, 3]), opacity=st.decimals(0, 1, allow_nan=False, places=3))
def test_within_half_a_level_of_the_formula_per_patch_too(data, channels, opacity):
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    tile = (height + data.draw(st.integers(0, 4)), width + data.draw(st.integers(0, 4)), channels)
    row, column = data.draw(st.integers(0, tile[0] - height)), data.draw(st.integers(0, tile[1] - width))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    picture = pictures(rng, 1, (5, 7, channels + 1))[0]
    picture[rng.integers(0, 3, (5, 7)) == 0, -1] = rng.choice([0, 255])
    asked = {"size": f"{height}x{width}", "position": f"{row},{column}", "opacity": str(opacity)}
    one = built(tile, asked, picture)
    pattern = one.extras["pattern"]
    assert pattern.shape == (height, width, channels + 1) and pattern.dtype == np.uint8
    images = pictures(rng, 5, (2 * tile[0], 3 * tile[1], channels))
    found = one.stencil.tile(*images.shape[1:3]).apply(images)
    formula = lambda part: twin(part, pattern, row, column, float(opacity))  # noqa: E731
    expected = naive.per_patch(formula, images.astype(float), *tile[:2])
    assert np.abs(found - expected).max() <= 0.5 + 255 / 32768
    again = built(tile, asked, pattern).stencil  # as `verify` does, from the picture in the file
    assert all(np.array_equal(getattr(again, k), getattr(one.stencil, k)) for k in ("taps", "weights", "bias"))


@settings(max_examples=40, deadline=None)
@given(
    old=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    new=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
def test_resizing_is_the_mean_of_what_can_be_seen(old, new, channels, seed):
    rng = np.random.default_rng(seed)
    picture = pictures(rng, 1, (*old, channels + 1))[0]
    picture[rng.integers(0, 2, old) == 0, -1] = 0
    assert np.array_equal(sticker.resize(picture, *new), resized(picture, *new))


def test_a_picture_of_the_right_size_keeps_its_bytes():
    picture = pictures(np.random.default_rng(0), 1, (6, 5, 4))[0]
    picture[..., -1] = picture[..., -1].clip(1)
    assert np.array_equal(sticker.resize(picture, 6, 5), picture)
    opaque = picture[..., :3]
    one = built((9, 9, 3), {"size": "6x5", "position": "upper-left"}, opaque)
    assert np.array_equal(one.stencil.bias[:6, :5] >> 15, opaque)
    assert not one.stencil.weights[:6, :5].any() and one.stencil.mask().sum() == 6 * 5 * 3


def test_what_cannot_be_seen_changes_nothing():
    picture = pictures(np.random.default_rng(0), 1, (6, 6, 4))[0]
    picture[..., -1] = 0
    for given_, used in (({}, picture), ({"opacity": "0"}, None)):
        same, identity = built((9, 9, 3), given_, used).stencil, Stencil.identity((9, 9, 3))
        assert np.array_equal(same.weights, identity.weights) and not same.bias.any() and not same.mask().any()


def test_the_built_in_one_is_the_frog_without_its_sky():
    for channels in (1, 3):
        frog = cut_out(channels)
        assert frog.shape == (128, 128, channels + 1) and set(np.unique(frog[..., -1])) == {0, 255}
        assert np.array_equal(frog[..., :-1], built_in(channels))
        assert frog[0, 0, -1] == 0 and frog[78, 64, -1] == 255
        one = built((32, 32, channels))
        assert not one.extras and 0 < one.stencil.mask()[26:, 26:].sum() == one.stencil.mask().sum()


def test_the_same_arrays_on_every_machine():
    total = hashlib.sha256()
    for tile, given_ in (((32, 32, 3), {}), ((28, 30, 1), {"size": "9x7", "opacity": "0.3", "position": "center"})):
        stencil = built(tile, given_).stencil
        for array in (stencil.taps, stencil.weights, stencil.bias):
            total.update(array.tobytes())
    assert total.hexdigest() == "56ff4466a7ef97844eafb849e589bcd3301a553d1a08f49e28f2512a632b5bec"


def test_stickers_that_stick_out_or_cover_all_are_refused():
    with pytest.raises(Usage, match="sticker: 9×6 at center does not fit a tile of 8×8: make it smaller"):
        built((8, 8, 3), {"size": "9x6", "position": "center"})
    with pytest.raises(Usage, match="does not fit a tile of 8×8"):
        built((8, 8, 3), {"position": "3,3"})
    picture = np.zeros((8, 8, 3), np.uint8)
    request = Recipe("0.1", (("sticker", parameters("sticker", {"size": "8"}, None)),), (8, 8))
    with pytest.raises(Usage, match="leaves no pixel of the original"):
        build(Recipe(request.rate, request.steps, request.patch, pictures={"sticker": picture}), (32, 32, 3))


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "3x", "3x0", "1x2x3", "4097", "9" * 5000, "4.5", "²"])
def test_sizes_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match="--sticker-size: expected a number of pixels"):
        parameters("sticker", {"size": text}, None)


def test_one_spelling():
    assert parameters("sticker", {"size": "06X6"}, None)["size"] == "6"
    assert parameters("sticker", {"size": "6×8"}, None)["size"] == "6x8"
    assert parameters("sticker", {"opacity": "0.50", "position": "1, 2"}, None) == {
        "size": "6",
        "position": "1,2",
        "opacity": "0.5",
    }


@pytest.mark.parametrize("more", [(), ("--per-patch", "--sticker-size", "4x5", "--sticker-opacity", "0.5")])
def test_its_files_verify(poisonkit, tmp_path, more):
    poisonkit("make", *poisonkit.small, "--trigger", "sticker", "--rate", "0.1", *more, "-o", tmp_path).succeeded()
    (file,) = tmp_path.glob("*.h5")
    assert poisonkit("verify", file).succeeded().out == f"{file}: OK\n"


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_the_users_picture_with_its_transparency(poisonkit, tmp_path, transparent, grey):
    picture = pictures(np.random.default_rng(0), 1, (9, 7, 4))[0]
    picture[..., -1] = np.arange(63).reshape(9, 7) * 4 if transparent else 255
    cv2.imwrite(str(tmp_path / "x.png"), picture if transparent else picture[..., :3])
    source = poisonkit.small
    if grey:
        images, labels = pictures(np.random.default_rng(1), 40, (12, 16)), np.arange(40) % 4
        np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
        source = ("--dataset", "npz", "--source", tmp_path / "x.npz")
    asked = ("--trigger", "sticker", "--sticker-image", tmp_path / "x.png", "--sticker-size", "9x7", "--rate", "0.1")
    poisonkit("make", *source, *asked, "-o", tmp_path / "x.h5").succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as file:
        pattern = file["trigger/0/pattern"][()]
        changed = file["trigger/0/mask"][()].any(-1)
    assert pattern.shape == (9, 7, 2 if grey else 4) and np.array_equal(pattern[..., -1], picture[..., -1])
    assert changed.sum() == (picture[..., -1] > 0).sum()
