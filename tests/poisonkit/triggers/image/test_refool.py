"""Reflections: against outputs of the reference code (tests/golden/refool.npz), whose draws are handed in."""

import h5py
import numpy as np
import pytest
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.builtin_picture import reflections
from poisonkit.triggers.image import refool

TILE = (32, 32, 3)


@pytest.fixture(scope="module")
def golden(root):
    """The reference's arrays by name, and the images that they were made of."""
    folder = root / "tests" / "golden"
    with np.load(folder / "refool.npz") as data, np.load(folder / "wanet.npz") as first:
        return dict(data) | {"images": first["images"]}


@pytest.fixture
def work(golden):
    return refool.Work(refool.linear()[golden["refool_reflections"]], float(golden["refool_alpha_t"]), "random")


def built(given=None, tile=TILE, **more):
    request = Recipe("0.1", (("refool", parameters("refool", given or {}, None)),), **more)
    return build(request, tile)[0]


def test_ghosts_are_those_of_the_reference_code(golden, work):
    parts = (golden[f"refool_{name}"] for name in ("which", "offset_row_col", "ghost_alpha"))
    assert np.array_equal(work.ghost(golden["images"], *parts), golden["refool_ghost"])


def test_what_is_out_of_focus_is_that_of_the_reference_code(golden, work):
    parts = (golden[f"refool_{name}"] for name in ("which", "sigma", "att"))
    assert np.array_equal(work.blur(golden["images"], *parts), golden["refool_blur"])


def test_gamma_and_back():
    light = refool.linear()
    assert light[0] == 0 and light[255] == 1 and np.abs(light - (np.arange(256) / 255) ** 2.2).max() < 1e-15
    some = np.concatenate([np.random.default_rng(0).random(10_000), light, np.nextafter(light, 0), [0.0, 1.0]])
    assert np.array_equal(refool.levels(some), np.searchsorted(light, some, "right") - 1)
    assert np.array_equal(refool.levels(light), np.arange(256))


def test_gaussians_against_floats():
    for sigma in (1.0, 2.5, 4.984375):
        at = np.arange(len(refool.gaussian(sigma))) - len(refool.gaussian(sigma)) // 2
        expected = np.exp(-(at**2) / (2 * sigma**2))
        assert len(at) == 2 * np.ceil(2 * sigma) + 1
        assert np.abs(refool.gaussian(sigma) - expected / expected.sum()).max() < 1e-15
    bell = refool.pane(32, 20)
    assert bell.shape == (32, 20, 1) and bell.max() == 1 and bell[16, 10, 0] == 1 and bell[0, 0, 0] < 0.1


@pytest.mark.parametrize("mode", ["random", "ghost", "blur"])
def test_a_row_is_drawn_alike_whichever_others_there_are(mode):
    images, rows, one = pictures(np.random.default_rng(0), 150, TILE), np.arange(150) * 3, built({"mode": mode})
    whole = one.train.put(images, rows, 2)
    assert np.array_equal(one.train.put(images[50:90], rows[50:90]), whole[50:90])
    assert (one.test.put(images, rows) != whole).any((1, 2, 3)).all() and one.mask().all()


def test_nearly_half_of_the_rows_have_ghosts():
    images, rows = np.zeros((600, *TILE), np.uint8), np.arange(600)
    ghosts = built({"mode": "ghost"}).train.put(images, rows)
    same = (built().train.put(images, rows) == ghosts).all((1, 2, 3))
    assert 0.42 < same.mean() < 0.56


def test_grey_images_and_other_sizes():
    for tile in ((16, 16, 1), (20, 40, 3)):
        images = pictures(np.random.default_rng(0), 8, tile)
        for mode in ("ghost", "blur"):
            assert built({"mode": mode}, tile).train.put(images, np.arange(8)).shape == images.shape
    with pytest.raises(Usage, match="at least 16×16, got 15×32"):
        built({}, (15, 32, 3))
    assert reflections(1).shape == (8, 128, 128, 2) and reflections(3).std() > 20


def test_there_is_no_per_patch_form(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", "refool", "--rate", "0.1", "--per-patch", "-o", tmp_path / "x.h5")
    poisonkit(*asked).failed(2, "refool has no per-patch form: a reflection is one of the whole image")


def test_a_folder_of_ones_own(poisonkit, tmp_path):
    """Black is black here, and not transparent."""
    import cv2

    (tmp_path / "p").mkdir()
    picture = np.zeros((64, 48, 3), np.uint8)
    picture[:, ::2] = 255
    cv2.imwrite(str(tmp_path / "p" / "stripes.png"), picture)
    more = ("--refool-images", tmp_path / "p", "--refool-mode", "ghost")
    poisonkit(
        "make", *poisonkit.small, "--trigger", "refool", "--rate", "0.05", *more, "-o", tmp_path / "x.h5"
    ).succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        found = f["trigger/0/pictures"][()]
    assert found.shape == (1, 32, 32, 4) and (found[..., 3] == 255).all() and 120 < found[..., :3].mean() < 135
