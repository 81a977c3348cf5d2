"""The adaptive triggers: against outputs of the reference code (tests/golden/adaptive.npz), whose drawn masks, patches
and pixels are handed in, and what is drawn here."""

import json

import h5py
import numpy as np
import pytest
from made import pictures

from poisonkit.core.errors import Usage
from poisonkit.poisoning.recipe import Recipe, build, parameters
from poisonkit.triggers.image import adaptive_blend, adaptive_k_way, adaptive_patch
from poisonkit.triggers.image_base import ImageContext
from poisonkit.triggers.picture_set import PictureSet

TILE = (32, 32, 3)
NO_ROWS = np.zeros(16, np.int64)
ALL = ("adaptive-blend", "adaptive-patch", "adaptive-k-way")


@pytest.fixture(scope="module")
def golden(root):
    """The reference's arrays by name, and the images that they were made of."""
    with (
        np.load(root / "tests" / "golden" / "adaptive.npz") as data,
        np.load(root / "tests" / "golden" / "wanet.npz") as first,
    ):
        return dict(data) | {"images": first["images"]}


def built(name, given=None, tile=TILE, seed=0, patch=None, force=False, **more):
    request = Recipe("0.1", ((name, parameters(name, given or {}, None)),), patch, seed=seed, **more)
    return build(request, tile, force)[0]


def rounded(floats):
    """Floats from 0 to 1 as bytes before rounding."""
    return floats.astype(np.float64) * 255


def test_adap_blend_agrees_with_the_reference_code(golden):
    context = ImageContext(0, picture=golden["adapblend_picture"])
    whole = adaptive_blend.blended("0.15", TILE, context).stencil.apply(golden["images"])
    rows = golden["adapblend_mask_rows"]
    pieces = golden["adapblend_masks"][:, ::8, ::8].transpose(0, 2, 1).reshape(-1, 16) > 0  # piece i: row i mod 4
    assert (pieces.sum(1) == 8).all()
    masks = adaptive_blend.masks(pieces, 32, 32)
    assert np.array_equal(masks[..., 0], golden["adapblend_masks"] > 0)
    made = golden["images"].copy()
    made[rows] = np.where(masks, whole[rows], golden["images"][rows])
    differing = np.abs(made.astype(int) - golden["adapblend_train_saved"])
    assert differing.max() <= 1 and (differing > 0).mean() < 0.005
    expected, some = rounded(golden["adapblend_train"]), golden["adapblend_train_rows"]
    assert np.abs(made[some] - expected).max() <= 0.51
    test = built("adaptive-blend", pictures={"adaptive-blend": golden["adapblend_picture"]}).test
    assert np.abs(test.apply(golden["images"][:3]) - rounded(golden["adapblend_test"])).max() <= 0.51


def reference_patches(golden):
    opacity = np.round(golden["adappatch_masks"] * 255).astype(np.uint8)[..., None]
    assert np.abs(opacity[..., 0] / 255 - golden["adappatch_masks"]).max() < 1e-6
    return np.concatenate([golden["adappatch_pictures"], opacity], -1)


def test_adap_patch_agrees_with_the_reference_code(golden):
    patches, images = reference_patches(golden), golden["images"]
    maps = [adaptive_patch.over(TILE, patches, [i], [str(a)]) for i, a in enumerate(golden["adappatch_alphas"])]
    rows = np.concatenate([golden["adappatch_poison_rows"], golden["adappatch_cover_rows"]])
    which = np.concatenate([golden["adappatch_poison_which"], golden["adappatch_cover_which"]])
    made = images.copy()
    made[rows] = adaptive_patch.one_each(images[rows], rows, maps, which)
    some = golden["adappatch_train_rows"]
    assert np.abs(made[some] - rounded(golden["adappatch_train"])).max() <= 0.51
    for name in ("test", "test2"):
        numbers = golden[f"adappatch_{name}_which"] + 1
        given = {
            "test": ",".join(map(str, numbers)),
            "test-alphas": ",".join(map(str, golden[f"adappatch_{name}_alphas"])),
        }
        one = built("adaptive-patch", given, pictures={"adaptive-patch": PictureSet(tuple(patches))})
        found = one.test.apply(images[:3])
        assert np.abs(found - rounded(golden[f"adappatch_{name}"])).max() <= 0.52
        assert np.array_equal(one.extras["pictures"], patches)


def test_adap_k_way_is_the_reference_code(golden):
    images, values = golden["images"], golden["kway_values"]
    one = built("adaptive-k-way")
    rows = np.concatenate([golden["kway_poison_rows"], golden["kway_cover_rows"]])
    which = np.concatenate([golden["kway_poison_which"], golden["kway_cover_which"]])
    made = images.copy()
    made[rows] = adaptive_k_way.one_pixel(images[rows], golden["kway_locs_row_col"], values, which)
    assert np.array_equal(made, golden["kway_train"])
    assert np.array_equal(one.test.apply(images), golden["kway_test"])  # by default the places and colours of the case


@pytest.mark.parametrize("hidden", [0, 8, 15])
def test_which_pieces_are_hidden_is_drawn_for_each_row(hidden):
    stream = ImageContext(3).row_stream("adaptive-blend")
    found = adaptive_blend.shown(stream.words(np.arange(2000), 16), hidden)
    assert (found.sum(1) == 16 - hidden).all()
    assert np.abs(found.mean(0) - (16 - hidden) / 16).max() < 0.05
    assert np.array_equal(adaptive_blend.shown(stream.words(np.array([7, 3]), 16), hidden), found[[7, 3]])


@pytest.mark.parametrize("name", ALL)
def test_a_row_is_drawn_alike_whichever_others_there_are(name):
    images, rows, one = pictures(np.random.default_rng(0), 40, TILE), np.arange(40) * 3, built(name, seed=5)
    whole = one.train.put(images, rows, 2)
    assert np.array_equal(one.train.put(images[5:9], rows[5:9]), whole[5:9])
    assert (built(name, seed=6).train.put(images, rows) != whole).any()
    one_row = one.train.put(np.repeat(images[:1], 3, 0), np.array([4, 4, 5]))
    assert np.array_equal(one_row[0], one_row[1])


@pytest.mark.parametrize("name", ALL)
def test_per_patch_and_grey_images(name):
    tiled = built(name, tile=(16, 16, 3), patch=(8, 8))
    images = np.tile(pictures(np.random.default_rng(0), 20, (8, 8, 3)), (1, 2, 2, 1))
    found = tiled.train.put(images, np.arange(20))
    tile = built(name, tile=(8, 8, 3)).train.put(np.ascontiguousarray(images[:, :8, :8]), np.arange(20))
    assert np.array_equal(found, np.tile(tile, (1, 2, 2, 1)))  # all patches of a row are drawn alike
    assert built(name, tile=(32, 32, 1)).test.apply(np.zeros((1, 32, 32, 1), np.uint8)).any()


@pytest.mark.parametrize(
    ("name", "given", "tile", "words"),
    [
        ("adaptive-blend", {}, (30, 32, 3), "sides that 4 divides, got 30×32"),
        ("adaptive-patch", {}, (7, 32, 3), "at least 8×8"),
        ("adaptive-patch", {"test": "5"}, TILE, "test rows get the patches 5, 4 of them are there: choose theirs"),
        ("adaptive-patch", {"test-alphas": "1,0.5,1"}, TILE, "one opacity for all 2 test patches"),
        ("adaptive-k-way", {"places": "1,2,3"}, TILE, "got 3 numbers for places and 12"),
        ("adaptive-k-way", {}, (2, 2, 3), "two of its pixels are one"),
    ],
)
def test_what_does_not_fit_is_refused(name, given, tile, words):
    with pytest.raises(Usage, match=words):
        built(name, given, tile)


def test_a_folder_of_patches(poisonkit, library, tmp_path):
    """Pictures of any size, with masks; the file has them, so `verify`, `apply` and `make --from` need nothing more."""
    import cv2

    (tmp_path / "p").mkdir()
    for number, side in enumerate((32, 64)):
        picture = np.zeros((side, side, 3), np.uint8)
        picture[: side // 4, : side // 4] = (0, 0, 200)
        cv2.imwrite(str(tmp_path / "p" / f"{number}.png"), picture)
    cv2.imwrite(str(tmp_path / "p" / "mask_1.png"), np.full((64, 64), 51, np.uint8))
    make = ("make", *poisonkit.small, "--trigger", "adaptive-patch", "--rate", "0.05", "-o", tmp_path / "x.h5")
    more = ("--adaptive-patch-images", tmp_path / "p", "--adaptive-patch-test", "2", "--adaptive-patch-alphas", "1")
    poisonkit(*make, *more[:2]).failed(
        2, "test rows get the patches 1 and 3 (by default, which is for four), 2 of them are there", "from 1 to 2"
    )
    poisonkit(*make, *more).succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        found, manifest = f["trigger/0/pictures"][()], json.loads(f.attrs["manifest"])
        before, after = f["test/images"][:][f["triggered/rows"][0]].astype(int), f["triggered/images"][0]
    assert found.shape == (2, 32, 32, 4) and found[0, 0, 0].tolist() == [200, 0, 0, 255]
    assert found[0, 31, 31, 3] == 0 and (found[1, ..., 3] == 51).all()
    assert np.abs(after - (0.8 * before + 0.2 * found[1, ..., :3])).max() <= 0.51
    assert manifest["counts"]["cover"] == 20 and manifest["pictures"]["0"]["shape"] == [2]
    again = ("make", "--from", tmp_path / "x.manifest.json", "-o", tmp_path / "y.h5")
    poisonkit(*again).failed(1, "the recipe needs the pictures whose arrays are sha256:")
    poisonkit(*again, "--adaptive-patch-images", tmp_path / "p").succeeded()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()
    (tmp_path / "p" / "0.png").unlink()
    poisonkit(*again, "--force", "--adaptive-patch-images", tmp_path / "p").failed(1, "another")
    poisonkit(*make, "--force", "--adaptive-patch-images", tmp_path / "none").failed(1, "none: could not be read")
    (tmp_path / "empty").mkdir()
    poisonkit(*make, "--force", "--adaptive-patch-images", tmp_path / "empty").failed(1, "has 0 pictures")
    cv2.imwrite(str(tmp_path / "p" / "mask_1.png"), np.full((64, 63), 51, np.uint8))
    poisonkit(*make, "--force", *more).failed(1, "mask_1.png: is of 64×63, its picture of 64×64")


def test_rates_of_the_reference_come_with_the_preset(poisonkit, tmp_path):
    """And covers belong to the attack without it."""
    size = ("--dataset", "signs", "--source-option", "train=1000", "--source-option", "test=20")
    asked = {"adaptive-blend": (3, 3), "adaptive-patch": (3, 6), "adaptive-k-way": (3, 3)}
    for name, counts in asked.items():
        for number, more in enumerate((("--preset", "backdoor-toolbox"), ("--rate", "0.003"))):
            path = tmp_path / f"{name}-{number}.h5"
            poisonkit("make", *size, "--trigger", name, *more, "-o", path).succeeded()
            with h5py.File(path) as f:
                role = f["truth/role"][:]
            assert ((role == 1).sum(), (role == 2).sum()) == counts
    alone = ("make", *size, "--trigger", "adaptive-blend", "-o", tmp_path / "none.h5")
    poisonkit(*alone, "--rate", "0.01", "--cover-rate", "0").succeeded()
    with h5py.File(tmp_path / "none.h5") as f:
        assert (f["truth/role"][:] == 1).all()
    poisonkit("make", *size, "--trigger", "square", "--preset", "backdoorbench").failed(2, "--rate")
