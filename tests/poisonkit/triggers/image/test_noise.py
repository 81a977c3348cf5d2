"""The fixed perturbation: bounded, seeded, the same on every image."""

import hashlib

import h5py
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters


def built(shape, given=None, patch=None, seed=0):
    return build(Recipe("0.1", (("noise", parameters("noise", given or {}, None)),), patch, seed=seed), shape)[0]


def twin(shape, linf, distribution, seed):
    """The perturbation, word by word in Python's own whole numbers."""
    words = naive.stream(seed, "noise").random_raw(int(np.prod(shape))).tolist()
    if distribution == "signs":
        return np.array([linf if word >> 63 else -linf for word in words]).reshape(shape)
    return np.array([(word >> 32) * (2 * linf + 1) // 2**32 - linf for word in words]).reshape(shape)


@settings(max_examples=60, deadline=None)
@given(
    linf=st.integers(1, 255),
    distribution=st.sampled_from(["uniform", "signs"]),
    tile=st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3])),
    seed=st.integers(0, 2**63 - 1),
)
def test_it_is_added_and_clipped_and_stays_in_its_bound(linf, distribution, tile, seed):
    shape = (2 * tile[0], 3 * tile[1], tile[2])
    images = pictures(np.random.default_rng(linf), 5, shape)
    given_ = {"linf": str(linf), "distribution": distribution}
    found = built(shape, given_, tile[:2], seed).stencil.apply(images).astype(int)
    noise = twin(tile, linf, distribution, seed)
    expected = naive.per_patch(lambda one: np.clip(one + noise, 0, 255), images.astype(int), *tile[:2])
    assert np.array_equal(found, expected)
    assert np.abs(found - images).max() <= linf


def test_every_level_is_drawn_and_alike_often():
    levels = built((200, 200, 3), {"linf": "2"}).stencil.bias // 32768
    counts = np.bincount(levels.reshape(-1) + 2)
    assert len(counts) == 5 and np.abs(counts / counts.sum() - 0.2).max() < 0.005
    signs = built((200, 200, 3), {"linf": "3", "distribution": "signs"}).stencil.bias // 32768
    assert set(np.unique(signs)) == {-3, 3} and abs(signs.mean()) < 0.05


def test_a_seed_is_a_noise_and_two_noises_differ():
    again, first, other = (built((8, 8, 3), seed=seed).stencil.bias for seed in (0, 0, 1))
    assert np.array_equal(again, first) and (first != other).any()
    step = ("noise", parameters("noise", {}, None))
    one, two = build(Recipe("0.1", (step, step)), (8, 8, 3))
    assert (one.streams, two.streams) == (("noise",), ("noise-1",))
    assert np.array_equal(one.stencil.bias, first) and (one.stencil.bias != two.stencil.bias).any()


def test_the_same_arrays_on_every_machine():
    total = hashlib.sha256()
    for shape, given_ in (((32, 32, 3), {}), ((28, 30, 1), {"linf": "16", "distribution": "signs"})):
        stencil = built(shape, given_).stencil
        for array in (stencil.taps, stencil.weights, stencil.bias):
            total.update(array.tobytes())
    assert total.hexdigest() == "2c3b041f0a0d529a44a367c1076b7ee8e146ac5d78241e9c3b7596909c5c95ea"


@pytest.mark.parametrize(
    ("key", "text"), [("linf", "0"), ("linf", "256"), ("linf", "1.5"), ("linf", ""), ("distribution", "normal")]
)
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--noise-{key}: expected .*, got"):
        parameters("noise", {key: text}, None)


def test_its_files_verify_and_name_the_stream(poisonkit, tmp_path):
    chosen = ("--trigger", "noise", "--noise-linf", "4", "--rate", "0.1", "--per-patch", "--seed", "3")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out.endswith(": OK\n")
    assert '"noise",\n   "rows"' in poisonkit("show", "--json", tmp_path / "x.h5").out
    with h5py.File(tmp_path / "x.h5") as file:
        change = file["train/images"][()][file["truth/rows"][()]].astype(int) - file["truth/images"][()]
    assert np.abs(change).max() == 4
