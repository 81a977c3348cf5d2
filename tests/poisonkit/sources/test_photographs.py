"""Tiny ImageNet and Imagenette, in made-up archives and folders of the published layout, whole and damaged."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from source_fixtures import server, write_files, write_tar, write_zip

from poisonkit.core.errors import Failure, Usage
from poisonkit.sources._fetch import archive
from poisonkit.sources.image import imagenette, tiny_imagenet
from poisonkit.sources.opening import open_source

__all__ = ["server"]
RNG = np.random.default_rng(0)
WORDS = b"n00000001\tgoldfish, Carassius auratus\nn00000002\tcrane\nn00000003\tcrane\nn00000009\tnever\n"


def picture(height=64, width=64, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8).squeeze()


def jpeg(image):
    return cv2.imencode(".jpg", image)[1].tobytes()


def decoded(data, side=None):
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if side in (None, *([image.shape[0]] if image.shape[0] == image.shape[1] else [])):
        return image
    large = min(image.shape[:2]) >= side
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if large else cv2.INTER_LINEAR)


def tiny(each=3, tested=4, grey=True):
    """Path → contents, of three classes; one picture is grey, as some of the published ones are."""
    files = {"wnids.txt": b"n00000002\nn00000001\nn00000003\n", "words.txt": WORDS, "test/images/test_0.JPEG": b"?"}
    for number in (2, 1, 3):
        name = f"n0000000{number}"
        files[f"train/{name}/{name}_boxes.txt"] = b"x\t0\t0\t1\t1\n"
        for k in range(each):
            files[f"train/{name}/images/{name}_{k}.JPEG"] = jpeg(picture(channels=1 if grey and k == 1 else 3))
    lines = []
    for k in range(tested):
        files[f"val/images/val_{k}.JPEG"] = jpeg(picture())
        lines.append(f"val_{k}.JPEG\tn0000000{1 + k % 3}\t0\t0\t62\t62\n")
    files["val/val_annotations.txt"] = "".join(lines).encode()
    return {f"tiny-imagenet-200/{name}": data for name, data in files.items()}


def opened(name, path, cache, **more):
    return open_source(name, source=path, cache=cache, **more)


def test_tiny_imagenet_in_each_layout(tmp_path):
    files = tiny()
    places = [
        write_zip(tmp_path / "z" / "tiny-imagenet-200.zip", files) if (tmp_path / "z").mkdir() is None else None,
        tmp_path / "z",
        write_files(tmp_path / "in", files),
        tmp_path / "in/tiny-imagenet-200",
    ]
    for place in places:
        source = opened("tiny-imagenet", place, tmp_path / "cache")
        assert source.classes == ("goldfish", "n00000002", "n00000003"), "two are called crane"
        assert source.train.shape == (9, 64, 64, 3) and source.test.shape == (4, 64, 64, 3)
        assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and source.test.labels.tolist() == [
            0,
            0,
            1,
            2,
        ]
        names = sorted(name for name in files if "/train/" in name and name.endswith("JPEG"))
        assert np.array_equal(source.train.rows(range(9)), [decoded(files[name]) for name in names])
        tests = [decoded(files[f"tiny-imagenet-200/val/images/val_{k}.JPEG"]) for k in (0, 3, 1, 2)]
        assert np.array_equal(source.test.rows(range(4)), tests)
        assert source.origin["official"] is False and "3 classes" in source.origin["difference"]
        assert source.options == {}


def test_tiny_imagenet_resized(tmp_path):
    files = tiny()
    source = opened("tiny-imagenet", write_files(tmp_path / "in", files), tmp_path / "cache", options={"size": 32})
    assert source.options == {"size": 32} and source.train.shape[1:] == (32, 32, 3)
    assert np.array_equal(source.test.rows([0])[0], decoded(files["tiny-imagenet-200/val/images/val_0.JPEG"], 32))


TABLE = "tiny-imagenet-200/val/val_annotations.txt"


def test_no_two_classes_of_tiny_imagenet_are_called_alike():
    """A made-up word that is another class's WordNet number, which stands in where a class has no word of its own."""
    table = "n1\tcat, n2\nn2\tcat\nn3\tn2, dog\n"
    assert tiny_imagenet._names(table, ["n1", "n2", "n3"], "words.txt") == ("n1", "n2", "dog")


@pytest.mark.parametrize("change, words", [
    ({TABLE: None}, "has no val/val_annotations.txt"),
    ({TABLE: b""}, "is empty|has no class in it"),
    ({TABLE: b"val_0.JPEG\tn00000001\n"}, "val_1.JPEG has no class in it"),
    ({TABLE: b"val_0.JPEG\n"}, "line 1: expected a picture's name and its class"),
    ({TABLE: b"val_0.JPEG\tn00000009\n"}, "line 1: the class n00000009 has no training pictures"),
    ({TABLE: b"val_9.JPEG\tn00000001\n"}, "line 1: val_9.JPEG is not in val/images"),
    ({TABLE: b"val_0.JPEG\tn00000001\nval_0.JPEG\tn00000001\n"}, "line 2: val_0.JPEG stands in it twice"),
    ({TABLE: b"\xff"}, "is not UTF-8"),
    ({"tiny-imagenet-200/words.txt": None}, "has no .*words.txt"),
    ({"tiny-imagenet-200/words.txt": b"n00000001\tx\n"}, "has no name for the class n00000002"),
    ({"tiny-imagenet-200/val/images/val_2.JPEG": b"\xff\xd8\xff"}, "val_2.JPEG: truncated or damaged JPEG"),
    ({"tiny-imagenet-200/train/n00000001/images/n00000001_0.JPEG": b""}, "n00000001_0.JPEG: not a PNG"),
])  # fmt: skip
def test_damaged_tiny_imagenet(tmp_path, change, words):
    files = {name: data for name, data in (tiny() | change).items() if data is not None}
    for place in (write_zip(tmp_path / "x.zip", files), write_files(tmp_path / "in", files)):
        with pytest.raises(Failure, match=words):
            opened("tiny-imagenet", place, tmp_path / "cache")
    assert not list((tmp_path / "cache/entries").iterdir())


def test_no_tiny_imagenet(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    for path, words in ((tmp_path / "no", "does not exist"), (tmp_path / "x.zip", "damaged")):
        with pytest.raises(Failure, match=words):
            opened("tiny-imagenet", path, tmp_path / "cache")
    with pytest.raises(Usage, match="expected a number of pixels from 1 to 1024, got '64x64'"):
        opened("tiny-imagenet", tmp_path, tmp_path / "cache", options={"size": "64x64"})


def nette(edition="imagenette2-160", each=2):
    """Path → contents, of three of the ten classes, in no order; pictures of several shapes."""
    files = {f"{edition}/noisy_imagenette.csv": b"path\n"}
    for folder, count in (("val", 1), ("train", each)):
        for number in ("n03888257", "n01440764", "n03028079"):
            for k in reversed(range(count)):
                files[f"{edition}/{folder}/{number}/{number}_{k}.JPEG"] = jpeg(picture(40 + 3 * k, 31))
    return files


def test_imagenette_in_each_layout(tmp_path):
    files = nette()
    (tmp_path / "t").mkdir()
    places = [
        write_tar(tmp_path / "t/imagenette2-160.tgz", files),
        tmp_path / "t",
        write_files(tmp_path / "in", files),
        tmp_path / "in/imagenette2-160",
        write_tar(tmp_path / "any.tar", files, "w"),
    ]
    for place in places:
        source = opened("imagenette", place, tmp_path / "cache", options={"size": 24})
        assert source.classes == tuple(imagenette.CLASSES.values()) and source.options == {"size": 24}
        assert source.train.labels.tolist() == [0, 0, 4, 4, 9, 9] and source.test.labels.tolist() == [0, 4, 9]
        for part, split in (("train", source.train), ("val", source.test)):
            names = sorted(name for name in files if f"/{part}/" in name)
            assert np.array_equal(split.rows(range(len(split))), [decoded(files[name], 24) for name in names])
    assert opened("imagenette", tmp_path / "in", tmp_path / "cache").train.shape == (6, 160, 160, 3)


def test_imagenette_by_any_number_of_threads_and_blocks(tmp_path, monkeypatch):
    from poisonkit.sources.image import _photographs

    path = write_tar(tmp_path / "x.tgz", nette(each=5))
    one = opened("imagenette", path, tmp_path / "1", options={"size": 24}, jobs=1)
    monkeypatch.setattr(_photographs, "BLOCK", 1)
    monkeypatch.setattr(_photographs, "FEWEST", 2)
    assert opened("imagenette", path, tmp_path / "2", options={"size": 24}, jobs=4).digest == one.digest


def test_folders_and_zips_of_more_pictures_than_a_block_holds(tmp_path, monkeypatch):
    from poisonkit.sources.image import _photographs

    files = tiny(each=5)
    whole = opened("tiny-imagenet", write_zip(tmp_path / "tiny-imagenet-200.zip", files), tmp_path / "1")
    monkeypatch.setattr(_photographs, "BLOCK", 1)
    monkeypatch.setattr(_photographs, "FEWEST", 2)
    for number, place in enumerate((tmp_path / "tiny-imagenet-200.zip", write_files(tmp_path / "folder", files))):
        assert opened("tiny-imagenet", place, tmp_path / f"cache{number}").digest == whole.digest


def test_downloads(tmp_path, server, monkeypatch):
    archives = {
        "tiny-imagenet": (tiny_imagenet, write_zip(tmp_path / "tiny-imagenet-200.zip", tiny()), "TINY_IMAGENET"),
        "imagenette": (imagenette, write_tar(tmp_path / "imagenette2-160.tgz", nette()), "IMAGENETTE"),
    }
    for name, (module, path, variable) in archives.items():
        data = path.read_bytes()
        running = server({path.name: data})
        monkeypatch.setenv(f"POISONKIT_{variable}_URL", running.url)
        with pytest.raises(Failure, match="the download has md5 .* it was removed"):
            open_source(name, cache=tmp_path / "cache")
        known = archive.Archive(path.name, "http://x/", len(data), hashlib.md5(data).hexdigest())
        monkeypatch.setattr(module, "ARCHIVES", (known,))
        if name == "imagenette":
            monkeypatch.setattr(module, "DOWNLOADED", known)
        source = open_source(name, cache=tmp_path / "cache")
        assert source.origin["sha256"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert source.origin["official"] is False, "the counts are others"
        smaller = open_source(name, cache=tmp_path / "cache", options={"size": 16})
        assert smaller.train.shape[1] == 16 and len(running.log) == 2
        assert open_source(name, cache=tmp_path / "cache").digest == source.digest, "of that size again"


EDITION = "imagenette2-160"


@pytest.mark.parametrize("change, words", [
    ({f"{EDITION}/train/n09999999/x.JPEG": b"x"}, "the class n09999999 is none of Imagenette's"),
    ({"imagenette2-320/train/n01440764/x.JPEG": b"x"}, "holds several copies"),
    ({f"{EDITION}/val/n01440764/n01440764_0.JPEG": b"\xff\xd8\xff\xe0"}, "n01440764_0.JPEG: truncated"),
    ({f"{EDITION}/val/{n}/{n}_0.JPEG": None for n in ("n03888257", "n01440764", "n03028079")}, "no pictures in val"),
])  # fmt: skip
def test_damaged_imagenette(tmp_path, change, words):
    files = {name: data for name, data in (nette() | change).items() if data is not None}
    for place in (write_tar(tmp_path / "x.tgz", files), write_files(tmp_path / "in", files)):
        with pytest.raises(Failure, match=words):
            opened("imagenette", place, tmp_path / "cache", options={"size": 8})
    assert not list((tmp_path / "cache/entries").iterdir())


def test_a_cut_archive_and_other_folders(tmp_path):
    path = write_tar(tmp_path / "x.tgz", nette())
    path.write_bytes(path.read_bytes()[:-40])
    (tmp_path / "empty").mkdir()
    for place, words in ((path, "truncated, damaged"), (tmp_path / "empty", "is not a folder of Imagenette")):
        with pytest.raises(Failure, match=words):
            opened("imagenette", place, tmp_path / "cache")
    for name in ("imagenette2-160.tgz", "imagenette2.tgz"):
        write_tar(tmp_path / "empty" / name, nette())
    with pytest.raises(Failure, match="imagenette2-160.tgz and imagenette2.tgz: name one"):
        opened("imagenette", tmp_path / "empty", tmp_path / "cache")


def test_made_and_verified_from_the_command_line(poisonkit, tmp_path):
    words = ("make", "--dataset", "Tiny_ImageNet", "--source", write_files(tmp_path / "in", tiny()), "--cache",
             tmp_path / "cache", "-o", tmp_path, "--trigger", "badnets", "--rate", "30%",
             "--target", "Goldfish")  # fmt: skip
    (made,) = json.loads(poisonkit(*words, "--json").out)
    assert made["manifest"]["source"]["name"] == "tiny-imagenet" and made["manifest"]["recipe"]["target"] == 0
    assert poisonkit("verify", made["path"]).code == 0


@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenette"])
def test_whatever_is_damaged_is_one_line(tmp_path, name):
    """Cut anywhere, or with any byte changed: it is read, or refused in one line, and nothing is left in the cache."""
    random, cache = np.random.default_rng(3), tmp_path / "cache"
    if name == "tiny-imagenet":
        whole = write_zip(tmp_path / "x.zip", tiny(each=1, tested=3)).read_bytes()
    else:
        whole = write_tar(tmp_path / "x.tgz", nette(each=1)).read_bytes()
    path, refused = tmp_path / "damaged", 0
    for number in range(24):
        data = bytearray(whole)
        if number % 2:
            del data[int(random.integers(len(data))) :]
        else:
            data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            opened(name, path, cache, options={"size": 8})
        except Failure as error:
            assert len(str(error).splitlines()) == 1 and str(path) in str(error)
            refused += 1
    assert refused >= 12 and not list((cache / "partial").iterdir())
