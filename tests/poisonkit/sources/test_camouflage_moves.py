"""The steps that move and recolour: the kernels against plain twins, and what each step does to an image."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import some_images

from poisonkit.core import kernels, random_streams
from poisonkit.sources import camouflage
from poisonkit.sources._camouflage import looks, moves
from poisonkit.sources._camouflage.steps import STEPS
from poisonkit.triggers.image import warped


def done(text, images, seed=5):
    return camouflage.Transform(camouflage.parse(text, seed), "train", images.shape[1:])(images)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_sample_is_its_twin(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (3, height, width, channels), dtype=np.uint8)
    places = rng.integers(-4000, 4000, (3, height, width, 2)).astype(np.int32)
    assert np.array_equal(moves.sampled(images, places), naive.sample(images, places))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_overlay_is_its_twin(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, height, width, channels), dtype=np.uint8)
    pictures = rng.integers(0, 256, (2, 5, 4 + channels)).astype(np.int32)
    pictures[..., :4] %= 80
    alphas, out = rng.integers(0, 129, 2).astype(np.int32), np.empty_like(images)
    kernels.overlay(images, pictures, alphas, out)
    assert np.array_equal(out, naive.overlay(images, pictures, alphas))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 18), st.integers(1, 18), st.sampled_from([1, 3]), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_tiles_are_their_twin(height, width, channels, percent, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (6, height, width, channels), dtype=np.uint8)
    words = rng.integers(0, 2**64, (6, 18), dtype=np.uint64)
    words[:3, 1] = np.array([0, 1, 7], np.uint64) << np.uint64(61)  # every side
    before = images.copy()
    assert np.array_equal(looks.tiles(images, words, percent), naive.tiles(images, words, percent))
    assert np.array_equal(images, before)


@pytest.mark.parametrize("size", [1, 2, 5, 32, 33])
def test_a_field_is_upsampled_as_wanets_is(size):
    """Bicubic with aligned corners, A = −0.75, within the fixed point's error."""
    grid = np.random.default_rng(size).integers(-640, 641, (3, 2, 4, 4)).astype(np.int64)
    found = moves.upsampled(grid, size) / 4096
    if size == 1:
        assert np.array_equal(found[..., 0], grid[..., 0])
        return
    points, weights = warped._resampling(4, size, "aligned")
    assert np.abs(found - (grid[..., points] * weights).sum(-1)).max() < 1


def test_a_warp_moves_by_its_mean_and_no_field_is_anothers():
    words = random_streams.row_words(3, "w", np.arange(400), 32)
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None, None], (400, 1, 32, 1))
    moved = moves.warp(ramp, words, 320).astype(float)[:, 8:24] - ramp[:, 8:24]
    assert 0.5 < np.abs(moved / 8).mean() < 1.25 and abs(moved.mean()) < 1
    assert len(np.unique(moved.reshape(400, -1), axis=0)) == 400


def test_a_crop_of_a_ramp_is_a_ramp_inside_it():
    words = random_streams.row_words(3, "c", np.arange(300), 4)
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None, None], (300, 1, 32, 1))
    found = moves.crop(ramp, words, 8).astype(int)[:, :, 0, 0]
    steps = np.diff(found, axis=1)
    assert steps.min() >= 5 and steps.max() <= 8 and found.min() >= 0 and found.max() <= 248
    assert found[:, 0].max() > 40 and found[:, -1].min() < 208  # up to 8 pixels go, at either end
    assert np.array_equal(moves.crop(ramp, words, 0), ramp)


def test_every_other_image_is_mirrored():
    images = some_images(200)
    found = done("flip=1", images)
    turned = (found == images[:, :, ::-1]).reshape(200, -1).all(1)
    assert (turned | (found == images).reshape(200, -1).all(1)).all() and 70 < turned.sum() < 130


def test_colour_and_blur_keep_what_is_flat_flat():
    flat = np.repeat(np.arange(0, 250, 5, dtype=np.uint8), 16 * 16 * 3).reshape(50, 16, 16, 3)
    assert np.array_equal(done("blur=50", flat), flat)
    coloured = done("colour=20", flat).reshape(50, -1, 3)
    assert (coloured == coloured[:, :1]).all() and (coloured[:, 0] != flat[:, 0, 0]).any()
    assert np.abs(coloured.astype(int) - flat.reshape(50, -1, 3)).max() <= 128 * 0.3 + 26


def test_an_overlay_hides_at_most_its_share():
    images = np.full((100, 16, 16, 3), 200, np.uint8)
    found = done("overlay=50", images)
    assert found.min() >= 100 and (found != 200).reshape(100, -1).any(1).mean() > 0.9


def test_tiles_repeat_a_small_picture_of_the_rows_own_and_hide_at_most_its_share():
    images = np.full((300, 32, 32, 3), 200, np.uint8)
    found = done("tiles=25", images)
    assert found.min() >= 150 and (found != 200).reshape(300, -1).any(1).mean() > 0.9
    repeats = np.array([(found[:, side:] == found[:, :-side]).reshape(300, -1).all(1) for side in (4, 8, 16)])
    assert repeats[2].all() and 190 < repeats[1].sum() < 290 and 20 < repeats[0].sum() < 90
    contrast = np.ptp(found.reshape(300, -1).astype(int), axis=1)  # strong in some rows, faint in others
    assert np.quantile(contrast, 0.1) < 10 and np.quantile(contrast, 0.9) > 40
    assert len(np.unique(found.reshape(300, -1), axis=0)) > 280


def test_what_tiles_do_to_a_row_depends_on_no_other_row():
    images, rows = some_images(40), np.array([7, 3, 3, 250])
    change = camouflage.Transform(camouflage.parse("tiles=25", 5), "train", images.shape[1:])
    whole = change(images[np.arange(300) % 40])
    assert np.array_equal(change(images[rows % 40], rows), whole[rows])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (7, 40, 1), (64, 64, 3)])
@pytest.mark.parametrize("name", STEPS)
def test_every_step_takes_any_shape(name, shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    before = images.copy()
    found = done(f"{name}=1", images)
    assert found.shape == images.shape and found.dtype == np.uint8 and np.array_equal(images, before)


def test_strong_keeps_a_picture_a_picture():
    images = some_images(60)
    found = done("strong", images).astype(float)
    like = [np.corrcoef(a.reshape(-1), b.reshape(-1))[0, 1] for a, b in zip(images, found, strict=True)]
    assert 0.4 < np.median(like) < 0.95
