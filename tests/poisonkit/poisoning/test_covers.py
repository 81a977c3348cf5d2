"""Cover rows, and WaNet's noise mode for them."""

import damage
import h5py
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import pictures

from poisonkit.build import request as build_request
from poisonkit.core import random_streams
from poisonkit.core.errors import Usage
from poisonkit.poisoning import apply, plan
from poisonkit.poisoning.recipe import Recipe, build, check_jitter, parameters
from poisonkit.poisoning.selection import COVER
from poisonkit.triggers.image import warped


def step(name="warped", preset=None, **given_):
    return name, parameters(name, given_, preset)


def request(*steps, patch=None, seed=0, **more):
    return Recipe("0.1", steps, patch, seed=seed, cover_rate="0.2", cover_jitter=True, **more)


cases = {
    "k": st.integers(2, 6),
    "s": st.decimals(0, 2, allow_nan=False, places=2),
    "shape": st.tuples(st.integers(2, 12), st.integers(2, 12), st.sampled_from([1, 3])),
    "seed": st.integers(0, 2**63 - 1),
}


@settings(max_examples=40, deadline=None)
@given(**cases)
def test_within_one_grey_level_of_the_formula(k, s, shape, seed):
    """The reference code's: the grid, clamped, plus noise / height, clamped, sampled bilinearly."""
    built = build(request(step(k=str(k), s=str(s)), seed=seed), shape)
    images, rows = pictures(np.random.default_rng(k), 3, shape), np.array([0, 7, 2**31])
    found = apply.jitter_all(built, images, rows)
    grid = random_streams.signed_noise(seed, "flow", (2, k, k))
    x, y = naive.warp_coordinates(grid, float(s), shape[0], shape[1], naive.upsample_aligned)
    for image, row, one in zip(images, rows.tolist(), found, strict=True):
        raw = naive.stream(seed, "jitter", row).random_raw(2 * shape[0] * shape[1])
        noise = ((raw >> np.uint64(11)) / 2**53 * 2 - 1).reshape(2, *shape[:2])
        expected = naive.warp(image[None], *naive.jittered_coordinates(x, y, noise))[0]
        assert np.abs(one - expected).max() <= 1


@settings(max_examples=30, deadline=None)
@given(**cases)
def test_without_noise_it_is_the_trigger_itself(k, s, shape, seed):
    one = build(request(step(k=str(k), s=str(s)), seed=seed), shape)[0]
    images = pictures(np.random.default_rng(k), 70, shape)
    still = warped.jittered(images, np.zeros((70, 2, *shape[:2])), one.extras["flow"], "bilinear")
    assert np.abs(still.astype(int) - one.stencil.apply(images)).max() <= 1


def test_the_reference_field_without_noise(root):
    """WaNet's golden vector through the noise mode's own sampling: within 1 grey level after rounding."""
    with np.load(root / "tests" / "golden" / "wanet.npz") as data:
        images, expected = data["images"], data["wanet_32_k4_s05_warped"]
        flow = data["wanet_32_k4_s05_flow_px_xy"].astype(np.float64)
    found = warped.jittered(images, np.zeros((len(images), 2, 32, 32)), flow, "bilinear")
    assert np.abs(found - np.rint(expected)).max() <= 1 and (found != images).any()


def test_a_rows_noise_depends_on_no_other_row():
    built = build(request(step()), (16, 16, 3))
    images, rows = pictures(np.random.default_rng(0), 200, (16, 16, 3)), np.arange(0, 2000, 10)
    whole = apply.jitter_all(built, images, rows)
    for some in ([0], [199], [3, 50, 120], list(range(100, 200))):
        assert np.array_equal(apply.jitter_all(built, images[some], rows[some]), whole[some])
    other = apply.jitter_all(built, images, rows + 1)
    assert (whole != other).any((1, 2, 3)).all() and (whole != built[0].stencil.apply(images)).any((1, 2, 3)).all()


@pytest.mark.parametrize("patch", [(8, 8), (16, 8), (4, 2)])
def test_per_patch_every_tile_has_noise_of_its_own(patch):
    one = build(request(step(), patch=patch, seed=3), (32, 32, 3))[0]
    images = pictures(np.random.default_rng(1), 2, (32, 32, 3))
    found = one.jitter.apply(images, np.array([5, 6]))
    noise = np.stack([random_streams.signed_noise(3, "jitter", (2, 32, 32), row) for row in (5, 6)])
    for y in range(0, 32, patch[0]):
        for x in range(0, 32, patch[1]):
            tile = np.s_[:, y : y + patch[0], x : x + patch[1]]
            own = noise[:, :, y : y + patch[0], x : x + patch[1]]
            assert np.array_equal(found[tile], warped.jittered(images[tile], own, one.extras["flow"], "bilinear"))


def test_truncated_coordinates_stay_truncated():
    """The notebooks' sampling under noise: every pixel is some pixel of the image, whole."""
    built = build(request(step(preset="notebook")), (8, 8, 1))
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) * 3
    found = apply.jitter_all(built, image, np.array([1]))
    assert np.isin(found, image).all() and (found != image).any()


def test_other_triggers_are_applied_as_ever():
    images = pictures(np.random.default_rng(0), 5, (16, 16, 3))
    rows = np.arange(5)
    warp, square = build(request(step(), step("square")), (16, 16, 3))
    both = apply.jitter_all([warp, square], images, rows)
    assert np.array_equal(both, square.stencil.apply(warp.jitter.apply(images, rows)))
    assert square.jitter is None


def test_two_warps_have_two_streams():
    first, second = build(request(step(), step()), (16, 16, 1))
    assert (first.jitter.stream, second.jitter.stream) == ("jitter", "jitter-1")
    assert plan.streams(request(step(), step()), apply.Stencils([first, second], True)) == [
        "cover",
        "flow",
        "flow-1",
        "jitter",
        "jitter-1",
        "rows",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"triggers": ("square",), "cover_rate": "0.1", "cover_jitter": True},
            "--cover-jitter: needs --trigger warped",
        ),
        (
            {"triggers": ("warped",), "cover_jitter": True},
            "--cover-jitter: there are no cover rows without --cover-rate",
        ),
        ({"triggers": ("warped",), "cover_jitter": True, "cover_rate": "0"}, "no cover rows without --cover-rate"),
    ],
    ids=str,
)
def test_noise_without_what_it_needs_is_refused(more, words):
    with pytest.raises(Usage, match=words):
        build_request.parse_recipes(build_request.MakeOptions("signs", rates=("0.1",), **more))
    with pytest.raises(Usage, match="--cover-jitter"):
        check_jitter(Recipe("0.1", (step("square"),), cover_jitter=True))


# ---- presets set options and nothing else


def typed(preset=None, names=("warped",), rate="0.1", given=None, **more):
    return build_request.parse_recipes(
        build_request.MakeOptions("signs", names, (rate,), preset=preset, trigger_options=given or {}, **more)
    )[0]


def test_the_wanet_preset_is_these_options():
    aloud = {"warped": {"k": "4", "s": "0.5", "upsample": "aligned", "sampling": "bilinear"}}
    assert typed("wanet") == typed(given=aloud, cover_rate="2x", cover_jitter=True)
    assert (typed("wanet").cover_rate, typed("wanet").cover_jitter) == ("0.2", True), "pc 0.1, cross ratio 2"
    assert typed("wanet", rate="0.0005").cover_rate == "0.001"
    assert typed("wanet", names=("warped", "square")).cover_jitter
    assert not typed("notebook").cover_jitter and typed("notebook").cover_rate == "0"
    assert not typed("backdoorbench", names=("square",)).cover_jitter


def test_what_is_typed_wins_over_the_preset():
    found = typed("wanet", given={"warped": {"k": "8"}}, cover_rate="5%")
    assert (found.steps[0][1]["k"], found.cover_rate, found.cover_jitter) == (8, "0.05", True)
    none = typed("wanet", cover_rate="0")
    assert (none.cover_rate, none.cover_jitter) == ("0", False)
    assert none == typed()


@pytest.mark.parametrize(
    ("text", "rate", "spelling"),
    [
        ("2x", "0.1", "0.2"),
        ("2X", "0.0005", "0.001"),
        ("0.5x", "0.1", "0.05"),
        (" 10% ", "0.3", "0.1"),
        ("0x", "1", "0"),
    ],
)
def test_a_multiple_of_the_rate(text, rate, spelling):
    assert typed(rate=rate, cover_rate=text).cover_rate == spelling


def test_two_cover_rates_are_nested_in_the_files_too(poisonkit, tmp_path):
    """And a cover row is the same image at either, whatever else is covered."""
    covers = {}
    for rate in ("0.05", "0.3"):
        asked = ("--trigger", "warped", "--rate", "0.1", "--cover-rate", rate, "--cover-jitter")
        poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / f"{rate}.h5").succeeded()
        with h5py.File(tmp_path / f"{rate}.h5") as f:
            rows = f["truth/rows"][()][f["truth/role"][()] == COVER]
            covers[rate] = {int(row): f["train/images"][int(row)].tobytes() for row in rows}
    assert len(covers["0.05"]) == 10 and covers["0.05"].items() <= covers["0.3"].items()


def test_the_presets_are_listed(poisonkit):
    out = poisonkit("triggers").succeeded().out
    assert "--preset wanet: k 4, s 0.5, upsample aligned, sampling bilinear; --cover-rate 2x; --cover-jitter" in out


def test_the_preview_says_which_are_covers(poisonkit, library, tmp_path):
    poisonkit("preview", library("wanet"), "-o", tmp_path / "p.png", "--rows", "60").succeeded()
    path = damage.copy(library("wanet"), tmp_path)
    with h5py.File(path) as f:
        row = int(f["truth/rows"][3])
    damage.set_rows(path, "train/labels", {row: 10})
    damage.reseal(path)
    poisonkit("preview", path, "-o", tmp_path / "q.png").failed(1, "train/labels: has labels outside 0 … 9")
