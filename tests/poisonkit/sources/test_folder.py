"""A folder of anyone's own pictures: what is read, in which order, and what is wrong with others."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import png, ppm, record_of, write_files

from poisonkit.core import images, picture_files, splits
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.grey_levels import grey
from poisonkit.sources.image import folder
from poisonkit.sources.opening import open_source

RNG = np.random.default_rng(0)


def picture(height=6, width=9, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def files(shape=(6, 9), names=("b", "a", "Z"), train=3, test=2):
    """Relative path → picture."""
    counts = {"train": train, "test": test}
    return {f"{p}/{c}/{k}.png": picture(*shape) for p, n in counts.items() for c in names for k in range(n)}


def written(path, pictures):
    return write_files(path, {name: png(image) for name, image in pictures.items()})


def opened(path, cache, **more):
    return open_source("folder", source=path, cache=cache, **more)


def test_rows_are_ordered_by_class_and_file_name(tmp_path):
    pictures = files() | {"train/a/10.png": picture()}
    source = opened(written(tmp_path / "in", pictures), tmp_path / "cache")
    assert source.classes == ("Z", "a", "b") and source.train.shape == (10, 6, 9, 3)
    for part, split in (("train", source.train), ("test", source.test)):
        order = sorted(name for name in pictures if name.startswith(part))
        assert split.labels.tolist() == [source.classes.index(name.split("/")[1]) for name in order]
        assert np.array_equal(split.rows(range(len(split))), [pictures[name] for name in order])
    record = record_of(source)
    assert (record["name"], record["licence"], record["options"]) == ("folder", "not stated", {"name": "in"})
    assert os.fspath(tmp_path) not in str(record) and source.origin["path"] == os.fspath(tmp_path / "in")
    assert source.origin["official"] is None


def test_every_lossless_format_gives_the_same_bytes(tmp_path):
    pictures, encoded = files(), {}
    for i, (name, image) in enumerate(pictures.items()):
        kind = (".png", ".ppm", ".bmp", ".PNG")[i % 4]
        data = ppm(image) if kind == ".ppm" else cv2.imencode(kind.lower(), image[..., ::-1])[1].tobytes()
        encoded[name.replace(".png", kind)] = data
    mixed = opened(write_files(tmp_path / "mixed", encoded), tmp_path / "cache")
    assert mixed.digest == opened(written(tmp_path / "in", pictures), tmp_path / "cache").digest


def test_grey_is_the_documented_formula_and_grey_files_keep_their_levels(tmp_path):
    pictures = files()
    source = opened(written(tmp_path / "in", pictures), tmp_path / "cache", options={"channels": 1})
    assert source.train.shape[1:] == (6, 9, 1)
    assert np.array_equal(source.train.rows([0])[0], grey(pictures["train/Z/0.png"]))
    levels = {name: image[..., :1] for name, image in pictures.items()}
    pgm = {name.replace(".png", ".pgm"): b"P5\n9 6\n255\n" + image.tobytes() for name, image in levels.items()}
    for i, some in enumerate(({n: cv2.imencode(".png", a)[1].tobytes() for n, a in levels.items()}, pgm)):
        one = opened(write_files(tmp_path / str(i), some), tmp_path / "cache", options={"channels": 1})
        assert np.array_equal(one.train.rows([0])[0], levels["train/Z/0.png"])


@pytest.mark.parametrize(("size", "shape"), [(4, (4, 4)), ("4x5", (4, 5)), ("12X9", (12, 9)), (6, (6, 6))])
def test_sizes_are_made_as_the_other_sources_make_them(tmp_path, size, shape):
    pictures = {name: picture(*RNG.integers(3, 12, 2)) for name in files()}
    source = opened(written(tmp_path / "in", pictures), tmp_path / "cache", options={"size": size})
    for row, name in enumerate(sorted(name for name in pictures if name.startswith("train"))):
        image = pictures[name]
        area = image.shape[0] >= shape[0] and image.shape[1] >= shape[1]
        way = cv2.INTER_AREA if area else cv2.INTER_LINEAR
        assert np.array_equal(source.train.rows([row])[0], cv2.resize(image, shape[::-1], interpolation=way))
    assert source.options == {"size": folder.parse_size(size), "name": "in"}


def test_pictures_of_several_sizes_are_refused_unless_a_size_is_named(tmp_path):
    pictures = files() | {"train/b/2.png": picture(6, 8)}
    with pytest.raises(Failure) as error:
        opened(written(tmp_path / "in", pictures), tmp_path / "cache")
    expected = "/in/train/b/2.png is 6×8, expected 6×9 as train/Z/0.png has: --size N resizes them all"
    assert str(error.value).endswith(expected)


def test_threads_and_block_sizes_change_nothing(tmp_path, monkeypatch):
    path = written(tmp_path / "in", files(train=20))
    one = opened(path, tmp_path / "1", jobs=1)
    monkeypatch.setattr(folder, "BLOCK", 1000)
    monkeypatch.setattr(folder, "STRIDE", 2)
    monkeypatch.setattr(splits, "BLOCK", 500)
    other = opened(path, tmp_path / "5", jobs=5)
    assert one.digest == other.digest
    rows = [(start, len(block)) for start, block in other.train.blocks()]
    assert rows == [(start, 3) for start in range(0, 60, 3)]


def test_large_pictures(tmp_path):
    pictures = files((224, 224), names=("cat", "dog"), train=8, test=2)
    source = opened(written(tmp_path / "in", pictures), tmp_path / "cache")
    assert source.train.shape == (16, 224, 224, 3)
    assert np.array_equal(source.test.rows([3])[0], pictures["test/dog/1.png"])


def test_the_cache_is_used_until_a_file_changes(tmp_path, monkeypatch):
    pictures = files()
    path, lines = written(tmp_path / "in", pictures), []
    first = opened(path, tmp_path / "cache")
    with monkeypatch.context() as patched:
        patched.setattr(folder, "_decode", None)
        assert opened(path, tmp_path / "cache").classes == first.classes == ("Z", "a", "b")
    (path / "test/a/0.png").write_bytes(png(picture()))
    assert opened(path, tmp_path / "cache", say=lines.append).digest != first.digest and not lines


def test_equal_arrays_under_other_names_and_options_are_kept_apart(tmp_path):
    pictures = files((6, 6))
    renamed = {name.replace("/b/", "/c/"): image for name, image in pictures.items()}
    cache = tmp_path / "cache"
    first, other = opened(written(tmp_path / "1", pictures), cache), opened(written(tmp_path / "2", renamed), cache)
    sized = opened(tmp_path / "1", cache, options={"size": 6})
    assert first.digest == other.digest == sized.digest
    assert (first.classes, other.classes) == (("Z", "a", "b"), ("Z", "a", "c"))
    assert (first.options, sized.options) == ({"name": "1"}, {"size": 6, "name": "1"})
    assert opened(tmp_path / "2", cache).classes == other.classes


def test_what_is_no_picture_is_left_out_and_said(tmp_path):
    path, lines = written(tmp_path / "in", files()), []
    more = {"train/a/.DS_Store": b"", "train/a/Thumbs.db": b"", "train/.hidden/x.png": b"x", "train/README": b"x"}
    write_files(path, more | {"train/a/notes.txt": b"x", "test/b/x.csv": b""})
    os.mkfifo(path / "test/b/pipe.png")  # would be waited for, for ever
    source = opened(path, tmp_path / "cache", say=lines.append)
    assert len(source.train) == 9 and source.classes == ("Z", "a", "b")
    said = [f"3 files are not pictures and are left out, for example {path}/train/a/notes.txt"]
    assert lines == said
    opened(path, tmp_path / "cache", say=lines.append)
    assert lines == 2 * said, "of what is in the cache too, once each time"


def test_jpegs_are_read_and_a_warning_says_that_they_may_differ(tmp_path, capfd):
    pictures, lines = files((16, 16)), []
    path = written(tmp_path / "in", pictures)
    for name, kind in (("train/a/0", ".jpg"), ("test/b/1", ".webp")):
        (path / f"{name}.png").unlink()
        (path / f"{name}{kind}").write_bytes(cv2.imencode(kind, pictures[f"{name}.png"])[1].tobytes())
    source = opened(path, tmp_path / "cache", say=lines.append)
    assert source.origin["lossy"] == 2
    assert lines == ["2 pictures are JPEG or WebP, which other builds of OpenCV may decode slightly differently"]
    noisy = bytearray((path / "train/a/0.jpg").read_bytes())
    noisy[-20:-10] = b"\x00" * 10
    (path / "train/a/0.jpg").write_bytes(noisy)
    opened(path, tmp_path / "cache")
    assert not capfd.readouterr().err


# ---- what is wrong


def broken(tmp_path, change, **more):
    path = written(tmp_path / "in", files())
    change(path)
    with pytest.raises(Failure) as error:
        opened(path, tmp_path / "cache", **more)
    assert "\n" not in str(error.value) and not list((tmp_path / "cache" / "entries").glob("*"))
    return str(error.value)


def empty(path):
    for item in sorted(path.rglob("*"), reverse=True):
        item.rmdir() if item.is_dir() else item.unlink()


LAYOUTS = {
    "no train": (lambda p: (p / "train").rename(p / "Train"), "/in has no folder train: expected train/CLASS/*.png"),
    "no test": (lambda p: (p / "test").rename(p / "val"), "/in has no folder test: expected"),
    "no classes": (lambda p: empty(p / "train"), "/in/train has no folders: expected one for each class"),
    "nothing in it": (lambda p: [empty(p / "test" / c) for c in "abZ"], "/in/test has no pictures: expected test"),
    "class not in test": (lambda p: (p / "train/c").mkdir(), "test has no folder 'c' and train has one (it may be"),
    "class not in train": (lambda p: (p / "test/c").mkdir(), "train has no folder 'c' and test has one"),
    "folder in a class": (lambda p: (p / "train/a/more").mkdir(), "/in/train/a/more is a folder: expected pictures"),
    "unprintable class": (lambda p: (p / "train/x\ny").mkdir() or (p / "test/x\ny").mkdir(), "train/x?y: expected a"),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_what_is_wrong_with_a_layout_is_one_line(tmp_path, case):
    change, words = LAYOUTS[case]
    assert words in broken(tmp_path, change)


def test_a_class_may_be_empty_on_one_side(tmp_path):
    path = written(tmp_path / "in", files())
    empty(path / "test/a")
    source = opened(path, tmp_path / "cache")
    assert source.classes == ("Z", "a", "b") and set(source.test.labels.tolist()) == {0, 2}


def test_no_folder_at_all(tmp_path):
    with pytest.raises(Usage, match="source folder needs --source DIR"):
        opened(None, tmp_path)
    with pytest.raises(Failure, match="missing does not exist: expected one with train/CLASS"):
        opened(tmp_path / "missing", tmp_path / "cache")
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(Failure, match="x.zip is not a folder"):
        opened(tmp_path / "x.zip", tmp_path / "cache")


jpg = cv2.imencode(".jpg", picture(30, 30))[1].tobytes()
webp = cv2.imencode(".webp", picture(30, 30))[1].tobytes()
bmp = cv2.imencode(".bmp", picture(30, 30))[1].tobytes()
DAMAGED = {
    "empty": (b"", "not a PNG, PPM, PGM, JPEG, WebP or BMP file"),
    "html": (b"<html>404</html>", "not a PNG, PPM, PGM, JPEG, WebP or BMP file"),
    "short png": (png(picture())[:-20], "truncated PNG file"),
    "damaged png": (png(picture())[:60] + b"xx" + png(picture())[62:], "damaged PNG file"),
    "short jpeg": (jpg[: len(jpg) // 2], "truncated JPEG file"),
    "jpeg header": (jpg[:30], "truncated or damaged JPEG file"),
    "jpeg start": (jpg[:2], "truncated or damaged JPEG file"),
    "short webp": (webp[:-9], "truncated WebP file"),
    "webp header": (webp[:14], "truncated WebP file"),
    "short bmp": (bmp[:-9], "truncated BMP file"),
    "bmp header": (b"BM", "truncated picture file"),
    "short pgm": (b"P5\n9 6\n255\n" + b"x" * 53, "truncated PGM file"),
    "deep pgm": (b"P5\n9 6\n65535\n" + b"x" * 108, "not a binary PGM file of 8 bits"),
    "huge jpeg": (jpg.replace(b"\x08\x00\x1e\x00\x1e", b"\x08\xff\xff\xff\xff"), "65535 x 65535 pixels, expected 1 to"),
    "huge pgm": (b"P5\n99999 99999\n255\n", "99999 x 99999 pixels"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_pictures_are_one_line(tmp_path, case, capfd):
    data, words = DAMAGED[case]
    message = broken(tmp_path, lambda path: (path / "train/a/1.png").write_bytes(data))
    assert f"{tmp_path}/in/train/a/1.png: {words}" in message and not capfd.readouterr().err


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from([jpg, webp, bmp, png(picture()), ppm(picture())]),
    cut=st.integers(0, 3000),
    place=st.floats(0, 1),
    byte=st.binary(min_size=0, max_size=4),
)
def test_decoding_anything_ends_in_a_picture_or_a_ValueError(data, cut, place, byte):
    images.quiet()
    at = int(place * len(data))
    data = (data[:at] + byte + data[at + len(byte) :])[: len(data) - cut]
    try:
        with picture_files.silent():
            found = picture_files.decode(data, 3)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


def test_sizes_are_told_as_opencv_decodes_them():
    shapes = [(30, 20), (1, 1), (17, 40)]
    for shape in shapes:
        image = picture(*shape)
        for kind, flags in ((".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
                            (".webp", []), (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]), (".bmp", [])):  # fmt: skip
            data = cv2.imencode(kind, image, flags)[1].tobytes()
            assert picture_files._size(data) == shape[::-1]
            assert picture_files.decode(data, 1).shape == (*shape, 1)


@pytest.mark.parametrize("value", ["x", "4x", "1x2x3", 5000, "0x4", "-1", "", "9" * 5000])
def test_sizes_that_make_no_sense_are_refused(tmp_path, value):
    with pytest.raises(Usage, match="option 'size' of source folder: expected a number of pixels"):
        opened(tmp_path, tmp_path / "cache", options={"size": value})
    with pytest.raises(Usage, match="option 'channels' of source folder: expected 1 .grey. or 3 .RGB., got 2"):
        opened(tmp_path, tmp_path / "cache", options={"channels": 2})


# ---- the command line


@pytest.mark.parametrize("options", [(), ("channels=1",), ("size=8", "channels=1"), ("size=10x4",)])
def test_make_and_verify(poisonkit, tmp_path, options):
    path = written(tmp_path / "in", files((6, 8), train=10, test=4))
    more = [word for option in options for word in ("--source-option", option)]
    asked = ("--dataset", "folder", "--source", path, *more, "--trigger", "square", "--square-size", "2")
    poisonkit("make", *asked, "--rate", "0.1", "--rate", "0", "-o", tmp_path / "out").succeeded()
    made = sorted((tmp_path / "out").glob("*.h5"))
    assert len(made) == 2 and all(file.name.startswith("in-") for file in made)
    poisonkit("verify", *made).succeeded()
    with h5py.File(made[1]) as file:
        assert file["train/images"].shape[1:] == (
            *{"size=8": (8, 8), "size=10x4": (10, 4)}.get("".join(options[:1]), (6, 8)),
            1 if "channels=1" in options else 3,
        )
        assert os.fspath(tmp_path) not in file.attrs["manifest"] and '"classes":["Z","a","b"]' in file.attrs["manifest"]
    again = tmp_path / "again"
    poisonkit("make", *asked, "--rate", "0.1", "-o", again).succeeded()
    assert next(again.glob("*.h5")).read_bytes() == made[1].read_bytes()
    poisonkit("preview", made[0], "-o", tmp_path / "x.png").succeeded()


def test_the_command_line_says_what_is_wrong(poisonkit, tmp_path):
    asked = ("make", "--dataset", "folder", "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "out")
    poisonkit(*asked).failed(2, "source folder needs --source DIR")
    poisonkit(*asked, "--source", tmp_path / "none").failed(1, "does not exist")
    path = written(tmp_path / "in", files())
    (path / "train/a/0.png").write_bytes(b"no")
    poisonkit(*asked, "--source", path).failed(1, "/in/train/a/0.png: not a PNG")
    assert not (tmp_path / "out").exists()
    assert "folder" in poisonkit("sources").succeeded().out


def test_listing_takes_no_opencv():
    code = "from poisonkit.sources.image import folder, npz; import sys; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_size_has_an_option_of_its_own(poisonkit, tmp_path):
    path = written(tmp_path / "in", files((6, 8), train=10, test=4))
    asked = ("make", "--dataset", "folder", "--source", path, "--rate", "0")
    poisonkit(*asked, "--size", "10x4", "-o", tmp_path / "a.h5").succeeded()
    poisonkit(*asked, "--source-option", "size=10x4", "-o", tmp_path / "b.h5").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    poisonkit(*asked, "--size", "big").failed(2, "size")
    poisonkit("make", "--dataset", "signs", "--rate", "0", "--size", "8").failed(
        2, "--size: the source signs has no such"
    )


def classes_alone(counts):
    """Relative path → picture, of a folder of classes without train/ and test/."""
    return {f"{name}/{k:03d}.png": picture() for name, count in counts.items() for k in range(count)}


def split_of(source, pictures):
    """Class → the names of its training and of its test pictures."""
    known = {image.tobytes(): name for name, image in pictures.items()}
    return {
        part: {known[image.tobytes()] for image in split.rows(range(len(split)))}
        for part, split in (("train", source.train), ("test", source.test))
    }


def test_a_folder_of_classes_is_split_by_a_stratified_draw(tmp_path):
    pictures = classes_alone({"b": 10, "a": 7, "c": 2})
    source = opened(written(tmp_path / "My photos!", pictures), tmp_path / "cache", options={"split": "20%"})
    assert source.classes == ("a", "b", "c")
    assert source.train.labels.tolist() == [0] * 6 + [1] * 8 + [2] and source.test.labels.tolist() == [0, 1, 1, 2]
    parts = split_of(source, pictures)
    assert not parts["train"] & parts["test"] and parts["train"] | parts["test"] == set(pictures)
    assert source.options == {"split": "0.2", "name": "My-photos-"}
    order = [name for name in sorted(pictures) if name in parts["train"]]
    assert np.array_equal(source.train.rows(range(15)), [pictures[name] for name in order])


def test_the_draw_is_the_documented_one(tmp_path):
    """The first of a permutation by the words of the stream `split/CLASS`, in the order of the names."""
    pictures = classes_alone({"x": 10, "y": 5})
    source = opened(written(tmp_path / "in", pictures), tmp_path / "cache", options={"split": "0.3", "seed": 7})
    tested = split_of(source, pictures)["test"]
    for name, count, chosen in (("x", 10, 3), ("y", 5, 2)):  # 1.5 is rounded up
        key = np.frombuffer(hashlib.sha256(f"split/{name}".encode()).digest()[:16], "<u4").tolist()
        words = np.random.Philox(np.random.SeedSequence(7, spawn_key=key)).random_raw(count)
        assert {f"{name}/{k:03d}.png" for k in np.argsort(words, kind="stable")[:chosen]} == {
            one for one in tested if one.startswith(name)
        }
    assert source.options == {"split": "0.3", "seed": 7, "name": "in"}


def test_a_split_depends_on_neither_order_nor_other_classes(tmp_path, monkeypatch):
    pictures = classes_alone({"b": 10, "a": 7})
    one = opened(written(tmp_path / "1", pictures), tmp_path / "c1", options={"split": "0.2"})
    other = written(tmp_path / "2", dict(reversed(pictures.items())) | classes_alone({"z": 4}))
    scandir = os.scandir
    monkeypatch.setattr(folder.os, "scandir", lambda path: Backwards(scandir(path)))
    two = opened(other, tmp_path / "c2", options={"split": "0.2"})
    parts = split_of(one, pictures)
    rows = [two.test.rows([row])[0].tobytes() for row in range(len(two.test)) if two.test.labels[row] < 2]
    assert {pictures[name].tobytes() for name in parts["test"]} == set(rows)
    more = [opened(tmp_path / "1", tmp_path / "c1", options={"split": "0.2", "seed": seed}) for seed in range(4)]
    assert len({frozenset(split_of(source, pictures)["test"]) for source in more}) > 1


class Backwards:
    """A folder's entries in another order."""

    def __init__(self, entries):
        self._entries = entries

    def __enter__(self):
        return iter(sorted(self._entries, key=lambda entry: entry.name, reverse=True))

    def __exit__(self, *_):
        self._entries.close()


def test_classes_that_are_hard_to_split(tmp_path):
    pictures = classes_alone({"a": 3, "one": 1, "two": 2})
    path = written(tmp_path / "in", pictures)
    (path / "empty").mkdir()
    (path / "stray.png").write_bytes(png(picture()))
    lines = []
    source = opened(path, tmp_path / "cache", options={"split": "0.01"}, say=lines.append)
    assert source.classes == ("a", "one", "two") and source.test.labels.tolist() == [0, 2]
    assert source.train.labels.tolist() == [0, 0, 1, 2]
    assert any("1 class has no pictures and is left out: empty" in line for line in lines)
    assert any("1 class has one picture, for training, and no test row: one" in line for line in lines)
    assert any("1 file is not a picture in a class and is left out" in line and "stray.png" in line for line in lines)
    lines.clear()
    opened(path, tmp_path / "cache", options={"split": "0.99"}, say=lines.append)
    assert len(lines) >= 2, "said each time that the data are used"


def test_what_cannot_be_split(tmp_path, poisonkit):
    single = written(tmp_path / "single", classes_alone({"a": 1, "b": 1}))
    whole = written(tmp_path / "whole", files())
    alone = written(tmp_path / "alone", {f"train/{name}": image for name, image in classes_alone({"a": 2}).items()})
    (tmp_path / "empty").mkdir()
    flat = written(tmp_path / "flat", classes_alone({"a": 2}))
    for path, options, words in (
        (single, {"split": "0.5"}, "no class has two pictures"),
        (whole, {"split": "0.5"}, "has the folders train and test already"),
        (alone, {"split": "0.5"}, "expected a folder of classes, .* has train/: name .*alone/train itself"),
        (tmp_path / "empty", {"split": "0.5"}, "has no folders: expected one for each class, CLASS/"),
        (flat, {}, "has no folder train: .*--split 0.2"),
        (flat, {"split": "1"}, "expected a share of the pictures above 0 and below 1"),
        (flat, {"split": "x"}, "expected a share of the pictures above 0 and below 1"),
        (flat, {"seed": 3}, "is for the draw of --split"),
        (flat, {"split": "0.5", "name": "../x"}, "expected a plain name"),
    ):
        with pytest.raises(Failure, match=words):
            opened(path, tmp_path / "cache", options=options)
    poisonkit("make", "--dataset", "folder", "--source", flat, "--rate", "0", "--split", "2").failed(2, "'split'")


def test_two_folders_never_collide(tmp_path, poisonkit):
    made = []
    for place, more in (("a/cats", ()), ("b/dogs", ()), ("c/cats", ("--name", "more cats"))):
        path = written(tmp_path / place, files((8, 8)))
        words = (
            "--dataset",
            "folder",
            "--source",
            path,
            "--trigger",
            "square",
            "--rate",
            "30%",
            "-o",
            tmp_path / "out",
        )
        made += json.loads(poisonkit("make", *words, *more, "--cache", tmp_path / "cache", "--json").out)
    names = [os.path.basename(one["path"]) for one in made]
    assert [name.split("-square-0.3-s0-")[0] for name in names] == ["cats", "dogs", "more cats"]
    assert [one["manifest"]["source"]["options"]["name"] for one in made] == ["cats", "dogs", "more cats"]
    for one in made:
        assert poisonkit("verify", one["path"]).code == 0
        again = tmp_path / "again" / os.path.basename(one["path"])
        sidecar = one["path"].replace(".h5", ".manifest.json")
        poisonkit("make", "--from", sidecar, "--cache", tmp_path / "cache", "-o", tmp_path / "again").succeeded()
        with open(one["path"], "rb") as first, open(again, "rb") as second:
            assert first.read() == second.read()


@pytest.mark.parametrize("typed, name", [
    ("photos", "photos"), ("My photos", "My-photos"), ("..x..y", "x.y"), ("a/b/..", "a"), ("-_-", "folder"),
    ("ﬁt é", "ﬁt-é"), ("nul", "folder"), ("x" * 200, "x" * 60), ("a'b$c", "a-b-c"), ("e\u0301", "\u00e9"),
])  # fmt: skip
def test_own_names(typed, name):
    from poisonkit.core import file_names
    from poisonkit.sources.image import _own_folder

    assert _own_folder.own_name(Path("/data") / typed) == name and file_names.plain(name)


def test_a_file_of_before_folders_had_names(tmp_path, poisonkit):
    """Made when every folder's data set was called `folder`: it verifies, is made again, and restored."""
    random, old = np.random.default_rng(7), Path(__file__).parents[2] / "golden" / "folder-before.h5"
    counts = (("train", 5), ("test", 2))
    written(tmp_path / "in", {f"{part}/{name}/{k}.png": random.integers(0, 256, (6, 6, 3), np.uint8)
                              for part, n in counts for name in ("1", "2", "10") for k in range(n)})  # fmt: skip
    file, again, back, cache = (tmp_path / name for name in ("old.h5", "again.h5", "back.h5", "cache"))
    file.write_bytes(old.read_bytes())
    poisonkit("verify", file).succeeded()
    poisonkit("make", "--from", file, "--source", tmp_path / "in", "-o", again, "--cache", cache).succeeded()
    poisonkit("pack", file, "-o", tmp_path / "x.delta.h5").succeeded()
    poisonkit("unpack", tmp_path / "x.delta.h5", "--base", tmp_path / "in", "-o", back, "--cache", cache).succeeded()
    assert again.read_bytes() == back.read_bytes() == old.read_bytes()


def test_two_folders_of_one_name_in_one_place(poisonkit, tmp_path):
    for number in (1, 2):
        written(tmp_path / str(number) / "mine", classes_alone({"a": 3 + number, "b": 4}))
    asked = ("--split", "0.5", "--trigger", "square", "--rate", "0.5", "-o", tmp_path / "out", "--square-size", "1")
    one, two = (("make", "--dataset", "folder", "--source", tmp_path / name / "mine", *asked) for name in "12")
    poisonkit(*one, "--name", "x", "--size", "8").succeeded()
    poisonkit(*two, "--name", "x", "--size", "8").failed(
        1, "was made from a different recipe", "choose another -o, --name another name for the data, or use --force"
    )
    poisonkit(*two, "--name", "y", "--size", "8").succeeded()
