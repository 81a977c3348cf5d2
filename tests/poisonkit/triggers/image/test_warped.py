"""The warp: against the float64 formula, the reference WaNet code and the notebooks' warp (tests/golden/)."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.core import random_streams
from poisonkit.core.errors import Usage
from poisonkit.core.stencil import ONE
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import warped
from poisonkit.triggers.image_base import ImageContext

WANET = ["wanet_32_k4_s05", "wanet_32_k8_s1", "wanet_8_k4_s05", "wanet_32_k2_s025"]
NOTEBOOK = ["notebook_32_k2_s025", "notebook_32_k4_s05"]


class Noise(ImageContext):
    """A context whose noise is given."""

    def __init__(self, noise):
        super().__init__(seed=0)
        object.__setattr__(self, "given", np.asarray(noise, np.float64))

    def noise(self, name, shape):
        assert (name, shape) == ("flow", self.given.shape)
        return self.given


def settings_of(case):
    """(k, s) from a golden case's name."""
    k, s = case.split("_k")[1].split("_s")
    return int(k), {"05": "0.5", "1": "1", "025": "0.25"}[s]


def golden(root, name):
    with np.load(root / "tests" / "golden" / name) as data:
        return dict(data)


@pytest.mark.parametrize("case", WANET)
def test_agrees_with_the_reference_code(root, case):
    """Within 1 grey level after rounding, and within 0.01 pixel in the flow."""
    data, (k, s) = golden(root, "wanet.npz"), settings_of(case)
    expected, flow = data[f"{case}_warped"], data[f"{case}_flow_px_xy"]
    height, width = expected.shape[1:3]
    one = warped.build(
        parameters("warped", {"k": str(k), "s": s}, None), (height, width, 3), Noise(data[f"{case}_noise"][0])
    )
    images = data["images"][:, :height, :width]
    assert np.abs(one.extras["flow"] - flow).max() < 0.01
    assert np.abs(flow).max() > 0.01  # else nothing would have been compared
    found = one.stencil.apply(images).astype(int)
    assert np.abs(found - np.rint(expected)).max() <= 1
    assert (found != images).any()


@pytest.mark.parametrize("case", NOTEBOOK)
def test_agrees_with_the_notebooks(root, case):
    """Exactly, wherever the float coordinate is further than 1e-4 from an integer."""
    data, (k, s) = golden(root, "notebook_warp.npz"), settings_of(case)
    noise = data[f"{case}_noise_yx"][0].transpose(2, 0, 1)[::-1]
    chosen = parameters("warped", {"k": str(k), "s": s}, "notebook")
    one = warped.build(chosen, (32, 32, 3), Noise(noise))
    x, y = warped.source_coordinates(np.asarray(noise, np.float64), chosen, 32, 32)
    safe = (np.abs(x - np.rint(x)) > 1e-4) & (np.abs(y - np.rint(y)) > 1e-4)
    assert safe.mean() > 0.85
    assert np.array_equal(np.floor(y)[safe], data[f"{case}_rows"][safe])
    assert np.array_equal(np.floor(x)[safe], data[f"{case}_cols"][safe])
    found = one.stencil.apply(data["images"])
    assert np.array_equal(found[:, safe], data[f"{case}_warped"][:, safe])
    assert one.stencil.taps.shape[-1] == 1 and (one.stencil.weights == ONE).all()


def test_the_notebook_preset_is_k_2_s_025():
    assert parameters("warped", {}, "notebook") == {
        "k": 2,
        "s": "0.25",
        "upsample": "half-pixel",
        "sampling": "truncate",
    }
    assert parameters("warped", {}, None) == {"k": 4, "s": "0.5", "upsample": "aligned", "sampling": "bilinear"}


cases = {
    "k": st.integers(2, 9),
    "s": st.decimals(0, 4, allow_nan=False, places=2),
    "shape": st.tuples(st.integers(2, 12), st.integers(2, 12), st.sampled_from([1, 3])),
    "seed": st.integers(0, 2**63 - 1),
}


@settings(max_examples=40, deadline=None)
@given(**cases)
def test_within_one_grey_level_of_the_formula(k, s, shape, seed):
    noise = random_streams.signed_noise(seed, "flow", (2, k, k))
    one = warped.build(parameters("warped", {"k": str(k), "s": str(s)}, None), shape, ImageContext(seed))
    x, y = naive.warp_coordinates(noise, float(s), shape[0], shape[1], naive.upsample_aligned)
    identity = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), -1)
    assert np.abs(one.extras["flow"] + identity - np.stack([x, y], -1)).max() < 1e-9
    images = pictures(np.random.default_rng(k), 5, shape)
    found = one.stencil.apply(images)
    assert np.abs(found - naive.warp(images, x, y)).max() <= 1


@settings(max_examples=40, deadline=None)
@given(**cases)
def test_half_pixel_coordinates_agree_with_their_twin(k, s, shape, seed):
    noise = random_streams.signed_noise(seed, "flow", (2, k, k))
    chosen = parameters("warped", {"k": str(k), "s": str(s), "upsample": "half-pixel"}, None)
    found = warped.source_coordinates(noise, chosen, shape[0], shape[1])
    expected = naive.warp_coordinates(noise, float(s), shape[0], shape[1], naive.upsample_half_pixel)
    assert np.abs(np.array(found) - np.array(expected)).max() < 1e-9


@settings(max_examples=60, deadline=None)
@given(
    **cases, upsample=st.sampled_from(["aligned", "half-pixel"]), sampling_=st.sampled_from(["bilinear", "truncate"])
)
def test_weights_sum_to_exactly_one_and_taps_lie_inside(k, s, shape, seed, upsample, sampling_):
    asked = {"k": str(k), "s": str(s), "upsample": upsample, "sampling": sampling_}
    stencil = warped.build(parameters("warped", asked, None), shape, ImageContext(seed)).stencil
    assert (stencil.weights.sum(-1) == ONE).all() and (stencil.weights >= 0).all()
    assert (stencil.taps >= 0).all() and (stencil.taps < np.prod(shape)).all()
    assert (stencil.taps % shape[2] == np.arange(shape[2])[:, None]).all()  # never from one channel into another
    assert not stencil.bias.any()
    for level in (0, 1, 255):  # so a picture of one grey level stays what it is
        flat = np.full((1, *shape), level, np.uint8)
        assert np.array_equal(stencil.apply(flat), flat)


def test_strength_0_changes_nothing():
    images = pictures(np.random.default_rng(0), 65, (32, 32, 3))
    for sampling_ in ("bilinear", "truncate"):
        chosen = parameters("warped", {"s": "0", "sampling": sampling_}, None)
        assert np.array_equal(warped.build(chosen, (32, 32, 3), ImageContext(0)).stencil.apply(images), images)


def test_the_remainder_goes_to_the_largest_and_to_the_first_of_equals():
    third = np.array([1 / 3, 1 / 3, 1 / 3, 0])
    assert warped.fixed_point(third).tolist() == [10922, 10923, 10923, 0]
    assert warped.fixed_point(np.array([0.25, 0.25, 0.25, 0.25])).tolist() == [8192] * 4
    uneven = np.array([0.1, 0.2, 0.3, 0.4])
    assert warped.fixed_point(uneven).tolist() == [3277, 6554, 9830, 13107]
    assert warped.fixed_point(uneven).sum() == ONE


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_fixed_point_is_within_two_of_the_float(fx, fy):
    weights = np.array([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy])
    fixed = warped.fixed_point(weights)
    assert fixed.sum() == ONE and np.abs(fixed - weights * ONE).max() <= 2 and fixed.min() >= 0


def test_per_patch_the_field_is_made_for_the_tile():
    images = pictures(np.random.default_rng(4), 9, (32, 32, 3))
    step = (("warped", parameters("warped", {}, None)),)
    tile = build(Recipe("0.1", step, seed=5), (8, 8, 3))[0]
    whole = build(Recipe("0.1", step, (8, 8), seed=5), (32, 32, 3))[0]
    assert whole.extras["flow"].shape == (8, 8, 2)
    assert np.array_equal(whole.extras["flow"], tile.extras["flow"])
    assert np.array_equal(whole.stencil.apply(images), naive.per_patch(tile.stencil.apply, images, 8, 8))


def test_two_warps_have_two_fields_and_the_first_does_not_depend_on_the_second():
    step = ("warped", parameters("warped", {}, None))
    alone = build(Recipe("0.1", (step,)), (16, 16, 1))[0]
    first, second = build(Recipe("0.1", (step, step)), (16, 16, 1))
    assert (first.streams, second.streams) == (("flow",), ("flow-1",))
    assert np.array_equal(first.extras["flow"], alone.extras["flow"])
    assert (second.extras["flow"] != first.extras["flow"]).any()


def test_a_seed_is_a_field():
    step = (("warped", parameters("warped", {}, None)),)
    fields = [build(Recipe("0.1", step, seed=seed), (32, 32, 3))[0].extras["flow"] for seed in (0, 0, 1)]
    assert np.array_equal(fields[0], fields[1]) and (fields[0] != fields[2]).any()


@pytest.mark.parametrize("patch", [(1, 8), (8, 1), (1, 1)])
def test_tiles_that_cannot_be_warped_are_refused(patch):
    with pytest.raises(Usage, match="expected a tile of at least 2×2"):
        build(Recipe("0.1", (("warped", parameters("warped", {}, None)),), patch), (8, 8, 3))


@pytest.mark.parametrize(
    ("key", "text"),
    [("k", "1"), ("k", "65"), ("k", "x"), ("s", "-1"), ("s", "101"), ("s", "NaN"), ("upsample", "x"), ("sampling", "")],
)
def test_parameters_that_make_no_sense_are_refused(key, text):
    with pytest.raises(Usage, match=f"--warped-{key}: expected .*, got"):
        parameters("warped", {key: text}, None)
