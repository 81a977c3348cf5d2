"""`export --format imagefolder`: the pictures and tables, class folders for any name, grey images, clean files."""

import csv
import json
import re

import cv2
import damage
import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poisonkit.exporters import base, marks

ODD = ["../x", "CON", "naïve “quotes”", "同名", "same", "same", "a/b\\c:d*?", ".hidden", "x" * 300, " "]


def exported(poisonkit, path, tmp_path, *options):
    poisonkit("export", path, "--format", "imagefolder", "-o", tmp_path / "x", *options).succeeded()
    return tmp_path / "x"


def read(folder):
    """As torchvision's ImageFolder and Keras do: classes are the sorted folders. (images, labels, rows), by row."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    found = []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            found.append((int(path.stem), label, image[..., ::-1] if image.ndim == 3 else image[..., None]))
    found.sort(key=lambda entry: entry[0])
    return np.stack([entry[2] for entry in found]), *(np.array([entry[i] for entry in found]) for i in (1, 0))


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["two", "warped", "blend-patch"])
def test_every_picture_and_label(poisonkit, library, tmp_path, name):
    folder = exported(poisonkit, library(name), tmp_path)
    with h5py.File(library(name)) as f:
        for part, group, rows in (
            ("train", "train", None),
            ("test", "test", None),
            ("triggered", "triggered", "triggered/rows"),
            ("originals", "truth", "truth/rows"),
        ):
            images, labels, numbers = read(folder / part)
            assert np.array_equal(images, f[f"{group}/images"][:])
            assert np.array_equal(labels, f[f"{group}/labels"][:])
            assert np.array_equal(numbers, f[rows][:] if rows else np.arange(len(images)))
        assert json.loads((folder / "manifest.json").read_text("utf-8")) == json.loads(f.attrs["manifest"])


def test_the_tables(poisonkit, library, tmp_path):
    folder = exported(poisonkit, library("two"), tmp_path)
    with h5py.File(library("two")) as f:
        truth, triggered = table(folder / "truth.csv"), table(folder / "triggered.csv")
        assert [int(line["row"]) for line in truth] == f["truth/rows"][:].tolist()
        assert [int(line["original_label"]) for line in truth] == f["truth/labels"][:].tolist()
        assert [int(line["label"]) for line in truth] == f["train/labels"][:][f["truth/rows"][:]].tolist()
        assert {line["role"] for line in truth} == {"poisoned"}
        assert [int(line["row"]) for line in triggered] == f["triggered/rows"][:].tolist()
        assert [int(line["wanted"]) for line in triggered] == f["triggered/wanted"][:].tolist()
    for line in [*truth, *triggered]:
        assert (folder / line["file"]).is_file() and (folder / line.get("original", line["file"])).is_file()


def test_names_do_not_give_the_answer_away(poisonkit, library, tmp_path):
    """Without the truth nothing but rows under the labels that a victim sees."""
    folder = exported(poisonkit, library("two"), tmp_path, "--no-truth")
    assert {path.name for path in folder.iterdir()} == {"train", "test", "classes.json", marks.MARK}
    assert "poison" not in (folder / "classes.json").read_text("utf-8")
    for path in folder.glob("*/*/*"):
        assert re.fullmatch(r"\d+\.png", path.name)


@pytest.mark.parametrize(("more", "words"), [((), ", 90 triggered"), (("--no-truth",), "")])
def test_what_is_left_out_is_not_counted(poisonkit, library, tmp_path, more, words):
    done = poisonkit("export", library("two"), "--format", "imagefolder", "-o", tmp_path / "out", *more).succeeded()
    assert f"200 train, 100 test{words})" in done.out


def test_a_clean_file(poisonkit, library, tmp_path):
    folder = exported(poisonkit, library("clean"), tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert names == {"train", "test", "classes.json", "manifest.json", marks.MARK}
    with h5py.File(library("clean")) as f:
        assert np.array_equal(read(folder / "train")[0], f["train/images"][:])


def test_grey_images_that_are_not_square(poisonkit, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"x_{part}": rng.integers(0, 256, (n, 16, 24), dtype="u1") for part, n in (("train", 30), ("test", 12))}
    np.savez(tmp_path / "grey.npz", **arrays, y_train=np.arange(30) % 3, y_test=np.arange(12) % 3)
    asked = ("--dataset", "npz", "--source", tmp_path / "grey.npz", "--trigger", "square", "--rate", "0.1")
    poisonkit("make", *asked, "-o", tmp_path / "grey.h5").succeeded()
    folder = exported(poisonkit, tmp_path / "grey.h5", tmp_path)
    with h5py.File(tmp_path / "grey.h5") as f:
        assert np.array_equal(read(folder / "train")[0], f["train/images"][:])
        assert np.array_equal(read(folder / "triggered")[0], f["triggered/images"][:])
    assert cv2.imread(str(next((folder / "test").rglob("*.png"))), cv2.IMREAD_UNCHANGED).shape == (16, 24)


def test_class_names_of_all_kinds(poisonkit, library, tmp_path):
    path = damage.copy(library("two"), tmp_path)
    damage.reseal(path, source=damage.manifest(path)["source"] | {"classes": ODD})
    folder = exported(poisonkit, path, tmp_path)
    listing = json.loads((folder / "classes.json").read_text("utf-8"))
    assert [entry["name"] for entry in listing] == ODD and [entry["label"] for entry in listing] == list(range(10))
    assert sorted(path.name for path in (folder / "train").iterdir()) == [entry["folder"] for entry in listing]
    with h5py.File(path) as f:
        assert np.array_equal(read(folder / "train")[1], f["train/labels"][:])
    assert {path.name for path in tmp_path.iterdir()} == {"changed.h5", "x"}


@given(st.lists(st.text(max_size=60), min_size=1, max_size=120))
@example(["ẞ", "ß", "SS", "ss", "\ud800", "con", "aux.", "e\u0301", "é"])
def test_folder_names_are_safe_apart_and_in_order(names):
    folders = base.class_folders(names)
    assert folders == sorted(folders) and len({name.casefold() for name in folders}) == len(names)
    for name in folders:
        assert re.fullmatch(r"\d+(_[\w-]+)?", name) and len(name.encode()) <= base.LONGEST


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_a_png_has_no_losses(height, width, channels, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    found = cv2.imdecode(np.frombuffer(base.png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found[..., ::-1] if channels == 3 else found[..., None], image)
