"""The blend against the float64 formula, and the picture it blends."""

import hashlib

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.core.grey_levels import grey
from poisonkit.core.images import resize
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.builtin_picture import built_in

RNG = np.random.default_rng(0)
IMAGES = pictures(RNG, 65, (32, 32, 3))


def built(shape, alpha="0.5", patch=None, picture=None):
    pictures_ = {} if picture is None else {"blend": picture}
    request = Recipe("0.1", (("blend", parameters("blend", {"alpha": alpha}, None)),), patch, pictures=pictures_)
    return build(request, shape, force=True)[0]


@settings(max_examples=60, deadline=None)
@given(
    alpha=st.decimals(0, 1, allow_nan=False, places=4),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    seed=st.integers(0, 2**32),
)
def test_within_one_grey_level_of_the_formula(alpha, shape, seed):
    rng = np.random.default_rng(seed)
    images, picture = pictures(rng, 7, shape), pictures(rng, 1, shape)[0]
    found = built(shape, str(alpha), picture=picture).stencil.apply(images)
    expected = naive.blend(images, picture, float(alpha))
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - expected).max() <= 0.5 + 2**-15 * 256  # in truth it is rounded to the nearest


def test_half_and_half_is_exact_and_rounds_up():
    pattern = built((32, 32, 3)).extras["pattern"]
    expected = (IMAGES.astype(int) + pattern + 1) // 2
    assert np.array_equal(built((32, 32, 3)).stencil.apply(IMAGES), expected)


def test_opacity_0_is_the_image_and_1_is_the_picture():
    shape = (32, 32, 3)
    assert np.array_equal(built(shape, "0").stencil.apply(IMAGES), IMAGES)
    opaque = built(shape, "1")
    assert (opaque.stencil.apply(IMAGES) == opaque.extras["pattern"]).all()


def test_opacity_1_is_refused_unless_forced():
    with pytest.raises(Usage, match="leaves no pixel of the original"):
        build(Recipe("0.1", (("blend", {"alpha": "1"}),)), (32, 32, 3))


def test_per_patch_the_picture_is_resized_to_the_tile():
    one = built((32, 32, 3), "0.25", patch=(16, 8))
    pattern = one.extras["pattern"]
    assert pattern.shape == (16, 8, 3)
    assert np.array_equal(pattern, resize(built_in(3), 16, 8))
    expected = naive.per_patch(lambda tile: naive.blend(tile, pattern, 0.25), IMAGES.astype(float), 16, 8)
    assert np.abs(one.stencil.apply(IMAGES) - expected).max() <= 0.51


def test_resizing_down_by_a_whole_factor_is_the_mean():
    picture = pictures(np.random.default_rng(1), 1, (128, 64, 3))[0]
    mean = picture.reshape(16, 8, 8, 8, 3).mean((1, 3))
    assert np.abs(resize(picture, 16, 8) - mean).max() <= 0.5 + 1e-9


def test_resizing_uses_area_only_where_both_sides_are_large_enough():
    wide = pictures(np.random.default_rng(2), 1, (4, 64, 3))[0]
    up = resize(wide, 8, 8)
    assert up.shape == (8, 8, 3)
    flat = np.full((4, 64, 1), 77, np.uint8)
    assert (resize(flat, 8, 8) == 77).all() and resize(flat, 8, 8).shape == (8, 8, 1)
    assert resize(wide, 4, 64) is wide


def test_the_built_in_picture_is_the_same_on_every_machine():
    for channels, digest in (
        (3, "713fe90ade580b9f1897bd2d3251850ed56e7d219ca81ca5e7c27356cd64bfb3"),
        (1, "1d8741ba20aa5fef33a8a429fca45f12f541e187a90257fb4a01b3f0b6edc0a0"),
    ):
        picture = built_in(channels)
        assert picture.shape == (128, 128, channels) and picture.dtype == np.uint8
        assert hashlib.sha256(picture.tobytes()).hexdigest() == digest


def test_grey_images_get_the_grey_picture():
    one = built((8, 8, 1))
    assert one.extras["pattern"].shape == (8, 8, 1)
    colours = pictures(np.random.default_rng(0), 1, (8, 8, 3))[0]
    assert np.array_equal(built((8, 8, 1), picture=colours).extras["pattern"], grey(colours))
    with pytest.raises(Usage, match="expected 3 channel"):
        built((8, 8, 3), picture=np.zeros((9, 9, 1), np.uint8))


@pytest.mark.parametrize("text", ["-0.1", "1.1", "half", "", "nan", "inf", "0.1234567890123", "1e-99999999", "50%"])
def test_opacities_that_make_no_sense_are_refused(text):
    with pytest.raises(Usage, match="--blend-alpha: expected a decimal number from 0 to 1, got"):
        parameters("blend", {"alpha": text}, None)


@pytest.mark.parametrize(
    ("text", "spelling"), [("0.50", "0.5"), (".5", "0.5"), ("5e-1", "0.5"), ("1.0", "1"), ("-0", "0")]
)
def test_one_spelling(text, spelling):
    assert parameters("blend", {"alpha": text}, None) == {"alpha": spelling}


def backdoorbench(images, pattern, alpha):
    """Its floats: a float32 picture times a Python float, plus the image's share in float64, cut to bytes."""
    target = (pattern.astype(np.float32) / np.float32(255)) * 255
    return np.clip((1 - alpha) * images + alpha * target, 0, 255).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(percent=st.integers(0, 100), seed=st.integers(0, 2**32), channels=st.sampled_from([1, 3]))
def test_truncating_is_exact_and_within_one_level_of_backdoorbench(percent, seed, channels):
    rng = np.random.default_rng(seed)
    images, picture = pictures(rng, 5, (8, 6, channels)), pictures(rng, 1, (8, 6, channels))[0]
    values = parameters("blend", {"alpha": f"0.{percent:02}" if percent < 100 else "1"}, "backdoorbench")
    one = build(Recipe("0.1", (("blend", values),), pictures={"blend": picture}), (8, 6, channels), force=True)[0]
    found = one.stencil.apply(images).astype(int)
    assert np.array_equal(found, ((100 - percent) * images.astype(int) + percent * picture.astype(int)) // 100)
    assert np.abs(found - backdoorbench(images, picture, percent / 100)).max() <= 1


def test_rounding_is_recorded_only_where_it_is_not_the_default():
    assert parameters("blend", {}, "backdoorbench") == {"alpha": "0.2", "rounding": "truncate"}
    assert parameters("blend", {"rounding": "half-up"}, "backdoorbench") == {"alpha": "0.2"}
    assert parameters("blend", {}, None) == parameters("blend", {}, "notebook") == {"alpha": "0.5"}
    with pytest.raises(Usage, match="--blend-rounding: expected one of half-up, truncate, got 'up'"):
        parameters("blend", {"rounding": "up"}, None)


def test_the_backdoorbench_preset_verifies(poisonkit, tmp_path):
    asked = ("--trigger", "blend", "--trigger", "square", "--preset", "backdoorbench", "--rate", "0.1")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
