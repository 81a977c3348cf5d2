"""Anyone's own arrays: streamed out of an .npz file, and what is wrong with others."""

import io
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import record_of

from poisonkit.core.errors import Failure, Usage
from poisonkit.sources.image import npz
from poisonkit.sources.opening import open_source

RNG = np.random.default_rng(0)


def arrays(shape=(6, 9, 3), train=10, test=5, classes=3):
    return {
        "x_train": RNG.integers(0, 256, (train, *shape), dtype=np.uint8),
        "y_train": np.arange(train) % classes,
        "x_test": RNG.integers(0, 256, (test, *shape), dtype=np.uint8),
        "y_test": np.arange(test) % classes,
    }


def saved(path, found, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path, **found)
    return path


def opened(path, cache, **more):
    return open_source("npz", source=path, cache=cache, **more)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(6, 9, 3), (6, 9, 1), (6, 9), (32, 32, 3), (1, 1, 1)])
def test_arrays_come_back_as_they_are(tmp_path, shape, compressed):
    found = arrays(shape)
    source = opened(saved(tmp_path / "x.npz", found, compressed), tmp_path / "cache")
    assert source.train.shape == (10, *shape, 1)[:4] and source.classes == ("0", "1", "2")
    for part, split in (("train", source.train), ("test", source.test)):
        assert np.array_equal(split.rows(range(len(split))).reshape(len(split), *shape), found[f"x_{part}"])
        assert split.labels.tolist() == found[f"y_{part}"].tolist()
    record = record_of(source)
    assert (record["name"], record["licence"], record["options"]) == ("npz", "not stated", {})
    assert os.fspath(tmp_path) not in str(record) and source.origin["sha256"].startswith("sha256:")
    assert opened(tmp_path / "x.npz", tmp_path / "cache").classes == source.classes


@pytest.mark.parametrize("dtype", ["<i8", ">i8", "<i4", ">u2", "|u1", "|i1", "<u8"])
@pytest.mark.parametrize("column", [False, True])
def test_labels_of_any_whole_numbers(tmp_path, dtype, column):
    found = arrays()
    found |= {name: found[name].astype(dtype).reshape((-1, 1) if column else -1) for name in ("y_train", "y_test")}
    source = opened(saved(tmp_path / "x.npz", found), tmp_path / "cache")
    assert source.train.labels.dtype == "<i8" and source.train.labels.tolist() == (np.arange(10) % 3).tolist()


@pytest.mark.parametrize("names", [np.array(["cat", "dög", "x y"]), np.array([b"cat", "dög".encode(), b"x y"])])
def test_class_names(tmp_path, names):
    source = opened(saved(tmp_path / "x.npz", arrays() | {"classes": names}), tmp_path / "cache")
    assert source.classes == ("cat", "dög", "x y")
    other = opened(saved(tmp_path / "y.npz", arrays() | {"classes": np.array(list("abcd"))}), tmp_path / "cache")
    assert other.classes == tuple("abcd")


def test_other_members_and_block_sizes_change_nothing(tmp_path, monkeypatch):
    found = arrays()
    one = opened(saved(tmp_path / "x.npz", found, True), tmp_path / "1")
    monkeypatch.setattr(npz, "BLOCK", 500)
    more = {"idx": np.arange(3), "extra": np.zeros((2, 2))}
    assert opened(saved(tmp_path / "y.npz", more | found), tmp_path / "2").digest == one.digest


def without(name):
    return lambda found: found.pop(name)


def replaced(name, function):
    return lambda found: found.update({name: function(found[name])})


WRONG = {
    "no x_test": (without("x_test"), "x_test is missing, expected x_train, y_train, x_test, y_test; found x_train, y"),
    "no y_train": (without("y_train"), "y_train is missing"),
    "floats": (replaced("x_train", lambda x: x / 255), "x_train is float64, expected uint8 (if they run from 0 to 1: "),
    "int64": (replaced("x_test", lambda x: x.astype(int)), "x_test is int64, expected uint8"),
    "channels first": (
        replaced("x_train", lambda x: np.moveaxis(x, -1, 1).copy()),
        "x_train is 10×3×6×9, expected (N, H, W) or (N, H, W, C) with C 1 or 3: np.moveaxis(x, 1, -1)",
    ),
    "four channels": (replaced("x_train", lambda x: np.concatenate([x, x[..., :1]], -1)), "x_train is 10×6×9×4, ex"),
    "flat": (replaced("x_train", lambda x: x.reshape(10, -1)), "x_train is 10×162, expected (N, H, W)"),
    "two shapes": (replaced("x_test", lambda x: x[:, :5].copy()), "x_train has images of 6×9×3, x_test of 5×9×3"),
    "no rows": (replaced("x_test", lambda x: x[:0]), "expected at least one"),
    "too large": (replaced("x_train", lambda x: np.zeros((1, 1, 5000, 3), np.uint8)), "of 1 to 4096 a side"),
    "fortran": (replaced("x_train", np.asfortranarray), "x_train is in Fortran order: save np.ascontiguousarray"),
    "fewer labels": (replaced("y_train", lambda y: y[1:]), "y_train is 9, expected 10 labels, one for each image"),
    "one-hot": (replaced("y_train", lambda y: np.eye(3, dtype=int)[y]), "y_train is 10×3, expected 10 labels"),
    "float labels": (replaced("y_train", lambda y: y * 1.0), "y_train is float64, expected whole numbers"),
    "text labels": (replaced("y_train", lambda y: y.astype(str)), "y_train is <U21, expected whole numbers"),
    "negative": (replaced("y_test", lambda y: y - 1), "y_test has labels below 0"),
    "enormous": (replaced("y_test", lambda y: y + 10**6), "has the label 1000002, expected labels below 100000"),
    "wrapped": (replaced("y_test", lambda y: (y - 1).astype("u8")), "y_test has labels below 0"),
    "objects": (replaced("y_train", lambda y: y.astype(object)), "y_train holds Python objects"),
    "too few names": (lambda found: found.update(classes=np.array(["a", "b"])), "has the label 2, but classes names 2"),
    "equal names": (lambda found: found.update(classes=np.array(["a", "b", "a"])), "classes must be different names"),
    "bad names": (lambda found: found.update(classes=np.array(["a", "b", "\n"])), "classes must be different names"),
    "latin names": (lambda found: found.update(classes=np.array([b"a", b"b", b"\xff"])), "classes must be different"),
    "object names": (lambda found: found.update(classes=np.array(["a"], object)), "classes holds Python objects"),
    "number names": (lambda found: found.update(classes=np.arange(3)), "expected one text for each class"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_arrays_is_one_line(tmp_path, case):
    change, words = WRONG[case]
    found = arrays()
    change(found)
    with pytest.raises(Failure) as error:
        opened(saved(tmp_path / "x.npz", found), tmp_path / "cache")
    assert str(error.value).startswith(f"{tmp_path}/x.npz: ") and words in str(error.value)
    assert "\n" not in str(error.value) and not list((tmp_path / "cache" / "entries").glob("*"))


def test_no_file_at_all(tmp_path):
    with pytest.raises(Usage, match="source npz needs --source FILE.npz"):
        opened(None, tmp_path)
    with pytest.raises(Failure, match="x.npz does not exist: expected an .npz file with x_train"):
        opened(tmp_path / "x.npz", tmp_path / "cache")
    with pytest.raises(Failure, match="is not a file: expected an .npz file"):
        opened(tmp_path, tmp_path / "cache")
    with pytest.raises(Usage, match="source npz has no option 'size': it has none"):
        opened(tmp_path, tmp_path / "cache", options={"size": 1})
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(Failure, match="x.npy is truncated, damaged or no such archive"):
        opened(tmp_path / "x.npy", tmp_path / "cache")


def header(shape, dtype="|u1"):
    """A .npy header that may claim anything."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


CLAIMS = {
    "too much": (header((2**40, 6, 9, 3)), "which does not fit the"),
    "too little": (header((9, 6, 9, 3)), "which does not fit the"),
    "negative": (header((-1, 6, 9, 3)), "which does not fit the"),
    "no tuple": (header("x"), "is not a readable array"),
    "code": (header("__import__('os')"), "is not a readable array"),
    "not numpy": (b"hello, world", "is not a readable array"),
    "empty": (b"", "is not a readable array"),
    "version 9": (b"\x93NUMPY\x09\x00" + header((1,))[8:], "is not a readable array"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_headers_that_claim_something_else(tmp_path, case):
    start, words = CLAIMS[case]
    found = arrays()
    with zipfile.ZipFile(
        saved(tmp_path / "x.npz", {k: found[k] for k in ("y_train", "x_test", "y_test")}), "a"
    ) as file:
        file.writestr("x_train.npy", start + found["x_train"].tobytes() if len(start) > 20 else start)
    with pytest.raises(Failure) as error:
        opened(tmp_path / "x.npz", tmp_path / "cache")
    assert words in str(error.value) and "\n" not in str(error.value)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1), data=st.binary(min_size=1, max_size=8), cut=st.integers(0, 200), compressed=st.booleans())
def test_damaged_files_are_one_line_or_give_the_same_arrays(tmp_path_factory, place, data, cut, compressed):
    buffer = io.BytesIO()
    saved(buffer, FIXED, compressed)
    whole = bytearray(buffer.getvalue())
    at = int(place * (len(whole) - 1))
    whole[at : at + len(data)] = data[: len(whole) - at]
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "x.npz").write_bytes(whole[: len(whole) - cut])
    try:
        source = opened(folder / "x.npz", folder / "cache")
    except Failure as error:
        assert str(error).startswith(f"{folder}/x.npz") and "\n" not in str(error)
    else:
        assert np.array_equal(source.train.rows(range(10)), FIXED["x_train"])


FIXED = arrays()


def test_a_flipped_bit_is_noticed(tmp_path):
    path = saved(tmp_path / "x.npz", FIXED)
    data = bytearray(path.read_bytes())
    data[data.index(FIXED["x_test"].tobytes()) + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(Failure, match="damaged or no such archive .Bad CRC-32 for file 'x_test.npy'.: get it again"):
        opened(path, tmp_path / "cache")


@pytest.mark.slow
def test_a_set_larger_than_the_memory_it_may_have(tmp_path):
    """400 MB of 224 × 224 pictures: neither opening nor making nor verifying holds more than a fraction of them."""
    rows = 2650
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, count in (("train", rows), ("test", 20)):
            with file.open(f"x_{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "|u1", "fortran_order": False, "shape": (count, 224, 224, 3)}
                )
                for i in range(count):
                    member.write(bytes([i % 251]) * (224 * 224 * 3))
            with file.open(f"y_{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.arange(count) % 3)
    code = (
        "import sys; from pathlib import Path; from poisonkit.sources.opening import open_source\n"
        "import cv2, h5py, numba\n"
        f"source = open_source('npz', source=Path({os.fspath(tmp_path / 'x.npz')!r}), cache=Path(sys.argv[1]))\n"
        "assert source.train.rows([2000])[0].min() == 2000 % 251\n"
        "for _, block in source.train.blocks(): pass\n"
        "status = Path('/proc/self/status').read_text()\n"  # (ru_maxrss begins with that of the process that forked)
        "print(status.split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "cache"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 330_000, f"{done.stdout} kB"


# ---- the command line


@pytest.mark.parametrize("shape", [(6, 8), (8, 8, 3)])
def test_make_and_verify(poisonkit, tmp_path, shape):
    path = saved(tmp_path / "mine.npz", arrays(shape, train=40, test=10), True)
    asked = ("--dataset", "npz", "--source", path, "--trigger", "square", "--square-size", "2", "--rate", "0.1")
    poisonkit("make", *asked, "-o", tmp_path / "out").succeeded()
    (made,) = (tmp_path / "out").glob("*.h5")
    assert made.name.startswith("npz-square-0.1-s0")
    poisonkit("verify", made).succeeded()
    with h5py.File(made) as file:
        assert file["train/images"].shape[1:] == (*shape, 1)[:3]
        assert "mine" not in file.attrs["manifest"] and '"classes":["0","1","2"]' in file.attrs["manifest"]


@pytest.mark.parametrize("trigger", ["blend", "warped", "sig", "noise", "sticker"])
def test_every_trigger_on_grey_pictures_that_are_not_square(poisonkit, tmp_path, trigger):
    path = saved(tmp_path / "x.npz", arrays((12, 20), train=40, test=10))
    asked = ("--dataset", "npz", "--source", path, "--trigger", trigger, "--rate", "0.1")
    poisonkit("make", *asked, "-o", tmp_path / "x.h5").succeeded()
    poisonkit("make", *asked, "--patch-size", "6x10", "-o", tmp_path / "y.h5").succeeded()
    poisonkit("verify", tmp_path / "x.h5", tmp_path / "y.h5").succeeded()


def test_the_command_line_says_what_is_wrong(poisonkit, tmp_path):
    asked = ("make", "--dataset", "npz", "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "out")
    poisonkit(*asked).failed(2, "source npz needs --source FILE.npz")
    (tmp_path / "x.npz").write_bytes(b"PK")
    poisonkit(*asked, "--source", tmp_path / "x.npz").failed(1, "x.npz is truncated, damaged or no such archive")
    assert not (tmp_path / "out").exists()
