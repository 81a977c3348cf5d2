"""Stencils: tiling, identity, mask, and what is refused."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures, random_stencil

from poisonkit.core.stencil import ONE, Stencil


@settings(max_examples=60, deadline=None)
@given(
    tile=st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])),
    down=st.integers(1, 4),
    across=st.integers(1, 4),
    count=st.sampled_from([0, 1, 5, 65]),
    taps=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_tiled_is_split_apply_join(tile, down, across, count, taps, seed):
    rng = np.random.default_rng(seed)
    stencil = random_stencil(rng, tile, taps)
    height, width = tile[0] * down, tile[1] * across
    images = pictures(rng, count, (height, width, tile[2]))
    expected = naive.per_patch(stencil.apply, images, tile[0], tile[1])
    assert np.array_equal(stencil.tile(height, width).apply(images), expected)


@settings(max_examples=30, deadline=None)
@given(tile=st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(3)), seed=st.integers(0, 2**32))
def test_tiling_twice_is_tiling_once(tile, seed):
    stencil = random_stencil(np.random.default_rng(seed), tile, 4)
    height, width = tile[:2]
    twice, once = stencil.tile(2 * height, 3 * width).tile(4 * height, 6 * width), stencil.tile(4 * height, 6 * width)
    for part in ("taps", "weights", "bias"):
        assert np.array_equal(getattr(twice, part), getattr(once, part))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 1), (32, 32, 3)])
def test_identity_changes_nothing(shape):
    stencil = Stencil.identity(shape)
    images = pictures(np.random.default_rng(0), 65, shape)
    before = images.copy()
    assert np.array_equal(stencil.apply(images), before) and np.array_equal(images, before)
    assert not stencil.mask().any() and not stencil.constant().any() and stencil.pointwise


def test_apply_leaves_its_input_alone_and_takes_any_layout():
    rng = np.random.default_rng(1)
    stencil, images = random_stencil(rng, (6, 4, 3), 4), pictures(rng, 9, (6, 4, 3))
    expected = stencil.apply(images)
    sideways = np.asfortranarray(images)
    assert np.array_equal(stencil.apply(sideways), expected)
    assert np.array_equal(stencil.apply(images[::-1])[::-1], expected)
    images.flags.writeable = False
    assert np.array_equal(stencil.apply(images), expected)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), taps=st.integers(1, 4))
def test_where_the_mask_is_0_the_byte_never_changes(seed, taps):
    rng = np.random.default_rng(seed)
    stencil = random_stencil(rng, (3, 4, 1), taps)
    weights, bias = stencil.weights.copy(), rng.integers(0, 3, stencil.shape) // 2 * ONE
    own = rng.random(stencil.shape) < 0.5
    taps = np.where(own[..., None], Stencil.identity(stencil.shape).taps, stencil.taps)
    stencil = Stencil.build(taps, weights, bias)
    images = pictures(rng, 64, stencil.shape)
    same = (stencil.apply(images) == images).all(0)
    assert same[stencil.mask() == 0].all()
    assert set(np.unique(stencil.mask())) <= {0, 1} and stencil.mask().dtype == np.uint8


def test_constant_is_where_the_image_does_not_show():
    stencil = Stencil.identity((2, 2, 1))
    stencil.weights[0, 1] = 0
    assert stencil.constant().tolist() == [[[False], [True]], [[False], [False]]]


def test_equal_maps_have_equal_arrays():
    """The tap of a weight of 0 does not matter, so it is always the byte itself."""
    weights = np.array([[[[ONE, 0]], [[0, ONE]]]])
    one = Stencil.build(np.array([[[[1, 1]], [[0, 0]]]]), weights, np.zeros((1, 2, 1)))
    other = Stencil.build(np.array([[[[1, 0]], [[1, 0]]]]), weights, np.zeros((1, 2, 1)))
    assert one.taps.tolist() == other.taps.tolist() == [[[[1, 0]], [[1, 0]]]]


@pytest.mark.parametrize(
    ("taps", "weights", "bias"),
    [
        (np.zeros((2, 2, 1, 5)), np.zeros((2, 2, 1, 5)), np.zeros((2, 2, 1))),
        (np.zeros((2, 2, 1, 0)), np.zeros((2, 2, 1, 0)), np.zeros((2, 2, 1))),
        (np.zeros((2, 2, 1, 2)), np.zeros((2, 2, 1, 1)), np.zeros((2, 2, 1))),
        (np.zeros((2, 2, 1, 1)), np.zeros((2, 2, 1, 1)), np.zeros((2, 3, 1))),
        (np.full((2, 2, 1, 1), 4), np.zeros((2, 2, 1, 1)), np.zeros((2, 2, 1))),
        (np.full((2, 2, 1, 1), -1), np.zeros((2, 2, 1, 1)), np.zeros((2, 2, 1))),
    ],
)
def test_arrays_that_do_not_fit_are_refused(taps, weights, bias):
    with pytest.raises(ValueError):
        Stencil.build(taps, weights, bias)


def test_images_that_do_not_fit_are_refused():
    stencil = Stencil.identity((4, 4, 3))
    for images in (np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 5, 3), np.uint8), np.zeros((1, 4, 4, 3))):
        with pytest.raises(ValueError, match="expected uint8 images"):
            stencil.apply(images)
    with pytest.raises(ValueError, match="do not divide"):
        stencil.tile(8, 6)


def test_the_result_may_be_written_where_the_caller_wants_it():
    rng = np.random.default_rng(1)
    for taps in (1, 4):
        stencil, images = random_stencil(rng, (8, 8, 3), taps), pictures(rng, 70, (8, 8, 3))
        out = np.zeros_like(images)
        assert stencil.apply(images, out=out) is out
        assert np.array_equal(out, stencil.apply(images))
