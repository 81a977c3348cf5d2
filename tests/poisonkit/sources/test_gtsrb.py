"""GTSRB: every layout gives the same arrays in the same order, and what is wrong is said in one line."""

import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import gtsrb_images, gtsrb_kaggle, gtsrb_official, png, ppm, table, write_files, write_zip

from poisonkit.core import images as image_file
from poisonkit.core.errors import Failure
from poisonkit.sources.image import gtsrb
from poisonkit.sources.opening import open_source

SMALL = (12, 5)


def opened(path, tmp_path, **more):
    return open_source("gtsrb", source=path, cache=tmp_path / "cache", **more)


@pytest.fixture
def images():
    return gtsrb_images()


def layouts(folder, images) -> dict:
    """Every way in which the same images may lie there."""
    official, kaggle = gtsrb_official(*images), gtsrb_kaggle(*images)
    unpacked = {name: data for files in official.values() for name, data in files.items()}
    first_stage = gtsrb_official(*images, folder="Training")
    beside = {f"GTSRB/Final_Test/Images/{n}" if n == "GT-final_test.csv" else n: d for n, d in unpacked.items()}
    (folder / "zips").mkdir(parents=True)
    for name, files in official.items():
        write_zip(folder / "zips" / name, files)
    (folder / "first").mkdir()
    for name, files in first_stage.items():
        write_zip(folder / "first" / name.replace("_Final_Training_Images", "-Training_fixed"), files)
    return {
        "archives": folder / "zips",
        "one of the archives": folder / "zips" / "GTSRB_Final_Test_GT.zip",
        "first stage": folder / "first",
        "unpacked": write_files(folder / "unpacked", unpacked),
        "its folder": write_files(folder / "inner", beside) / "GTSRB",
        "unpacked first stage": write_files(
            folder / "stage", {n: d for f in first_stage.values() for n, d in f.items()}
        ),
        "kaggle": write_files(folder / "kaggle", kaggle),
        "kaggle zip": write_zip(folder / "archive.zip", kaggle),
        "kaggle below": write_files(folder / "below", {f"a/b/{name}": data for name, data in kaggle.items()}),
    }


def test_every_layout_gives_the_same_rows_in_the_same_order(tmp_path, images):
    paths = layouts(tmp_path / "in", images)
    sources = {name: opened(path, tmp_path / str(i)) for i, (name, path) in enumerate(paths.items())}
    assert {name: source.digest for name, source in sources.items()} == dict.fromkeys(sources, sources["kaggle"].digest)


def test_rows_are_ordered_and_pictures_resized_as_the_design_says(tmp_path, images):
    train, test = images
    source = opened(write_files(tmp_path / "in", gtsrb_kaggle(*images)), tmp_path)
    order = sorted(train)
    assert source.train.labels.tolist() == [label for label, _, _ in order]
    assert source.test.labels.tolist() == [test[k][0] for k in sorted(test)]
    assert source.train.labels.dtype == "<i8"
    for row, key in enumerate(order):
        image = train[key]
        way = cv2.INTER_AREA if min(image.shape[:2]) >= 32 else cv2.INTER_LINEAR
        assert (source.train.rows([row])[0] == cv2.resize(image, (32, 32), interpolation=way)).all()
    sizes = [min(image.shape[:2]) for image in train.values()]
    assert min(sizes) < 32 <= max(sizes)


def test_threads_change_nothing(tmp_path, images):
    path = write_files(tmp_path / "in", gtsrb_kaggle(*gtsrb_images(each=40)))
    assert opened(path, tmp_path / "1", jobs=1).digest == opened(path, tmp_path / "5", jobs=5).digest


def test_counts_and_hashes_decide_what_is_official(tmp_path, images, monkeypatch):
    paths, lines = layouts(tmp_path / "in", images), []
    source = opened(paths["archives"], tmp_path / "a", say=lines.append)
    assert source.origin["official"] is False and "12 + 5 images, the published set has 39209 + 12630" in lines[0]
    assert len(lines) == 1 and source.origin["files"].keys() == gtsrb_official(*images).keys()
    monkeypatch.setattr(gtsrb, "COUNTS", SMALL)
    assert opened(paths["archives"], tmp_path / "b", say=lines.append).origin["official"] is False
    assert "its hash is not the published one" in lines[1]
    assert opened(paths["kaggle"], tmp_path / "c", say=lines.append).origin["official"] is None
    known = [
        gtsrb.archive.Archive(name, "", None, gtsrb.archive.file_hashes(paths["archives"] / name)["md5"])
        for name in source.origin["files"]
    ]
    monkeypatch.setattr(gtsrb, "ARCHIVES", tuple(known))
    assert opened(paths["archives"], tmp_path / "d", say=lines.append).origin["official"] is True
    assert len(lines) == 2
    zipped = opened(paths["kaggle zip"], tmp_path / "e").origin
    assert zipped["official"] is False and zipped["sha256"].startswith("sha256:")


def test_images_in_no_table_are_left_out_and_counted(tmp_path, images):
    files, lines = gtsrb_kaggle(*images), []
    plain = opened(write_files(tmp_path / "in", files), tmp_path)
    extra = {
        "Train/0/zz.png": b"x",
        "Test/99999.png": b"x",
        "Meta/0.png": b"x",
        "train/0/a.png": b"x",
        "Train/0/a.txt": b"",
    }
    source = opened(write_files(tmp_path / "more", files | extra), tmp_path, say=lines.append)
    assert source.digest == plain.digest
    assert len([line for line in lines if "2 images in no table: left out" in line]) == 1


def kaggle_table(part: str, rows: list[list], header=("ClassId", "Path")) -> dict[str, bytes]:
    return {f"{part}.csv": table(",", list(header), rows)}


good = png(np.zeros((40, 40, 3), "u1"))
ONE = ["0", "Test/00000.png"]
BROKEN = {
    "image not there": (
        kaggle_table("Test", [ONE, ["1", "Test/77777.png"]]),
        "Test.csv: line 3 names 'Test/77777.png'",
    ),
    "image outside": (kaggle_table("Test", [["1", "../../../../etc/passwd"]]), "line 2 names '../../../../etc/passwd'"),
    "absolute": (kaggle_table("Test", [["1", "/etc/passwd"]]), "line 2 names '/etc/passwd'"),
    "class 43": (kaggle_table("Test", [["43", "Test/00000.png"]]), "line 2 has class '43', expected 0 to 42"),
    "class -1": (kaggle_table("Test", [["-1", "Test/00000.png"]]), "line 2 has class '-1'"),
    "class a": (kaggle_table("Test", [["a", "Test/00000.png"]]), "line 2 has class 'a'"),
    "class blank": (kaggle_table("Test", [["", "Test/00000.png"]]), "line 2 has class ''"),
    "class huge": (kaggle_table("Test", [["9" * 99, "Test/00000.png"]]), "line 2 has class '9999"),
    "class endless": (kaggle_table("Test", [["9" * 9_999, "Test/00000.png"]]), f"line 2 has class '{'9' * 80}', exp"),
    "path endless": (kaggle_table("Test", [["1", "x" * 99_999]]), f"line 2 names '{'x' * 80}', which is not there"),
    "no column": (kaggle_table("Test", [ONE], ("Class", "Path")), "its header 'Class,Path' lacks ClassId"),
    "no columns": (kaggle_table("Test", [ONE], ("a", "b")), "lacks Path and ClassId"),
    "short line": ({"Test.csv": b"ClassId,Path\r\n0\r\n"}, "line 2 has 1 values, expected 2"),
    "long line": ({"Test.csv": b"ClassId,Path\r\n0,Test/00000.png,7\r\n"}, "line 2 has 3 values, expected 2"),
    "no rows": (kaggle_table("Test", []), "Test.csv lists no images"),
    "empty table": ({"Test.csv": b""}, "its header '' lacks"),
    "no text": ({"Test.csv": b"ClassId,Path\r\n\xff\xfe\r\n"}, "Test.csv is not a CSV file"),
    "endless field": ({"Test.csv": b"ClassId,Path\r\n0," + b"x" * 140_000}, "Test.csv is not a CSV file"),
    "twice": (kaggle_table("Test", [ONE, ONE]), "are the same image"),
    "no image": ({"Test/00001.png": b"hello"}, "Test/00001.png: neither a PNG nor a binary PPM"),
    "empty image": ({"Test/00001.png": b""}, "Test/00001.png: neither a PNG nor a binary PPM"),
    "cut image": ({"Test/00001.png": good[:-20]}, "Test/00001.png: truncated PNG file"),
    "damaged image": ({"Test/00001.png": good[:50] + b"!" + good[51:]}, "Test/00001.png: damaged PNG file"),
    "cut ppm": ({"Test/00001.png": ppm(np.zeros((9, 9, 3), "u1"))[:-1]}, "Test/00001.png: truncated PPM file"),
    "text ppm": ({"Test/00001.png": b"P3\n1 1\n255\n0 0 0\n"}, "neither a PNG nor a binary PPM"),
    "deep ppm": ({"Test/00001.png": b"P6\n1 1\n65535\n000000"}, "neither a PNG nor a binary PPM"),
    "no pixels": ({"Test/00001.png": b"P6\n0 1\n255\n"}, "0 x 1 pixels"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_in_one_line(name, tmp_path, images, capfd):
    changes, message = BROKEN[name]
    files = gtsrb_kaggle(*images) | changes
    for path in (write_files(tmp_path / "in", files), write_zip(tmp_path / "a.zip", files)):
        with pytest.raises(Failure) as caught:
            opened(path, tmp_path)
        assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache" / "entries").iterdir())
    assert capfd.readouterr() == ("", "")  # OpenCV and libpng complain to the terminal where they may


def test_official_tables_are_checked_as_well(tmp_path, images):
    official = gtsrb_official(*images)
    unpacked = {name: data for files in official.values() for name, data in files.items()}
    name = "GTSRB/Final_Training/Images/00001/GT-00001.csv"
    for row, message in ((["00077_00000.ppm", 1], "names '00077_00000.ppm'"), (["00000_00000.ppm", 43], "class '43'")):
        bad = unpacked | {name: table(";", ["Filename", "ClassId"], [row])}
        with pytest.raises(Failure, match="GT-00001.csv: line 2") as caught:
            opened(write_files(tmp_path / "in", bad), tmp_path)
        assert message in str(caught.value)


@pytest.mark.parametrize("gone", ("Test.csv", "Train.csv"))
def test_a_missing_table_is_one_line(gone, tmp_path, images):
    files = gtsrb_kaggle(*images)
    del files[gone]
    with pytest.raises(Failure, match="there is no"):
        opened(write_files(tmp_path / "in", files), tmp_path)


def test_missing_archives_are_named(tmp_path, images):
    official = gtsrb_official(*images)
    write_zip(tmp_path / "GTSRB_Final_Training_Images.zip", official["GTSRB_Final_Training_Images.zip"])
    with pytest.raises(Failure, match="GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip is missing"):
        opened(tmp_path, tmp_path)


def test_folders_that_are_none_of_these(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failure, match="is not a GTSRB data set"):
        opened(tmp_path / "empty", tmp_path)
    with pytest.raises(Failure, match="does not exist"):
        opened(tmp_path / "nowhere", tmp_path)


def test_links_are_followed_and_loops_end(tmp_path, images):
    real = write_files(tmp_path / "real", gtsrb_kaggle(*images))
    plain = opened(real, tmp_path)
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("Train", "Train.csv", "Test", "Test.csv"):
        (linked / name).symlink_to(real / name)
    (real / "Train" / "loop").symlink_to(real)
    (linked / "dangling").symlink_to(tmp_path / "nowhere")
    assert opened(linked, tmp_path).digest == plain.digest
    assert opened(real, tmp_path).digest == plain.digest


def test_a_change_in_the_folder_is_noticed(tmp_path, images):
    path = write_files(tmp_path / "in", gtsrb_kaggle(*images))
    before = opened(path, tmp_path).digest
    write_files(path, {"Test/00000.png": good})
    assert opened(path, tmp_path).digest != before


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return image_file.PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def test_a_picture_that_claims_gigabytes_is_refused():
    for data in (bomb(100_000, 100_000), bomb(4097, 1), bomb(0, 5), b"P6\n99999 99999\n255\n"):
        with pytest.raises(ValueError, match="pixels, expected 1 to 4096 a side"):
            image_file.thumbnail(data, 32)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_pictures_are_refused(data):
    image = np.arange(20 * 25 * 3, dtype="u1").reshape(20, 25, 3)
    raw = data.draw(st.sampled_from((png(image), ppm(image))))
    at = data.draw(st.integers(0, len(raw) - 1))
    bad = raw[:at] if data.draw(st.booleans()) else raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :]
    try:
        result = image_file.thumbnail(bad, 32)
    except ValueError:
        return
    assert result.shape == (32, 32, 3) and result.dtype == np.uint8


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_png_and_ppm_give_the_same_thumbnail(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype("u1")
    assert (image_file.thumbnail(png(image), 32) == image_file.thumbnail(ppm(image), 32)).all()
    if (height, width) == (32, 32):
        assert (image_file.thumbnail(ppm(image), 32) == image).all()


def test_ppm_headers_with_comments():
    image = np.arange(12, dtype="u1").reshape(2, 2, 3)
    for header in (b"P6 2 2 255\n", b"P6\n# made by hand\n2 2\n# more\n255\n", b"P6\r\n2\t2\n255 "):
        assert (image_file.thumbnail(header + image.tobytes(), 2) == image).all()


def test_golden_pictures():
    """The same on OpenCV 4 and 5: pictures of many sizes, resized."""
    import hashlib

    total = hashlib.sha256()
    for side in range(1, 120):
        words = np.arange(side * (side + 3) * 3, dtype=np.uint32) * np.uint32(2654435761)
        total.update(image_file.thumbnail(ppm((words >> 24).astype("u1").reshape(side, side + 3, 3)), 32).tobytes())
    assert total.hexdigest() == "e9d4c262fc7f4cb1671a5c62828ec6a32b25d7363d5c00d0ee2ea4a295d521db"


def test_nothing_is_printed_even_on_what_libpng_rejects(tmp_path):
    """In a process of its own: OpenCV's and libpng's complaints go past Python."""
    data = bomb(32, 32)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    code = (
        "import sys; from poisonkit.core import images as image_file; image_file.quiet()\n"
        "try: image_file.thumbnail(open(sys.argv[1], 'rb').read(), 32)\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, os.fspath(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "not a valid PNG file\n"


def test_names_that_strangers_chose_cannot_drive_the_terminal(tmp_path, images):
    files = gtsrb_kaggle(*images) | {
        "Test/a\n\x1b[2J.png": b"x",
        "Test.csv": b'ClassId,Path\r\n0,"Test/a\n\x1b[2J.png"\r\n',
    }
    for path in (write_files(tmp_path / "in", files), write_zip(tmp_path / "a.zip", files)):
        with pytest.raises(Failure) as caught:
            opened(path, tmp_path)
        assert (
            "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and "Test/a??[2J.png" in str(caught.value)
        )


def unpacked(images) -> dict[str, bytes]:
    return {name: data for files in gtsrb_official(*images).values() for name, data in files.items()}


@pytest.mark.parametrize("part", ("Final_Test", "Final_Training", "Final_"))
@pytest.mark.parametrize("ending", (".PPM", ".png", ".PNG"))
def test_pictures_that_were_renamed_or_converted_are_found(ending, part, tmp_path, images):
    """The tables say .ppm: .PPM as some archives unpack, .png as people convert them."""
    expected = opened(write_files(tmp_path / "in", unpacked(images)), tmp_path)
    files = {}
    for name, data in unpacked(images).items():
        if part in name and name.endswith(".ppm"):
            picture = image_file.decode(data)
            name = name.removesuffix(".ppm") + ending
            data = png(picture) if ending.lower() == ".png" else data
        files[name] = data
    lines = []
    found = open_source("gtsrb", source=write_files(tmp_path / "o", files), cache=tmp_path / "c2", say=lines.append)
    assert found.digest == expected.digest
    assert len(lines) == 1 and "does not match the official gtsrb" in lines[0], "none is left out"


def test_a_name_with_two_endings_is_none(tmp_path, images):
    files = unpacked(images)
    data = files.pop("GTSRB/Final_Test/Images/00002.ppm")
    for ending in (".PPM", ".png"):
        files[f"GTSRB/Final_Test/Images/00002{ending}"] = data
    with pytest.raises(Failure, match=r"names '00002.ppm', which is not there"):
        opened(write_files(tmp_path / "in", files), tmp_path)


def test_a_class_folder_without_its_table_is_one_line(tmp_path, images):
    """Its images were left out, and a class had none, without a word."""
    files = unpacked(images)
    del files["GTSRB/Final_Training/Images/00001/GT-00001.csv"]
    expected = (
        r"in: the class folder GTSRB/Final_Training/Images/00001 has 4 images and no table: expected GT-00001.csv"
    )
    with pytest.raises(Failure, match=expected):
        opened(write_files(tmp_path / "in", files), tmp_path)
    archives = gtsrb_official(*images)
    del archives["GTSRB_Final_Training_Images.zip"]["GTSRB/Final_Training/Images/00001/GT-00001.csv"]
    (tmp_path / "zips").mkdir()
    for name, inside in archives.items():
        write_zip(tmp_path / "zips" / name, inside)
    with pytest.raises(Failure, match="00001 has 4 images and no table"):
        opened(tmp_path / "zips", tmp_path)
