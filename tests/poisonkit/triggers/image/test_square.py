"""The square against its twin."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import square

IMAGES = pictures(np.random.default_rng(0), 65, (32, 32, 3))


def triggered(images, given=None, patch=None, preset=None):
    request = Recipe("0.1", (("square", parameters("square", given or {}, preset)),), patch)
    return build(request, images.shape[1:])[0].stencil.apply(images)


def test_by_default_a_black_4x4_in_the_upper_left():
    assert np.array_equal(triggered(IMAGES), naive.square(IMAGES, 0, 0, 4, 0))


def test_per_patch_it_stays_4x4_in_each_tile():
    expected = naive.per_patch(lambda tile: naive.square(tile, 0, 0, 4, 0), IMAGES, 8, 8)
    assert np.array_equal(triggered(IMAGES, patch=(8, 8)), expected)
    assert (expected[:, 8:12, 16:20] == 0).all()


def test_the_notebook_writes_1():
    assert np.array_equal(triggered(IMAGES, preset="notebook"), naive.square(IMAGES, 0, 0, 4, 1))


def test_backdoorbenchs_is_3x3_white_in_the_lower_right():
    assert np.array_equal(triggered(IMAGES, preset="backdoorbench"), naive.square(IMAGES, 29, 29, 3, 255))


@pytest.mark.parametrize(
    ("position", "row", "column"),
    [
        ("upper-left", 0, 0),
        ("upper-right", 0, 29),
        ("lower-left", 29, 0),
        ("lower-right", 29, 29),
        ("center", 14, 14),
        ("5,9", 5, 9),
        ("29,29", 29, 29),
    ],
)
def test_positions(position, row, column):
    asked = {"position": position, "size": "3", "value": "10,20,30"}
    assert np.array_equal(triggered(IMAGES, asked), naive.square(IMAGES, row, column, 3, [10, 20, 30]))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=st.integers(1, 7), value=st.integers(0, 255))
def test_any_square_in_any_tile(data, size, value):
    height, width = data.draw(st.integers(size, 9)), data.draw(st.integers(size, 9))
    row, column = data.draw(st.integers(0, height - size)), data.draw(st.integers(0, width - size))
    images = pictures(np.random.default_rng(size), 3, (2 * height, 3 * width, 1))
    request = Recipe(
        "0.1", (("square", {"size": size, "value": [value], "position": f"{row},{column}"}),), (height, width)
    )
    found = build(request, images.shape[1:], force=True)[0].stencil.apply(images)
    expected = naive.per_patch(lambda tile: naive.square(tile, row, column, size, value), images, height, width)
    assert np.array_equal(found, expected)


def test_its_mask_is_the_square():
    stencil = build(Recipe("0.1", (("square", parameters("square", {}, None)),), (16, 8)), (32, 32, 3))[0].stencil
    expected = naive.per_patch(lambda tile: naive.square(tile, 0, 0, 4, 1), np.zeros((1, 32, 32, 3), np.uint8), 16, 8)
    assert np.array_equal(stencil.mask(), expected[0])


@pytest.mark.parametrize("place", ["29,0", "0,29", "32,32", "65535,65535"])
def test_a_square_that_sticks_out_is_refused(place):
    with pytest.raises(Usage, match="does not fit a tile of 32×32"):
        triggered(IMAGES, {"position": place})


def test_a_square_larger_than_its_tile_is_refused():
    with pytest.raises(Usage, match="5×5 at lower-right does not fit a tile of 4×4: make it smaller"):
        triggered(IMAGES, {"size": "5", "position": "lower-right"}, patch=(4, 4))
    with pytest.raises(Usage, match="does not fit a tile of 2×32"):
        triggered(IMAGES, {"position": "center"}, patch=(2, 32))


def test_a_square_that_covers_its_tile_is_refused_unless_forced():
    request = Recipe("0.1", (("square", parameters("square", {}, None)),), (4, 4))
    with pytest.raises(Usage, match="leaves no pixel of the original"):
        build(request, (32, 32, 3))
    assert not build(request, (32, 32, 3), force=True)[0].stencil.apply(IMAGES).any()


def test_a_colour_for_a_grey_image_is_refused():
    with pytest.raises(Usage, match="one grey level"):
        triggered(IMAGES[..., :1], {"value": "1,2,3"})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("size", "0"),
        ("size", "-1"),
        ("size", "4.0"),
        ("size", ""),
        ("size", "9" * 5000),
        ("value", "256"),
        ("value", "-1"),
        ("value", "1,2"),
        ("value", "1,2,3,4"),
        ("value", "black"),
        ("position", "aside"),
        ("position", "1"),
        ("position", "-1,0"),
        ("position", "1,2,3"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--square-{key}: expected .*, got"):
        parameters("square", {key: text}, None)


def test_spellings_of_one_value_are_one_value():
    assert parameters("square", {"value": "7,7,7"}, None) == parameters("square", {"value": "7"}, None)
    assert parameters("square", {"position": " 1, 2"}, None)["position"] == "1,2"
    assert square.SPEC.options[0].default == 4
