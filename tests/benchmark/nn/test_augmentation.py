"""Augmentation: what is drawn, what becomes of the pixels, and that every backend makes the same of them."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.nn import engines
from benchmark.nn.augmentation import ONE, augmented, draws

engines.activate("tensorflow", threads=2)

RANDOM = np.random.default_rng(0)


def by_hand(images, drawn):
    """The twin: pad, crop, mirror, then turn pixel by pixel, forwards as it is described."""
    result = np.zeros_like(images)
    for image, (down, right, flip, *turn), out in zip(images, drawn.tolist(), result, strict=True):
        height, width, _ = image.shape
        edge = max(abs(down), abs(right))
        padded = np.pad(image, ((edge, edge), (edge, edge), (0, 0)))
        cropped = padded[edge + down : edge + down + height, edge + right : edge + right + width]
        cropped = cropped[:, ::-1] if flip else cropped
        if not turn:
            out[:] = cropped
            continue
        cosine, sine = turn
        for y in range(height):
            for x in range(width):
                down_from, right_from = 2 * y - (height - 1), 2 * x - (width - 1)
                from_y = (cosine * down_from + sine * right_from + height * ONE) // (2 * ONE)
                from_x = (cosine * right_from - sine * down_from + width * ONE) // (2 * ONE)
                if 0 <= from_y < height and 0 <= from_x < width:
                    out[y, x] = cropped[from_y, from_x]
    return result


def pixels(count, height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (count, height, width, channels)).astype("u1")


def device(images, drawn):
    return np.asarray(augmented(np.asarray(images), np.asarray(drawn, "i4")))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(0, 12), st.booleans(), st.integers(0, 180))
def test_what_is_drawn_is_within_its_range(seed, epoch, padding, flip, rotation):
    drawn = draws(seed, epoch, 50, padding, flip, rotation)
    assert drawn.dtype == np.int32 and drawn.shape == (50, 5 if rotation else 3)
    assert np.abs(drawn[:, :2]).max() <= padding and set(drawn[:, 2]) <= {0, int(flip)}
    if rotation:
        angles = np.rad2deg(np.arctan2(drawn[:, 4], drawn[:, 3]))
        assert np.abs(angles).max() <= rotation + 0.01
        np.testing.assert_allclose(np.hypot(drawn[:, 3], drawn[:, 4]), ONE, atol=1)


def test_every_offset_occurs_as_often_and_half_the_images_are_mirrored():
    drawn = draws(3, 1, 90_000, 4, True, 10)
    for column in drawn[:, :2].T:
        assert np.abs(np.bincount(column + 4, minlength=9) - 10_000).max() < 500
    assert abs(drawn[:, 2].mean() - 0.5) < 0.01
    angles = np.rad2deg(np.arctan2(drawn[:, 4], drawn[:, 3]))
    assert abs(angles.mean()) < 0.1 and angles.min() < -9.9 and angles.max() > 9.9
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.02


def test_draws_are_pinned_and_depend_on_seed_epoch_and_row_alone():
    """A change here would change every run that is augmented."""
    assert draws(7, 2, 3, 4, True, 15).tolist() == [
        [4, -2, 0, 16316, -1494],
        [-4, 1, 0, 15901, -3949],
        [1, 4, 0, 15903, -3940],
    ]
    assert np.array_equal(draws(7, 2, 3, 4, True, 15), draws(7, 2, 9, 4, True, 15)[:3])
    assert not np.array_equal(draws(7, 2, 9, 4, True, 0), draws(7, 3, 9, 4, True, 0))
    assert not np.array_equal(draws(7, 2, 9, 4, True, 0), draws(8, 2, 9, 4, True, 0))
    assert np.array_equal(draws(7, 2, 9, 4, True, 15)[:, :3], draws(7, 2, 9, 4, True, 0))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 12), st.sampled_from([0, 1, 15, 180]),
       st.integers(0, 1000))  # fmt: skip
def test_the_device_does_what_the_twin_does(height, width, channels, padding, rotation, seed):
    images = pixels(6, height, width, channels, seed)
    drawn = draws(seed, 1, 6, padding, True, rotation)
    found = device(images, drawn)
    assert found.dtype == np.uint8
    assert np.array_equal(found, by_hand(images, drawn))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12))
def test_nothing_drawn_is_the_identity_and_a_flip_undoes_itself(height, width):
    images = pixels(3, height, width)
    assert np.array_equal(device(images, np.zeros((3, 3))), images)
    assert np.array_equal(device(images, np.tile([0, 0, 0, ONE, 0], (3, 1))), images)
    flip = np.tile([0, 0, 1], (3, 1))
    assert np.array_equal(device(images, flip), images[:, :, ::-1])
    assert np.array_equal(device(device(images, flip), flip), images)


def test_quarter_turns_are_quarter_turns():
    images = pixels(1, 7, 7)
    quarter = np.array([[0, 0, 0, 0, ONE]])
    turned = device(images, quarter)
    assert np.array_equal(turned[0], np.rot90(images[0], -1)) or np.array_equal(turned[0], np.rot90(images[0]))
    for _ in range(3):
        turned = device(turned, quarter)
    assert np.array_equal(turned, images)


def test_a_crop_moves_pixels_and_leaves_black():
    images = pixels(1, 5, 5)
    found = device(images, [[2, -1, 0]])[0]
    assert np.array_equal(found[:3, 1:], images[0, 2:, :4]) and not found[3:].any() and not found[:, 0].any()


OTHER = """
import sys
import numpy as np
from benchmark.nn import engines
engines.activate(sys.argv[1], threads=2)
import keras
from benchmark.nn.augmentation import augmented
with np.load(sys.argv[2], allow_pickle=False) as data:
    images = keras.ops.convert_to_tensor(data["images"])
    found = [keras.ops.convert_to_numpy(augmented(images, keras.ops.convert_to_tensor(data[name])))
             for name in ("drawn", "turned")]
np.savez(sys.argv[3], drawn=found[0], turned=found[1])
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_other_backends_make_the_same_pixels(backend, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    images = pixels(64, 32, 32)
    made = {"drawn": draws(1, 2, 64, 4, True, 0), "turned": draws(1, 2, 64, 4, True, 30)}
    np.savez(tmp_path / "in.npz", images=images, **made)
    words = [sys.executable, "-c", OTHER, backend, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(words, check=True)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        for name, drawn in made.items():
            assert np.array_equal(found[name], device(images, drawn))
            assert np.array_equal(found[name][:8], by_hand(images[:8], drawn[:8]))
