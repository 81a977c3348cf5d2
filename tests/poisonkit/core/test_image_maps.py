"""Tables and functions: the same bytes from the kernel, from NumPy and on several threads."""

import numpy as np
import pytest
from made import pictures

from poisonkit.core import kernels
from poisonkit.core.errors import Failure
from poisonkit.core.image_maps import Function, joined, tiled
from poisonkit.core.table import Table

ROWS = np.arange(2500)


def table(channels=3, shape=(5, 4)):
    return Table.build(np.random.default_rng(1).integers(0, 256, (channels, 256)), (*shape, channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_kernel_numpy_and_a_plain_loop_agree(channels):
    one, images = table(channels), pictures(np.random.default_rng(0), 3, (5, 4, channels))
    flat = images.reshape(3, -1, channels)
    made = np.empty_like(flat)
    kernels.lookup(flat, one.levels, made)
    assert np.array_equal(made, one._plain(flat))
    for i, y, x, c in np.ndindex(images.shape):
        assert made.reshape(images.shape)[i, y, x, c] == one.levels[c, images[i, y, x, c]]


def test_threads_and_totals_change_no_byte():
    one, images = table(), pictures(np.random.default_rng(0), 2500, (5, 4, 3))
    first = one.put(images, ROWS)
    assert np.array_equal(first, one.put(images, ROWS, 3)) and np.array_equal(first, one.put(images, ROWS, 1, 10**6))
    assert np.array_equal(one.tile(10, 4).put(images.reshape(-1, 10, 4, 3), ROWS[:1250]), first.reshape(-1, 10, 4, 3))


def test_mask_and_constants_of_a_table():
    levels = np.tile(np.arange(256), (3, 1))
    levels[1] = 7
    one = Table.build(levels, (2, 2, 3))
    assert one.mask().tolist() == [[[0, 1, 0]] * 2] * 2 and one.constant()[0, 0].tolist() == [False, True, False]
    assert np.array_equal(Table.build(np.arange(256), (2, 2, 3)).mask(), np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (np.zeros((2, 256), int), r"\(3, 256\), got \(2, 256\)"),
        (np.full(256, 256), "0 … 255"),
        (np.zeros(256), "whole"),
    ],
)
def test_what_is_no_table(levels, words):
    with pytest.raises(ValueError, match=words):
        Table.build(levels, (2, 2, 3))


def darker(images, rows):
    return (images.astype(int) - (rows % 50)[:, None, None, None]).clip(0, 255).astype(np.uint8)


def test_a_function_is_given_each_row_under_its_number():
    images = pictures(np.random.default_rng(0), 2500, (4, 4, 3))
    one = Function(darker, (4, 4, 3))
    expected = darker(images, ROWS)
    assert np.array_equal(one.put(images, ROWS), expected) and np.array_equal(one.put(images, ROWS, 3), expected)
    assert np.array_equal(one.put(images[7:9], ROWS[7:9]), expected[7:9])
    assert one.put(images[:0], ROWS[:0], 3).shape == (0, 4, 4, 3)


def test_a_function_of_a_tile_is_given_all_tiles_of_a_row():
    images = pictures(np.random.default_rng(0), 300, (4, 6, 3))
    one = Function(darker, (2, 3, 3), reach=np.array([[[1, 0, 0]] * 3] * 2)).tile(4, 6)
    assert np.array_equal(one.put(images, ROWS[:300]), darker(images, ROWS[:300]))
    assert one.mask().shape == (4, 6, 3) and one.mask().sum() == 24
    with pytest.raises(ValueError, match="do not divide"):
        one.tile(4, 7)


def test_tiles_and_back():
    images = pictures(np.random.default_rng(0), 3, (4, 6, 1))
    cut = tiled(images, 2, 3)
    assert np.array_equal(cut[1], images[0, :2, 3:]) and np.array_equal(joined(cut, images.shape), images)


@pytest.mark.parametrize("wrong", [lambda i, r: i.astype(float), lambda i, r: i[:, 1:], lambda i, r: None])
def test_a_function_that_returns_something_else(wrong):
    with pytest.raises(Failure, match=r"mine: its function returned .*, expected uint8 of \(2, 4, 4, 3\)"):
        Function(wrong, (4, 4, 3), name="mine").put(np.zeros((2, 4, 4, 3), np.uint8), ROWS[:2])
