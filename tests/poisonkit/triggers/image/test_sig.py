"""The sinusoid against the float64 formula, and its own sine against libm's."""

import hashlib
import math
from fractions import Fraction

import h5py
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import sig


def built(shape, given=None, patch=None, preset=None):
    return build(Recipe("0.1", (("sig", parameters("sig", given or {}, preset)),), patch), shape)[0]


def twin(images, delta, frequency, orientation="horizontal"):
    """clip(image + Δ·sin(2π·j·f/m), 0, 255), float64."""
    height, width = images.shape[1:3]
    line = np.arange(width)[None, :] / width if orientation == "horizontal" else np.arange(height)[:, None] / height
    wave = delta * np.sin(2 * np.pi * frequency * line)
    return np.clip(images + wave[None, ..., None], 0, 255)


def backdoorbench(images, delta, frequency):
    """Its floats: a float32 pattern, the sum clipped and cut to bytes."""
    pattern = np.zeros(images.shape[1:], np.float32)
    for j in range(images.shape[2]):
        pattern[:, j] = delta * np.sin(2 * np.pi * j * frequency / images.shape[2])
    return np.uint8(np.clip(np.uint32(np.float32(images)) + pattern, 0, 255))


@given(st.fractions(-3, 3, max_denominator=5000))
@settings(max_examples=300, deadline=None)
def test_its_sine_is_the_sine(turn):
    assert abs(float(sig.sine(turn)) - math.sin(2 * math.pi * float(turn % 1))) < 1e-14
    assert sig.sine(turn) == -sig.sine(-turn) == -sig.sine(turn + Fraction(1, 2)) == sig.sine(turn + 1)
    assert abs(sig.sine(turn) ** 2 + sig.sine(turn + Fraction(1, 4)) ** 2 - 1) < Fraction(1, 2**80)


def test_its_sine_is_exact_where_it_can_be():
    assert [sig.sine(Fraction(n, 4)) for n in range(-4, 5)] == [0, 1, 0, -1, 0, 1, 0, -1, 0]
    assert abs(sig.sine(Fraction(1, 12)) - Fraction(1, 2)) < Fraction(1, 2**80)


asked = {
    "delta": st.decimals("0.5", 255, allow_nan=False, places=2),
    "frequency": st.decimals("0.1", 40, allow_nan=False, places=1),
    "orientation": st.sampled_from(["horizontal", "vertical"]),
    "tile": st.tuples(st.integers(1, 11), st.integers(1, 11), st.sampled_from([1, 3])),
}


@settings(max_examples=60, deadline=None)
@given(**asked)
def test_within_half_a_level_of_the_formula_per_patch_too(delta, frequency, orientation, tile):
    given_ = {"delta": str(delta), "frequency": str(frequency), "orientation": orientation}
    shape = (2 * tile[0], 3 * tile[1], tile[2])
    images = pictures(np.random.default_rng(tile[0]), 5, shape)
    try:
        found = built(shape, given_, tile[:2]).stencil.apply(images)
    except Usage as error:
        assert "adds 0 everywhere" in str(error)
        found = images
    formula = lambda one: twin(one, float(delta), float(frequency), orientation)  # noqa: E731
    expected = naive.per_patch(formula, images.astype(float), *tile[:2])
    assert np.abs(found - expected).max() <= 0.5 + 1e-9
    assert np.abs(found.astype(int) - images).max() <= delta + 1


@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 40, 1), (224, 224, 3)])
def test_the_backdoorbench_preset_is_within_one_level_of_its_floats(shape):
    images = pictures(np.random.default_rng(0), 4, shape)
    assert parameters("sig", {}, "backdoorbench") == {
        "delta": "40",
        "frequency": "6",
        "orientation": "horizontal",
        "rounding": "truncate",
    }
    found = built(shape, preset="backdoorbench").stencil.apply(images).astype(int)
    expected = backdoorbench(images, 40, 6).astype(int)
    assert np.abs(found - expected).max() <= 1
    # they differ only in the columns where the sine is 0, which floats miss by a hair
    exact = [j for j in range(shape[1]) if sig.sine(Fraction(6 * j, shape[1])) not in (0, 1, -1)]
    assert np.array_equal(found[:, :, exact], expected[:, :, exact])


def test_by_default_upright_stripes_of_amplitude_20():
    one = built((32, 32, 3))
    levels = one.stencil.bias // 32768
    assert (levels == levels[:1, :, :1]).all() and levels.max() == 20 and levels.min() == -20
    across = built((32, 32, 3), {"orientation": "vertical"}).stencil.bias
    assert np.array_equal(across, one.stencil.bias.transpose(1, 0, 2))
    assert not one.streams and not one.extras


def test_the_same_arrays_on_every_machine():
    total = hashlib.sha256()
    for shape, preset in (((32, 32, 3), None), ((28, 30, 1), None), ((32, 32, 3), "backdoorbench")):
        stencil = built(shape, preset=preset).stencil
        for array in (stencil.taps, stencil.weights, stencil.bias):
            total.update(array.tobytes())
    assert total.hexdigest() == "2f0d529fd4cab5965ed2b55ed29885035cfab47b7ed6bd83c48aedc3afa290e5"


def test_a_wave_that_changes_nothing_is_refused():
    with pytest.raises(Usage, match="sig: amplitude 20 with 6 periods over 12 pixels adds 0 everywhere: another"):
        built((32, 12, 3))
    with pytest.raises(Usage, match="amplitude 0 with"):
        built((32, 32, 3), {"delta": "0"})
    with pytest.raises(Usage, match="over 4 pixels"):
        built((32, 32, 3), patch=(8, 4))


@pytest.mark.parametrize(
    ("key", "text"),
    [("delta", "-1"), ("delta", "256"), ("delta", "x"), ("frequency", "-1"), ("frequency", "nan"), ("rounding", "up")],
)
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--sig-{key}: expected .*, got"):
        parameters("sig", {key: text}, None)
    with pytest.raises(Usage, match="--sig-orientation: expected one of horizontal, vertical"):
        parameters("sig", {"orientation": "diagonal"}, None)


def test_its_files_verify(poisonkit, tmp_path):
    chosen = ("--trigger", "sig", "--sig-delta", "12.5", "--rate", "0.1", "--per-patch", "--patch-size", "16x8")
    poisonkit("make", *poisonkit.small, *chosen, "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded().out == f"{tmp_path / 'x.h5'}: OK\n"
    with h5py.File(tmp_path / "x.h5") as file:
        change = file["train/images"][()][file["truth/rows"][()]].astype(int) - file["truth/images"][()]
    assert 1 <= np.abs(change).max() <= 13
