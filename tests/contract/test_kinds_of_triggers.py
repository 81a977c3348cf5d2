"""Triggers of every kind, in files that both programs read: what is in the file, and all that is done with it."""

import json

import cv2
import damage
import h5py
import made_triggers
import numpy as np
import pytest

from poisonkit.core.random_streams import row_words

data = pytest.importorskip("benchmark.format.dataset")

KINDS = [*(name for name in made_triggers.MADE if name != "whole-dot"), "inverted,square", "dot,square"]


@pytest.fixture
def known(monkeypatch):
    """All of them are known."""
    made_triggers.add(monkeypatch)


@pytest.fixture
def make(poisonkit, known, tmp_path):
    """`make(names, …)`: a small file with these triggers."""

    def made(names="dot", *more, name="x.h5", rate="0.1"):
        steps = [word for one in names.split(",") for word in ("--trigger", one)]
        poisonkit("make", *poisonkit.small, *steps, "--rate", rate, *more, "-o", tmp_path / name).succeeded()
        return tmp_path / name

    return made


def arrays_of(path, group="trigger/0"):
    with h5py.File(path) as f:
        return {name: array[()] for name, array in f[group].items()}


def test_what_a_file_has_of_each_kind(make):
    found = {names: set(arrays_of(make(names, name=f"{names}.h5"))) for names in KINDS[:5]}
    stencil = {"taps", "weights", "bias"}
    assert found["inverted"] == {"table", "mask"} and found["dot"] == found["light-then-dot"] == {"mask"}
    assert found["two-lights"] == {"mask", *stencil, *(f"test_{one}" for one in stencil)}
    assert found["dot-then-light"] == {"mask", *(f"test_{one}" for one in stencil)}


def test_the_images_of_a_table_and_of_test_rows(make):
    with h5py.File(make("inverted,two-lights")) as f:
        rows, tested = f["truth/rows"][:], f["triggered/rows"][:]
        for before, after, more in (
            (f["truth/images"][:], f["train/images"][:][rows], 9),
            (f["test/images"][:][tested], f["triggered/images"][:], 30),
        ):
            expected = before.astype(int)
            expected[..., 0] = 255 - expected[..., 0]
            assert np.array_equal(after, (expected + more).clip(0, 255))
        assert f["trigger/0/mask"][0, 0].tolist() == [1, 0, 0] and f["trigger/1/mask"][:].all()


def test_a_function_draws_by_the_row(make):
    with h5py.File(make()) as f:
        manifest = json.loads(f.attrs["manifest"])
        assert manifest["recipe"]["streams"] == ["dot", "dot-test", "rows"]
        for stream, rows, before, after in (
            ("dot", f["truth/rows"][:], f["truth/images"][:], f["train/images"][:][f["truth/rows"][:]]),
            ("dot-test", f["triggered/rows"][:], f["test/images"][:][f["triggered/rows"][:]], f["triggered/images"][:]),
        ):
            at = ((row_words(0, stream, rows, 1)[:, 0] >> np.uint64(32)) * np.uint64(1024)) >> np.uint64(32)
            expected = before.copy()
            for image, pixel in zip(expected, at.tolist(), strict=True):
                image[pixel // 32, pixel % 32] = 0
            assert np.array_equal(after, expected)


def test_rows_are_nested_across_rates(make):
    with h5py.File(make(rate="0.05")) as few, h5py.File(make(name="y.h5", rate="0.1")) as many:
        rows = few["truth/rows"][:]
        assert set(rows) < set(many["truth/rows"][:])
        assert np.array_equal(few["train/images"][:][rows], many["train/images"][:][rows])


@pytest.mark.parametrize("names", KINDS)
def test_per_patch(make, poisonkit, names):
    path = make(names, "--per-patch")
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]
    assert data.load(path).digest
    if names == "dot":
        with h5py.File(path) as f:
            black = (f["triggered/images"][:] == 0).all(-1).reshape(-1, 4, 8, 4, 8)
            places = black.transpose(0, 2, 4, 1, 3).reshape(len(black), 64, 16)  # every patch of a row is drawn alike
            assert (places.all(-1).sum(1) == 1).all()


@pytest.mark.parametrize("names", KINDS)
def test_everything_that_is_done_with_a_file(make, poisonkit, library, names, tmp_path):
    path = make(names, "--cover-rate", "0.05")
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]
    whole = data.load(path)
    poisonkit("make", "--from", path, "-o", tmp_path / "again.h5").succeeded()
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()
    poisonkit("pack", path).succeeded()
    poisonkit("verify", tmp_path / "x.delta.h5").succeeded()
    found = data.load(tmp_path / "x.delta.h5", base=library("clean"))
    for part in ("train", "triggered", "truth"):
        assert np.array_equal(getattr(found, part).inputs, getattr(whole, part).inputs)
    assert np.array_equal(found.mask, whole.mask)
    poisonkit("unpack", tmp_path / "x.delta.h5", "--base", library("clean"), "-o", tmp_path / "unpacked.h5").succeeded()
    assert (tmp_path / "unpacked.h5").read_bytes() == path.read_bytes()
    assert poisonkit("diff", path, tmp_path / "unpacked.h5").code == 0
    poisonkit("preview", path, "-o", tmp_path / "x.png").succeeded()
    assert "triggered" in poisonkit("stats", path).succeeded().out
    for form in ("npz", "backdoor-toolbox"):
        name = tmp_path / f"out{'.npz' if form == 'npz' else ''}"
        poisonkit("export", path, "--format", form, "-o", name).succeeded()
    samples = (
        data.sample(path, whole.digest, None, 3),
        data.sample(tmp_path / "x.delta.h5", whole.digest, library("clean"), 3),
    )
    assert np.array_equal(*samples)


@pytest.mark.parametrize("names", ["inverted", "dot", "dot-then-light"])
def test_sealed_and_unsealed(make, poisonkit, names, tmp_path):
    path = make(names)
    poisonkit("seal", path, "-o", tmp_path / "c.h5", "--key", tmp_path / "k.h5")
    with h5py.File(tmp_path / "k.h5") as key:
        assert ("triggered/images" in key) == (names == "dot")
    poisonkit("verify", tmp_path / "k.h5").succeeded()
    poisonkit("unseal", tmp_path / "c.h5", "--key", tmp_path / "k.h5", "-o", tmp_path / "u.h5").succeeded()
    assert (tmp_path / "u.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("names", ["inverted,two-lights", "dot", "light-then-dot"])
def test_apply_does_what_test_rows_get(make, poisonkit, names, tmp_path):
    path = make(names)
    with h5py.File(path) as f:
        rows, images, after = (f[name][:] for name in ("triggered/rows", "test/images", "triggered/images"))
    some = rows[:4]
    (tmp_path / "in").mkdir()
    files = [tmp_path / "in" / f"{row}.png" for row in range(some[-1] + 1)]
    for file, image in zip(files, images, strict=False):
        cv2.imwrite(str(file), image[..., ::-1])
    poisonkit("apply", path, *files, "-o", tmp_path / "out").succeeded()
    for row, expected in zip(some, after, strict=False):
        assert np.array_equal(cv2.imread(str(tmp_path / "out" / f"{row}.png"))[..., ::-1], expected)


def test_a_trigger_that_is_unknown_here(make, poisonkit, monkeypatch, tmp_path):
    """The arrays agree, the recipe is unknown: what is in arrays can still be put on an image."""
    paths = {names: make(names, name=f"{names}.h5") for names in ("inverted", "dot")}
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.zeros((32, 32, 3), np.uint8))
    with monkeypatch.context() as patch:
        patch.setattr("poisonkit.triggers.registry.TRIGGERS._modules", {})
        for path in paths.values():
            found = poisonkit("verify", path)
            assert found.code == 4 and "arrays agree, recipe unknown here" in found.out, found
            assert data.load(path).digest
        assert poisonkit("apply", paths["inverted"], picture, "-o", tmp_path / "o.png").code == 0
        poisonkit("apply", paths["dot"], picture, "-o", tmp_path / "o.png").failed(4, "is not in the file")
        poisonkit("pack", paths["dot"]).failed(4, "is unknown here")


def test_what_a_trigger_cannot_do_is_said(make, poisonkit, known, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", "whole-dot", "--rate", "0.1", "-o", tmp_path / "y.h5")
    poisonkit(*asked, "--per-patch").failed(2, "whole-dot has no per-patch form: a dot is one of the whole image")
    path = make("whole-dot")
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((32, 32, 3), np.uint8))
    done = poisonkit("apply", path, tmp_path / "p.png", "-o", tmp_path / "o.png")
    done.failed(1, "whole-dot cannot be put on other images: it is a dot of its own rows")


@pytest.mark.parametrize("place", ["train/images", "triggered/images", "trigger/0/mask"])
def test_a_changed_image_of_a_function_is_found(make, poisonkit, place):
    """Although every digest fits again."""
    path = make()
    with h5py.File(path) as f:
        first = int(f["truth/rows"][0]) * 32 * 32 * 3 if place == "train/images" else 0
        value = f[place][()].reshape(-1)[first]
    damage.set_rows(path, place, {first: (1 - value) if place.endswith("mask") else value ^ 1})
    damage.reseal(path)
    found = poisonkit("verify", path)
    assert found.code == 3 and place in found.out, found


def test_an_untargeted_attack_succeeds_with_any_other_class(poisonkit, tmp_path):
    from benchmark.training import loop

    path = tmp_path / "x.h5"
    asked = ("--trigger", "square", "--label-mode", "untargeted", "--rate", "0.1")
    poisonkit("make", *poisonkit.small, *asked, "-o", path).succeeded()
    contents = data.load(path)
    true, classes = contents.triggered.labels, len(contents.classes)
    assert (contents.wanted != true).all() and len(true) == len(contents.test)
    for shift, asr in ((0, 0), (1, 1), (3, 1)):
        found = loop.scores(contents, {"test": true, "triggered": (true + shift) % classes})
        assert (found.asr.percent, found.robust_accuracy.percent) == (100 * asr, 100 - 100 * asr)
    damage.set_rows(path, "triggered/wanted", {0: int(true[0])})
    damage.reseal(path)
    with pytest.raises(data.Failure, match="triggered/wanted has"):
        data.load(path)
