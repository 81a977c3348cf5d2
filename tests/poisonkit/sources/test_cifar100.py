"""CIFAR-100 in each of its layouts, with either kind of labels, and damaged."""

import hashlib
import pickle

import numpy as np
import pytest
from source_fixtures import record_of, server, write_files, write_tar

from poisonkit.core.errors import Failure, Usage
from poisonkit.sources._fetch import archive
from poisonkit.sources.image import cifar100
from poisonkit.sources.opening import open_source

__all__ = ["server"]
COUNTS = {"train": 30, "test": 10}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cifar100, "ROWS", COUNTS)


def rows(seed=0):
    """Part → coarse labels, fine labels, planes (n, 3072) uint8."""
    random = np.random.default_rng(seed)
    return {
        part: (random.integers(0, 20, n).astype("u1"), random.integers(0, 100, n).astype("u1"),
               random.integers(0, 256, (n, 3072)).astype("u1"))
        for part, n in COUNTS.items()
    }  # fmt: skip


def files(parts, version="binary"):
    """Path → contents, as the binary or the python version has them."""
    if version == "binary":
        found = {f"cifar-100-binary/{part}.bin": np.hstack([c[:, None], f[:, None], x]).tobytes()
                 for part, (c, f, x) in parts.items()}  # fmt: skip
        return found | {"cifar-100-binary/fine_label_names.txt": b"apple\n"}
    found = {
        f"cifar-100-python/{part}": pickle.dumps(
            {b"data": x, b"fine_labels": f.tolist(), b"coarse_labels": c.tolist(), b"filenames": [b"a"]}, protocol=2
        )
        for part, (c, f, x) in parts.items()
    }
    return found | {"cifar-100-python/meta": pickle.dumps({b"fine_label_names": [b"apple"]}, protocol=2)}


def opened(path, cache, **more):
    return open_source("cifar100", source=path, cache=cache, **more)


@pytest.mark.parametrize("labels", ["fine", "coarse"])
@pytest.mark.parametrize("version", ["binary", "python"])
def test_every_layout_gives_the_same(tmp_path, version, labels):
    parts = rows()
    kind = 0 if labels == "coarse" else 1
    contents = files(parts, version)
    places = [
        write_tar(tmp_path / f"cifar-100-{version}.tar.gz", contents),
        write_files(tmp_path / "in", contents) / f"cifar-100-{version}",
        tmp_path / "in",
        tmp_path,
    ]
    for place in places:
        source = opened(place, tmp_path / "cache", options={"labels": labels.upper()})
        assert source.classes == (cifar100.COARSE if labels == "coarse" else cifar100.FINE)
        assert source.options == ({"labels": "coarse"} if labels == "coarse" else {})
        for part, split in (("train", source.train), ("test", source.test)):
            assert split.labels.tolist() == parts[part][kind].tolist() and split.shape == (COUNTS[part], 32, 32, 3)
            plain = parts[part][2].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            assert np.array_equal(split.rows(range(len(split))), plain)


def test_the_names_are_those_of_the_published_lists():
    assert len(cifar100.FINE) == 100 == len(set(cifar100.FINE)) and list(cifar100.FINE) == sorted(cifar100.FINE)
    assert len(cifar100.COARSE) == 20 == len(set(cifar100.COARSE)) and list(cifar100.COARSE) == sorted(cifar100.COARSE)
    assert cifar100.FINE[1] == "aquarium_fish" and cifar100.FINE[99] == "worm" and cifar100.COARSE[18] == "vehicles_1"


def test_what_is_recorded(tmp_path):
    contents = files(rows())
    path = write_tar(tmp_path / "cifar-100-binary.tar.gz", contents)
    source = opened(path, tmp_path / "cache")
    assert source.origin["official"] is False and source.origin["kind"] == "archive"
    assert source.origin["sha256"] == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert record_of(source)["name"] == "cifar100"
    folder = write_files(tmp_path / "in", contents)
    assert opened(folder, tmp_path / "cache").origin["official"] is None, "no hashes of these files are published"
    unpacked = write_files(tmp_path / "py", files(rows(), "python"))
    assert opened(unpacked, tmp_path / "cache").origin["official"] is False


def test_downloaded_and_found_again_by_its_labels(tmp_path, server, monkeypatch):
    data = write_tar(tmp_path / "cifar-100-binary.tar.gz", files(rows())).read_bytes()
    running = server({"cifar-100-binary.tar.gz": data})
    monkeypatch.setenv("POISONKIT_CIFAR100_URL", running.url)
    with pytest.raises(Failure, match="the download has sha256 .* it was removed"):
        open_source("cifar100", cache=tmp_path / "cache")
    md5 = hashlib.md5(data).hexdigest()
    official = archive.Archive("cifar-100-binary.tar.gz", cifar100.DOWNLOADED.url, len(data), md5)
    monkeypatch.setattr(cifar100, "DOWNLOADED", official)
    monkeypatch.setattr(cifar100, "ARCHIVES", (official,))
    fine = open_source("cifar100", cache=tmp_path / "cache")
    coarse = open_source("cifar100", cache=tmp_path / "cache", options={"labels": "coarse"})
    assert len(fine.classes) == 100 and len(coarse.classes) == 20 and fine.origin["official"] is True
    assert len(running.log) == 2, "both are decoded from one download"
    assert open_source("cifar100", cache=tmp_path / "cache").classes == fine.classes


def broken(parts, what):
    contents = files(parts)
    train = "cifar-100-binary/train.bin"
    if what == "cut":
        contents[train] = contents[train][:-1]
    elif what == "missing":
        del contents["cifar-100-binary/test.bin"]
    elif what == "label":
        contents[train] = b"\x05\xc8" + contents[train][2:]
    elif what == "coarse":
        contents[train] = b"\x14" + contents[train][1:]
    return contents


@pytest.mark.parametrize("what, words", [
    ("cut", "expected 30 rows of 3074 bytes"), ("missing", "test.* is missing"),
    ("label", "label 200 is out of range, expected 0 to 99"), ("coarse", "label 20 is out of range, expected 0 to 19"),
])  # fmt: skip
def test_damaged(tmp_path, what, words):
    contents = broken(rows(), what)
    for place in (write_tar(tmp_path / "x.tar.gz", contents), write_files(tmp_path / "in", contents)):
        with pytest.raises(Failure, match=words):
            opened(place, tmp_path / "cache")
    assert not list((tmp_path / "cache/entries").iterdir())


def test_damaged_pickles(tmp_path):
    contents = files(rows(), "python")
    for what, words in (
        ({b"data": np.zeros((30, 3072), "u1"), b"fine_labels": [0] * 29}, "fine_labels to be a list of 30"),
        ({b"data": np.zeros((30, 3071), "u1"), b"fine_labels": [0] * 30}, r"expected data to be \(30, 3072\)"),
        ([1], "expected a dictionary"),
    ):
        contents["cifar-100-python/train"] = pickle.dumps(what, protocol=2)
        with pytest.raises(Failure, match=words):
            opened(write_tar(tmp_path / "x.tar.gz", contents), tmp_path / "cache")


def test_no_such_thing(tmp_path):
    (tmp_path / "empty").mkdir()
    for path, words in ((tmp_path / "no", "does not exist"), (tmp_path / "empty", "is not a CIFAR-100 folder")):
        with pytest.raises(Failure, match=words):
            opened(path, tmp_path / "cache")
    twice = write_tar(
        tmp_path / "t.tar", {f"{k}/train.bin": files(rows())["cifar-100-binary/train.bin"] for k in "ab"}, "w"
    )
    with pytest.raises(Failure, match="train.bin occurs twice"):
        opened(twice, tmp_path / "cache")
    with pytest.raises(Usage, match="expected fine or coarse, got 'rough'"):
        opened(tmp_path, tmp_path / "cache", options={"labels": "rough"})
