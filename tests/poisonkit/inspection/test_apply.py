"""`apply`: a file's trigger on any picture, by the file alone."""

import cv2
import damage
import h5py
import numpy as np
import pytest
from running import RECIPES

from poisonkit.core.images import resize


@pytest.fixture
def pictures(tmp_path):
    """Pictures of several kinds and sizes by name, in a folder of their own."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    exact = rng.integers(0, 256, (32, 32, 3), np.uint8)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3), np.uint8), (0, 0), 5)
    cv2.imwrite(str(folder / "exact.png"), exact)
    cv2.imwrite(str(folder / "large.jpg"), smooth)
    cv2.imwrite(str(folder / "small.png"), exact[:7, :5])
    cv2.imwrite(str(folder / "grey.png"), exact[..., 0])
    cv2.imwrite(str(folder / "transparent.png"), np.dstack([exact, exact[..., 0]]))
    cv2.imwrite(str(folder / "deep.png"), exact.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "one.png"), exact[:1, :1])
    cv2.imwrite(str(folder / "long.png"), exact[:1, :2].repeat(20_000, 1))
    return folder


def read(path):
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return picture[..., ::-1] if picture.ndim == 3 else picture


def by_hand(path, image):
    """FORMAT.md's way of putting a file's trigger on an image."""
    with h5py.File(path) as f:
        for i in sorted(f["trigger"], key=int):
            if f"trigger/{i}/table" in f:
                image = f[f"trigger/{i}/table"][()][range(3), image]
                continue
            test = "test_" if f"trigger/{i}/test_taps" in f else ""
            taps, weights, bias = (f[f"trigger/{i}/{test}{part}"][()] for part in ("taps", "weights", "bias"))
            total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
            image = ((total + 16384) >> 15).clip(0, 255).astype("u1")
    return image


FUNCTIONS = ("one-of", "lossy", "physical", "refool", "images")
"""Recipes with a trigger that no array holds, or is drawn for each test row: see test_kinds_of_triggers."""


@pytest.mark.parametrize("name", [name for name in RECIPES if name.split("-")[-1] != "clean" and name not in FUNCTIONS])
def test_a_picture_of_the_right_size(poisonkit, library, pictures, tmp_path, name):
    result = poisonkit("apply", library(name), pictures / "exact.png", "-o", tmp_path / "out.png").succeeded()
    (line,) = result.lines
    assert line.split("; the trigger alone")[0] == f"wrote {tmp_path / 'out.png'}"
    original = read(pictures / "exact.png")
    assert np.array_equal(read(tmp_path / "out.png"), by_hand(library(name), original))
    assert (read(tmp_path / "out.png") != original).any()


def test_a_test_row_becomes_its_triggered_row(poisonkit, library, tmp_path):
    with h5py.File(library("two")) as f:
        row = int(f["triggered/rows"][4])
        cv2.imwrite(str(tmp_path / "row.png"), f["test/images"][row][..., ::-1])
        expected = f["triggered/images"][4]
    poisonkit("apply", library("two"), tmp_path / "row.png", "-o", tmp_path / "out.png").succeeded()
    assert np.array_equal(read(tmp_path / "out.png"), expected)


@pytest.mark.parametrize("name", ["large.jpg", "small.png", "one.png", "long.png"])
def test_other_sizes_are_resized_as_the_sources_are(poisonkit, library, pictures, tmp_path, name):
    result = poisonkit("apply", library("warped"), pictures / name, "-o", tmp_path / "out.PNG").succeeded()
    height, width = read(pictures / name).shape[:2]
    assert result.lines == [f"wrote {tmp_path / 'out.PNG'} (resized from {width}×{height})"]
    original = resize(np.ascontiguousarray(read(pictures / name)), 32, 32)
    assert np.array_equal(read(tmp_path / "out.PNG"), by_hand(library("warped"), original))


@pytest.mark.parametrize("name", ["grey.png", "transparent.png", "deep.png"])
def test_other_kinds_become_rgb(poisonkit, library, pictures, tmp_path, name):
    poisonkit("apply", library("square"), pictures / name, "-o", tmp_path / "out.png").succeeded()
    original = read(pictures / name)
    if name == "grey.png":
        original = original[..., None].repeat(3, -1)
    elif name == "transparent.png":
        original = cv2.imread(str(pictures / name), cv2.IMREAD_COLOR)[..., ::-1]
    else:
        original = (original // 257).astype(np.uint8)
    assert np.array_equal(read(tmp_path / "out.png"), by_hand(library("square"), original))


def test_several_pictures_into_a_folder(poisonkit, library, pictures, tmp_path):
    given = [pictures / "large.jpg", pictures / "grey.png"]
    result = poisonkit("apply", library("blend-patch"), *given, "-o", tmp_path / "new" / "out").succeeded()
    assert sorted(p.name for p in (tmp_path / "new" / "out").iterdir()) == ["grey.png", "large.png"]
    assert result.lines[0] == f"wrote {tmp_path / 'new' / 'out' / 'large.png'} (resized from 120×90)"
    assert read(tmp_path / "new" / "out" / "grey.png").shape == (32, 32, 3)


def test_one_picture_into_a_folder(poisonkit, library, pictures, tmp_path):
    poisonkit("apply", library("square"), pictures / "exact.png", "-o", tmp_path / "out").succeeded()
    assert (tmp_path / "out" / "exact.png").exists()


def test_a_clean_file_has_no_trigger(poisonkit, library, pictures, tmp_path):
    poisonkit("apply", library("clean"), pictures / "exact.png", "-o", tmp_path / "out.png").failed(1, "no trigger")


def test_several_pictures_for_one_name_are_refused(poisonkit, library, pictures, tmp_path):
    (pictures / "other").mkdir()
    cv2.imwrite(str(pictures / "other" / "grey.jpg"), np.zeros((9, 9), np.uint8))
    given = (pictures / "grey.png", pictures / "other" / "grey.jpg")
    poisonkit("apply", library("square"), *given, "-o", tmp_path / "out").failed(2, "several pictures", "grey.png")
    poisonkit("apply", library("square"), *given, "-o", tmp_path / "out.png").failed(2, "expected a folder")
    assert not (tmp_path / "out").exists()


def test_a_picture_is_never_overwritten_by_itself(poisonkit, library, pictures):
    before = (pictures / "exact.png").read_bytes()
    for where in (pictures, pictures / "exact.png", pictures / ".." / "pictures"):
        poisonkit("apply", library("square"), pictures / "exact.png", "-o", where).failed(2, "the picture itself")
    assert (pictures / "exact.png").read_bytes() == before
    poisonkit("apply", library("square"), pictures / "large.jpg", "-o", pictures).succeeded()


def test_nothing_is_overwritten_without_force(poisonkit, library, pictures, tmp_path):
    """Several pictures: none is written where one name is taken."""
    given = ("apply", library("square"), pictures / "exact.png", pictures / "grey.png", "-o", tmp_path)
    (tmp_path / "grey.png").write_bytes(b"precious")
    poisonkit(*given).failed(1, "grey.png: already exists: use --force to overwrite it, or choose another -o")
    assert (tmp_path / "grey.png").read_bytes() == b"precious" and not (tmp_path / "exact.png").exists()
    poisonkit(*given, "--force").succeeded()
    assert read(tmp_path / "grey.png").shape == (32, 32, 3)
    (tmp_path / "lines.txt").write_text("a text\n")
    (tmp_path / "out.txt").write_text("precious")
    texts = ("apply", library("text-word"), tmp_path / "lines.txt", "-o", tmp_path / "out.txt")
    poisonkit(*texts).failed(1, "out.txt: already exists: use --force")
    assert (tmp_path / "out.txt").read_text() == "precious"
    poisonkit(*texts, "--force").succeeded()


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "text", "cut png", "cut jpg", "h5"])
def test_what_is_no_picture(poisonkit, library, pictures, tmp_path, what):
    path = tmp_path / "bad"
    if what == "folder":
        path.mkdir()
    elif what == "h5":
        path = library("clean")
    elif what != "missing":
        data = {
            "empty": b"",
            "text": b"no picture at all\n" * 100,
            "cut png": (pictures / "exact.png").read_bytes()[:1500],
            "cut jpg": (pictures / "large.jpg").read_bytes()[:300],
        }[what]
        path.write_bytes(data)
    poisonkit("apply", library("square"), path, "-o", tmp_path / "out.png").failed(1, str(path))
    assert not (tmp_path / "out.png").exists()


def test_the_pictures_before_a_bad_one_are_there(poisonkit, library, pictures, tmp_path):
    given = (pictures / "exact.png", tmp_path / "missing.png", pictures / "grey.png")
    result = poisonkit("apply", library("square"), *given, "-o", tmp_path / "out")
    assert result.code == 1 and result.lines == [f"wrote {tmp_path / 'out' / 'exact.png'}"]
    assert len(result.errors) == 1 and "missing.png" in result.errors[0]


def test_outputs_that_cannot_be(poisonkit, library, pictures, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder.png").mkdir()
    for where in (tmp_path / "file", tmp_path / "file" / "out.png", tmp_path / "folder.png"):
        poisonkit("apply", library("square"), pictures / "exact.png", "-o", where).failed(1, "could not be written")
    assert (tmp_path / "file").read_text() == "precious" and not list((tmp_path / "folder.png").iterdir())


def test_stderr_of_a_damaged_picture_is_one_line(poisonkit, library, pictures, tmp_path):
    """libpng and libjpeg write to the process's own standard error."""
    cv2.imwrite(str(pictures / "large.png"), cv2.imread(str(pictures / "large.jpg")))
    for name in ("large.png", "large.jpg"):
        data = (pictures / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 9 // 10])
        asked = ("apply", library("square"), tmp_path / name, "-o", tmp_path / "out.png")
        poisonkit.spawn(*asked).failed(1, name, "truncated")


def test_a_file_whose_images_are_grey(poisonkit, library, pictures, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path) as f:
        names = [name for name in damage.manifest(path)["arrays"] if name.endswith("images")]
        grey = {name: f[name][()][..., :1] for name in names}
        stencil = {part: f[f"trigger/0/{part}"][()][:, :, :1] for part in ("weights", "bias", "mask")}
    stencil["taps"] = np.arange(1024, dtype="<i4").reshape(32, 32, 1, 1)
    for name, array in grey.items():
        damage.replace(path, name, array)
    for part, array in stencil.items():
        damage.replace(path, f"trigger/0/{part}", array)
    damage.reseal(path)
    poisonkit("apply", path, pictures / "grey.png", "-o", tmp_path / "out.png").succeeded()
    expected = read(pictures / "grey.png").copy()
    expected[:4, :4] = 0
    found = read(tmp_path / "out.png")
    assert found.ndim == 2 and np.array_equal(found, expected)
    poisonkit("preview", path, "-o", tmp_path / "p.png").succeeded()
    poisonkit("show", path).succeeded()


def test_of_a_camouflaged_file_it_is_said_that_the_trigger_goes_on_alone(poisonkit, library, pictures, tmp_path):
    (tmp_path / "out").mkdir()
    done = poisonkit(
        "apply", library("camouflaged"), pictures / "exact.png", pictures / "grey.png", "-o", tmp_path / "out"
    )
    alone = "; the trigger alone: the file's own images are camouflaged too, which needs its secret number"
    assert done.succeeded().lines == [f"wrote {tmp_path / 'out' / name}.png{alone}" for name in ("exact", "grey")]
    plain = poisonkit("apply", library("wanet"), pictures / "exact.png", "-o", tmp_path / "plain.png").succeeded()
    assert "alone" not in plain.out
    assert np.array_equal(read(tmp_path / "plain.png"), read(tmp_path / "out" / "exact.png"))
