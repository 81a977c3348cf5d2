"""Pictures from outside: which rows are asked for, what comes back, and what is no such file."""

import csv
import os

import cv2
import damage
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import PICTURES

import poisonkit as pk
from poisonkit.core.errors import Failure, Usage
from poisonkit.triggers import outside_pictures

ASKED = ("--trigger", "images", "--rate", "0.1")
SHAPE = (4, 5, 3)


@pytest.fixture
def listed(poisonkit, tmp_path):
    """The list of rows, and their clean pictures, of a small file."""
    asked = ("--images-list", tmp_path / "todo.csv", "--images-folder", tmp_path / "todo")
    line = poisonkit("make", *poisonkit.small, *ASKED, *asked).succeeded().out
    assert "20 train and 90 test images to change, their pictures in " in line and "--images-file takes them" in line
    with open(tmp_path / "todo.csv", newline="") as file:
        return list(csv.DictReader(file))


def changed(listed, folder):
    """What another tool makes of the clean pictures, by the names of arrays."""
    found = {}
    for part in ("train", "test"):
        rows = [int(one["row"]) for one in listed if one["part"] == part]
        pictures = [cv2.imread(str(folder / "todo" / part / f"{row}.png"))[..., ::-1] for row in rows]
        found |= {f"{part}_rows": np.array(rows), f"{part}_images": 255 - np.stack(pictures)}
    return found


def as_npz(arrays, folder):
    np.savez_compressed(folder / "done.npz", **arrays)
    return folder / "done.npz"


def as_hdf5(arrays, folder):
    """In another order, compressed, in groups."""
    with h5py.File(folder / "done.h5", "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name.replace("_", "/"), data=array[::-1], compression="gzip", chunks=True)
    return folder / "done.h5"


def as_folder(arrays, folder, name="{part}-{row:05}.png"):
    (folder / "done").mkdir()
    for part in ("train", "test"):
        for row, image in zip(arrays[f"{part}_rows"], arrays[f"{part}_images"], strict=True):
            cv2.imwrite(str(folder / "done" / name.format(part=part, row=row)), image[..., ::-1])
    return folder / "done"


def test_the_list_says_what_each_row_is_for(poisonkit, tmp_path, listed):
    with pk.open(pk.make("signs", rate=0, source_options={"train": 200, "test": 100}, out=tmp_path / "c.h5")) as clean:
        for one in listed:
            part, row, label = one["part"], int(one["row"]), int(one["label"])
            assert clean[part].labels[row] == label and clean.classes[label] == one["class"]
            assert one["wanted"] == "0" and one["role"] == {"train": "poisoned", "test": "triggered"}[part]
            picture = cv2.imread(str(tmp_path / "todo" / part / f"{row}.png"))[..., ::-1]
            assert np.array_equal(picture, clean[part].images[row])
    asked = ("make", *poisonkit.small, *ASKED, "--images-list")
    again = poisonkit(*asked, tmp_path / "todo.csv")
    again.failed(1, "already exists: use --force to overwrite it, or choose another --images-list")
    again = poisonkit(*asked, tmp_path / "new.csv", "--images-folder", tmp_path / "todo")
    again.failed(1, "todo: already exists, and nothing in it is replaced: choose another --images-folder")
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize(
    "mode",
    [("--label-mode", "untargeted"), ("--label-mode", "all-to-all"), ("--source-class", "3", "--cover-rate", "2x")],
)
def test_the_list_has_the_labels_of_the_file(poisonkit, tmp_path, mode):
    asked = ("make", *poisonkit.small, "--trigger", "images", "--rate", "0.05", *mode)
    poisonkit(*asked, "--images-list", tmp_path / "todo.csv").succeeded()
    poisonkit(*asked, "--images-file", PICTURES, "-o", tmp_path / "x.h5").succeeded()
    with open(tmp_path / "todo.csv", newline="") as file:
        listed = [(one["part"], one["role"], int(one["row"]), int(one["wanted"])) for one in csv.DictReader(file)]
    with pk.open(tmp_path / "x.h5") as file:
        rows, role, labels = file.truth.rows[:], file.truth.role[:], file.train.labels[:]
        expected = [
            ("train", ("", "poisoned", "cover")[one], row, labels[row]) for row, one in zip(rows, role, strict=True)
        ]
        triggered = file.triggered
        expected += [("test", "triggered", *one) for one in zip(triggered.rows, triggered.wanted, strict=True)]
        if "others" in file:
            expected += [("test", "other", *one) for one in zip(file.others.rows, file.others.labels, strict=True)]
    assert listed == expected


def test_a_disk_without_room_leaves_neither_list_nor_pictures(poisonkit, tmp_path, monkeypatch):
    from poisonkit.exporters import base

    made = []

    def full(image):
        made.append(image)
        if len(made) > 5:
            raise OSError(28, "No space left on device")
        return b""

    monkeypatch.setattr(base, "png", full)
    asked = ("--images-list", tmp_path / "todo.csv", "--images-folder", tmp_path / "todo")
    poisonkit("make", *poisonkit.small, *ASKED, *asked).failed(1, "todo: could not be written: No space left on device")
    assert len(made) == 6 and not list(tmp_path.iterdir())


def test_a_list_that_cannot_be_written_leaves_no_pictures(poisonkit, tmp_path):
    (tmp_path / "file").write_text("")
    asked = ("--images-list", tmp_path / "file" / "todo.csv", "--images-folder", tmp_path / "todo")
    poisonkit("make", *poisonkit.small, *ASKED, *asked).failed(1, "todo.csv: could not be written: ")
    for name, folder in (("todo.csv", "todo.csv"), ("todo/todo.csv", "todo")):
        asked = ("--images-list", tmp_path / name, "--images-folder", tmp_path / folder)
        poisonkit("make", *poisonkit.small, *ASKED, *asked).failed(2, "is the folder of the pictures, or lies in it")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("form", [as_npz, as_hdf5, as_folder])
def test_the_same_pictures_are_the_same_file_whatever_they_come_in(poisonkit, tmp_path, listed, form):
    arrays = changed(listed, tmp_path)
    path = tmp_path / "x.h5"
    poisonkit("make", *poisonkit.small, *ASKED, "--images-file", form(arrays, tmp_path), "-o", path).succeeded()
    poisonkit("verify", path).succeeded()
    with pk.open(path) as found:
        assert np.array_equal(found.truth.rows[:], arrays["train_rows"])
        assert np.array_equal(found.train.images[arrays["train_rows"]], arrays["train_images"])
        assert np.array_equal(found.triggered.images[:], arrays["test_images"])
        assert (found.train.labels[arrays["train_rows"]] == 0).all()
    from_python = pk.make(
        "signs", trigger="images", rate=0.1, source_options={"train": 200, "test": 100}, images_file=arrays,
        out=tmp_path / "y.h5",
    )  # fmt: skip
    assert from_python.read_bytes() == path.read_bytes()


def test_what_can_be_done_with_the_file(poisonkit, tmp_path, library):
    path = damage.copy(library("images"), tmp_path)
    poisonkit("verify", path).succeeded()
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((32, 32, 3), np.uint8))
    poisonkit("apply", path, tmp_path / "x.png", "-o", tmp_path / "y.png").failed(
        1, "cannot be put on other images: its pictures were made with another tool"
    )
    sidecar = library("images").with_name("images.manifest.json")
    again = ("make", "--from", sidecar, "-o", tmp_path / "again.h5")
    poisonkit(*again).failed(1, "needs the file whose needed rows are sha256:", "give it with --images-file")
    for name in ("train", "test"):
        with h5py.File(path, "r+") as file:
            group = {"train": "train", "test": "triggered"}[name]
            row = file["truth/rows"][0] if name == "train" else 0
            file[f"{group}/images"][row, 0, 0, 0] ^= 1
        damage.reseal(path)
        result = poisonkit("verify", path)
        assert result.code == 3 and "the digest is not that of the pictures of its rows" in result.out


def test_rows_nest_and_more_pictures_than_needed_will_do(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", "images", "--images-file", PICTURES)
    for rate in ("0.05", "0.2"):
        poisonkit(*asked, "--rate", rate, "-o", tmp_path / f"{rate}.h5").succeeded()
    with pk.open(tmp_path / "0.05.h5") as few, pk.open(tmp_path / "0.2.h5") as many:
        assert set(few.truth.rows[:]) < set(many.truth.rows[:])
        row = int(few.truth.rows[3])
        assert np.array_equal(few.train.images[row], many.train.images[row])


def test_pictures_that_are_their_originals_are_told(poisonkit, tmp_path, listed):
    arrays = changed(listed, tmp_path)
    arrays["train_images"][:3] = 255 - arrays["train_images"][:3]
    result = poisonkit(
        "make", *poisonkit.small, *ASKED, "--images-file", as_npz(arrays, tmp_path), "-o", tmp_path / "x.h5"
    )
    assert result.code == 0 and "done.npz: 3 of 20 train pictures are their originals, unchanged" in result.err
    assert len(result.errors) == 1 and "3 without a changed byte" in result.out


def test_what_goes_with_images(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, *ASKED, "-o", tmp_path)
    poisonkit(*asked).failed(2, "--trigger images needs --images-file FILE; --images-list CSV writes the rows")
    poisonkit(*asked, "--images-file", PICTURES, "--per-patch").failed(2, "no per-patch form: a picture is of a whole")
    poisonkit(*asked, "--images-list", tmp_path / "x.csv", "--per-patch").failed(2, "no per-patch form")
    poisonkit(*asked, "--images-list", tmp_path / "x.h5").failed(2, "--images-list: expected a name that ends in .csv")
    poisonkit(*asked, "--images-folder", tmp_path / "x").failed(2, "--images-folder: requires --images-list")
    poisonkit(*asked, "--trigger", "square", "--images-file", PICTURES).failed(
        2, "images gives whole images and stands"
    )
    poisonkit("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "--images-list", "x.csv").failed(
        2, "--images-list: requires --trigger images"
    )


def test_under_a_camouflage_the_list_shows_what_lies_beneath(poisonkit, tmp_path):
    """A training picture is camouflaged once it is back, a test picture comes as it will be."""
    hidden = ("--camouflage", "shift=0.5,noise=1", "--camouflage-seed", "9")
    asked = ("make", *poisonkit.small, *ASKED, *hidden)
    poisonkit(*asked, "--images-list", tmp_path / "todo.csv", "--images-folder", tmp_path / "todo").succeeded()
    result = poisonkit(*asked, "--images-file", tmp_path / "todo", "-o", tmp_path / "x.h5")
    assert "20 of 20 train pictures" in result.err and "90 of 90 test pictures" in result.err
    with pk.open(tmp_path / "x.h5") as found:  # unchanged before: so they are the camouflaged rows
        assert np.array_equal(found.train.images[found.truth.rows[:]], found.truth.images[:])
        assert found.manifest.counts.unchanged == 20
    verified = poisonkit("verify", tmp_path / "x.h5").succeeded()
    assert "pictures from outside were camouflaged after they came" in verified.out
    again = ("make", "--from", tmp_path / "x.h5", "--images-file", tmp_path / "todo", "-o", tmp_path / "y.h5")
    assert poisonkit(*again).code == 0 and (tmp_path / "y.h5").read_bytes() == (tmp_path / "x.h5").read_bytes()


# ---- what is no such file


def arrays(count=3, **more):
    images = np.zeros((count, *SHAPE), np.uint8)
    return {"train_images": images, "train_rows": np.arange(count), "test_images": images, **more}


WRONG = {
    "floats": ({"train_images": np.zeros((3, *SHAPE))}, "train_images is float64, expected uint8"),
    "channels first": ({"train_images": np.zeros((3, 3, 4, 5), np.uint8)}, "moveaxis"),
    "flat": ({"train_images": np.zeros((3, 60), np.uint8)}, "train_images is 3×60, expected"),
    "fewer rows": ({"train_rows": np.arange(2)}, "has 3 train_images, and 2 train_rows"),
    "twice": ({"train_rows": np.array([5, 1, 5])}, "row 5 of train twice"),
    "negative": ({"train_rows": np.array([0, 1, -1])}, "train_rows has -1, expected rows numbered from 0"),
    "no whole rows": ({"train_rows": np.array([0.0, 1, 2])}, "train_rows is 3 float64, expected whole numbers"),
    "rows alone": ({"train_images": None}, "has train_rows and no train_images"),
    "none": (
        {"train_images": None, "train_rows": None, "test_images": None, "x": np.zeros(1)},
        "holds x, expected train",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_are_none(name, tmp_path):
    change, words = WRONG[name]
    given_ = {key: value for key, value in arrays(**change).items() if value is not None}
    with pytest.raises(Usage, match=words):
        outside_pictures.accept(given_)
    with pytest.raises(Failure, match=words) as found:
        outside_pictures.read(as_npz(given_, tmp_path))
    assert "\n" not in str(found.value)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for key, value in given_.items():
            file[key] = value
    with pytest.raises(Failure, match=words.partition(", expected")[0].replace("holds x", "holds 'x'")):
        outside_pictures.read(tmp_path / "x.h5")


def test_missing_rows_and_others_sizes():
    pictures = outside_pictures.accept(arrays())
    with pytest.raises(Failure, match=r"lacks 2 of the 3 train rows to be changed \(7, 9\): --images-list FILE.csv"):
        pictures.of("train", np.array([1, 7, 9]), SHAPE)
    with pytest.raises(Failure, match="row 2 of train: the data set has 2, numbered from 0"):
        pictures.check({"train": 2, "test": 9})
    with pytest.raises(Failure, match="its train pictures are 4×5×3, the images of the data set 4×4×3"):
        pictures.check_shape((4, 4, 3))
    with pytest.raises(Failure, match="lacks 1 of the 1 test rows"):
        outside_pictures.accept({"train_images": np.zeros((1, 2, 2), np.uint8)}).of("test", np.array([0]), (2, 2, 1))


def test_files_that_are_none(tmp_path):
    for name, data in (("a.txt", b"x"), ("a.npy", b"\x93NUMPY"), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Failure, match="is neither an .npz nor an HDF5 file, nor a folder"):
            outside_pictures.read(tmp_path / name)
    with pytest.raises(Failure, match="no such file: expected an .npz"):
        outside_pictures.read(tmp_path / "nothing")
    (tmp_path / "folder" / "train").mkdir(parents=True)
    with pytest.raises(Failure, match="holds no picture named by its row"):
        outside_pictures.read(tmp_path / "folder")
    for name in ("train/7.png", "train-007.png"):
        (tmp_path / "folder" / name).write_bytes(b"")
    with pytest.raises(Failure, match="row 7 of train twice, as train/7.png and train-007.png"):
        outside_pictures.read(tmp_path / "folder")


def test_a_small_file_that_says_that_it_holds_very_much_is_refused_soon(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("train_images", (10**12, *SHAPE), "u1", chunks=(64, *SHAPE))
    with pytest.raises(Failure, match="train_images is .* GB, expected at most 64"):
        outside_pictures.read(tmp_path / "x.h5")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="pipe: is not a file: expected an .npz file"):
        outside_pictures.read(tmp_path / "pipe")
    os.mkfifo(tmp_path / "train-0.png")
    with pytest.raises(Failure, match="train-0.png: is not a file"):
        outside_pictures.read(tmp_path).of("train", np.array([0]), SHAPE)


def test_a_folder_says_which_picture_is_wrong(tmp_path):
    folder = as_folder({f"{part}_{k}": v for part in ("train", "test") for k, v in
                        (("rows", np.arange(3)), ("images", np.zeros((3, *SHAPE), np.uint8)))}, tmp_path)  # fmt: skip
    (folder / "notes.txt").write_text("x")
    found = outside_pictures.read(folder)
    assert found.notices == [f"{folder}: 1 file not named PART/ROW.png: left out"]
    assert found.of("train", np.array([0, 2]), SHAPE).shape == (2, *SHAPE)
    with pytest.raises(Failure, match="train-00000.png: is 4×5 pixels, the images of the data set are 8×8"):
        found.of("train", np.array([0]), (8, 8, 3))
    (folder / "train-00001.png").write_bytes(b"torn")
    with pytest.raises(Failure, match="train-00001.png: not a PNG"):
        found.of("train", np.array([1]), SHAPE)


@pytest.mark.parametrize("how", ["soft", "external", "virtual", "huge chunks", "group"])
def test_hdf5_files_that_lead_elsewhere(how, tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        if how == "soft":
            file["other"] = np.zeros((3, *SHAPE), np.uint8)
            file["train_images"] = h5py.SoftLink("/other")
        elif how == "external":
            file["train_images"] = h5py.ExternalLink("/etc/passwd", "/x")
        elif how == "virtual":
            layout = h5py.VirtualLayout((3, *SHAPE), np.uint8)
            layout[:] = h5py.VirtualSource("y.h5", "x", (3, *SHAPE))
            file.create_virtual_dataset("train_images", layout)
        elif how == "huge chunks":
            file.create_dataset("train_images", (40, 2000, 2000, 1), np.uint8, chunks=(40, 2000, 2000, 1))
        else:
            file.create_group("train_images")
    with pytest.raises(Failure, match="train_images") as found:
        outside_pictures.read(path)
    assert "\n" not in str(found.value)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_any_order_of_rows_gives_each_its_own(seed, count):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(50)[:count]
    images = np.broadcast_to(rows[:, None, None, None], (count, *SHAPE)).astype(np.uint8)
    found = outside_pictures.accept({"train_rows": rows, "train_images": images})
    some = np.sort(rng.choice(rows, rng.integers(1, count + 1), replace=False))
    assert (found.of("train", some, SHAPE)[:, 0, 0, 0] == some).all()
