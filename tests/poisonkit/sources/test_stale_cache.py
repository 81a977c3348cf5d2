"""Other content behind the same path, size and time of writing is seen, whatever kind of source it is."""

import json
import os
import shutil
import time
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from source_fixtures import (
    cifar_batches,
    cifar_files,
    gtsrb_images,
    gtsrb_kaggle,
    gtsrb_official,
    record_of,
    small_cifar,
    table,
    write_files,
    write_tar,
    write_zip,
)

from poisonkit.core import file_states
from poisonkit.sources._cache import cache
from poisonkit.sources.opening import open_source

__all__ = ["small_cifar"]
LONG_AGO = 946_684_800_000_000_000  # 2000-01-01: the time that reproducible archives have


def bmp(seed: int) -> bytes:
    """A picture whose file has the same size whatever it shows."""
    return cv2.imencode(".bmp", np.random.default_rng(seed).integers(0, 256, (6, 9, 3), np.uint8))[1].tobytes()


def write_npz(path: Path, seed: int) -> Path:
    path.mkdir(parents=True)
    shape = {"x_train": (6, 4, 4, 3), "x_test": (4, 4, 4, 3)}
    images = {name: np.random.default_rng(seed).integers(0, 256, size, np.uint8) for name, size in shape.items()}
    np.savez(path / "x.npz", **images, y_train=np.arange(6) % 2, y_test=np.arange(4) % 2)
    return path / "x.npz"


def write_folder(path: Path, seed: int) -> Path:
    names = [f"{part}/{label}/{k}.bmp" for part in ("train", "test") for label in "ab" for k in range(2)]
    return write_files(path, {name: bmp(100 * seed + k) for k, name in enumerate(names)})


def write_csv(path: Path, seed: int) -> Path:
    rows = [[f"text {seed} {k}", k % 2] for k in range(4)]
    return write_files(path, {f"{part}.csv": table(",", ["text", "label"], rows) for part in ("train", "test")})


def sst2_files(seed: int) -> dict[str, bytes]:
    rows = [[f"text {seed} {k} ", k % 2] for k in range(4)]
    return {f"SST-2/{name}.tsv": table("\t", ["sentence", "label"], rows) for name in ("train", "dev")}


def gtsrb(seed: int) -> tuple[dict, dict]:
    """Pictures of one size for all seeds."""
    train, test = gtsrb_images()
    random = np.random.default_rng(seed)
    train = {key: random.integers(0, 256, image.shape, np.uint8) for key, image in train.items()}
    return train, {key: (label, random.integers(0, 256, image.shape, np.uint8)) for key, (label, image) in test.items()}


def write_gtsrb_zips(path: Path, seed: int) -> Path:
    path.mkdir()
    for name, files in gtsrb_official(*gtsrb(seed)).items():
        write_zip(path / name, files)
    return path


KINDS = {
    "npz": ("npz", write_npz),
    "folder": ("folder", write_folder),
    "csv": ("csv", write_csv),
    "sst2": ("sst2", lambda path, seed: write_files(path, sst2_files(seed))),
    "sst2 zip": ("sst2", lambda path, seed: write_zip(write_files(path, {}) / "SST-2.zip", sst2_files(seed))),
    "cifar10": ("cifar10", lambda path, seed: write_files(path, cifar_files(cifar_batches(seed)))),
    "cifar10 tar": ("cifar10", lambda path, seed: write_tar(path / "c.tar", cifar_files(cifar_batches(seed)), "w")),
    "gtsrb": ("gtsrb", lambda path, seed: write_files(path, gtsrb_kaggle(*gtsrb(seed)))),
    "gtsrb zips": ("gtsrb", write_gtsrb_zips),
}


def written(kind: str, path: Path, seed: int) -> tuple[str, Path, list[Path]]:
    """A source of that kind at `path`, every file as long and as old as with any other seed: its name, what to give as
    `--source`, and its files."""
    name, write = KINDS[kind]
    if kind in ("sst2 zip", "cifar10 tar"):
        path.mkdir()
    found = write(path, seed)
    files = sorted(one for one in path.rglob("*") if one.is_file())
    longest = {one.suffix: max(other.stat().st_size for other in files) for one in files}
    for one in files:
        if kind in ("gtsrb", "gtsrb zips", "sst2 zip"):  # compressed: made as long as one another, in what is not read
            with open(one, "ab") as file:
                file.write(b"\0" * (longest[one.suffix] + 64 - one.stat().st_size) if one.suffix == ".png" else b"")
        os.utime(one, ns=(LONG_AGO, LONG_AGO))
    return name, found, files


def in_place(files: list[Path], others: list[Path]) -> None:
    """Written over, the time of writing put back: `touch -r`."""
    for one, other in zip(files, others, strict=True):
        one.write_bytes(other.read_bytes())
        os.utime(one, ns=(LONG_AGO, LONG_AGO))


def copied(files: list[Path], others: list[Path]) -> None:
    """`cp -p`, `rsync -t --inplace`, or an archive unpacked anew."""
    for one, other in zip(files, others, strict=True):
        shutil.copy2(other, one)


def moved(files: list[Path], others: list[Path]) -> None:
    """`mv`, or `rsync -t`."""
    for one, other in zip(files, others, strict=True):
        os.replace(other, one)


def alike(files: list[Path], others: list[Path]) -> bool:
    """Whether path by path size and time of writing are the same, so that they tell nothing."""
    facts = [[(one.stat().st_size, one.stat().st_mtime_ns) for one in found] for found in (files, others)]
    return facts[0] == facts[1]


@pytest.mark.parametrize("change", (in_place, copied, moved))
@pytest.mark.parametrize("kind", KINDS)
def test_other_content_of_the_same_size_and_time_is_seen(kind, change, tmp_path, small_cifar):
    name, path, files = written(kind, tmp_path / "in", 1)
    _, other, others = written(kind, tmp_path / "other", 2)
    if kind in ("npz", "folder", "csv", "sst2", "cifar10", "cifar10 tar", "gtsrb"):
        assert alike(files, others)
    store = tmp_path / "cache"
    expected = open_source(name, source=other, cache=tmp_path / "another cache")
    assert open_source(name, source=path, cache=store).digest != expected.digest
    before = [one.read_bytes() for one in files]
    change(files, others)
    assert [one.read_bytes() for one in files] != before
    again = open_source(name, source=path, cache=store)
    assert again.digest == expected.digest
    assert again.origin == expected.origin | {"path": again.origin["path"]}, "hashes and all"


@pytest.mark.parametrize("kind", ("folder", "gtsrb"))
def test_two_pictures_that_changed_places_are_seen(kind, tmp_path):
    name, path, files = written(kind, tmp_path / "in", 1)
    if kind == "folder":
        one, other = files[0], files[-1]
    else:
        one, other = (file for file in files if file.name in ("00000_00000_00000.png", "00001_00000_00000.png"))
    before = open_source(name, source=path, cache=tmp_path / "cache")
    assert one.stat().st_size == other.stat().st_size and one.stat().st_mtime_ns == other.stat().st_mtime_ns
    os.rename(one, tmp_path / "aside")
    os.rename(other, one)
    os.rename(tmp_path / "aside", other)
    after = open_source(name, source=path, cache=tmp_path / "cache")
    assert after.digest != before.digest
    assert after.digest == open_source(name, source=path, cache=tmp_path / "another cache").digest


@pytest.mark.parametrize("kind", KINDS)
def test_what_did_not_change_is_not_read_again(kind, tmp_path, small_cifar, monkeypatch):
    name, path, _ = written(kind, tmp_path / "in", 1)
    first = open_source(name, source=path, cache=tmp_path / "cache")
    monkeypatch.setattr(cache.Cache, "fill", lambda *_: pytest.fail("decoded again"))
    assert record_of(open_source(name, source=path, cache=tmp_path / "cache")) == record_of(first)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_or_a_change_of_rights_only_means_reading_anew(kind, tmp_path, small_cifar):
    """As after a restored backup or in another container: inodes and times of change are others, the content is not."""
    name, path, files = written(kind, tmp_path / "in", 1)
    first = open_source(name, source=path, cache=tmp_path / "cache")
    shutil.copytree(tmp_path / "in", tmp_path / "restored")
    shutil.rmtree(tmp_path / "in")
    os.rename(tmp_path / "restored", tmp_path / "in")
    files[0].chmod(0o600)
    lines = []
    again = open_source(name, source=path, cache=tmp_path / "cache", say=lines.append)
    assert record_of(again) == record_of(first) and again.origin == first.origin
    assert all(line.startswith("warning: ") for line in lines), "nothing but that the data are not the official ones"
    assert len(cache.Cache(tmp_path / "cache").entries()) == 1


def test_an_entry_of_an_older_version_is_not_believed(tmp_path):
    """Those knew size and time of writing alone."""
    _, path, (file,) = written("npz", tmp_path / "in", 1)
    store = cache.Cache(tmp_path / "cache")
    first = open_source("npz", source=path, cache=store.root)
    (record,) = store._records("npz")
    info = file.stat()
    old = record | {"fingerprint": {"file": [[os.fspath(file), info.st_size, info.st_mtime_ns]]}}
    store._origin_path("npz", record["fingerprint"]).unlink()
    store._origin_path("npz", old["fingerprint"]).write_text(json.dumps(old))
    written("npz", tmp_path / "other", 2)
    copied([file], [tmp_path / "other" / "x.npz"])
    assert open_source("npz", source=path, cache=store.root).digest != first.digest


def test_what_is_written_within_a_tick_of_the_clock_is_seen(tmp_path):
    """A file that was written just before it was read and again just after: not even the time of change may tell."""
    for seed in range(20):
        path = write_npz(tmp_path / f"{seed}", seed)
        open_source("npz", source=path, cache=tmp_path / "cache")
        other = write_npz(tmp_path / f"other {seed}", seed + 1).read_bytes()
        with open(path, "r+b") as file:
            file.write(other)
        found = open_source("npz", source=path, cache=tmp_path / "cache")
        with np.load(path) as arrays:
            assert np.array_equal(found.train.rows(range(6)), arrays["x_train"])


def test_a_file_is_read_after_the_tick_of_its_last_change(monkeypatch):
    slept = []
    monkeypatch.setattr(file_states.time, "sleep", slept.append)
    monkeypatch.setattr(file_states.time, "time_ns", lambda: 10_000_000_000_000_000_005)
    file_states.settle(10_000_000_000_000_000_005 - 15_000_000)
    file_states.settle(10_000_000_000_000_000_000)  # whole seconds: the clock may know no others
    file_states.settle(10_000_000_000_000_000_005 - 20_000_000)
    file_states.settle(10_000_000_000_000_000_005 - 3_000_000_000)
    file_states.settle(10_000_000_000_000_000_005 + 1)  # the clock was set back, or the file lies on another machine
    assert slept == pytest.approx([0.005, 2.0], abs=1e-6)


# ---- --fresh


@pytest.fixture
def lied(tmp_path, monkeypatch):
    """An .npz file that changed where no look at the file tells: its `--source`, a cache that believes it, and the
    images that it has now."""
    monkeypatch.setattr(file_states, "state", lambda info: [info.st_size])
    path = write_npz(tmp_path / "in", 1)
    open_source("npz", source=path, cache=tmp_path / "cache")
    shutil.copy(write_npz(tmp_path / "other", 2), path)
    return path, tmp_path / "cache", np.load(path)["x_train"]


def images(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["train/images"][()]


def test_make_fresh(poisonkit, tmp_path, lied):
    path, store, now = lied
    asked = ("make", "--dataset", "npz", "--source", path, "--cache", store, "--rate", "0")
    poisonkit(*asked, "-o", tmp_path / "a.h5").succeeded()
    assert not np.array_equal(images(tmp_path / "a.h5"), now), "the cache is believed: what follows shows something"
    poisonkit(*asked, "--fresh", "-o", tmp_path / "b.h5").succeeded()
    assert np.array_equal(images(tmp_path / "b.h5"), now)
    poisonkit(*asked, "-o", tmp_path / "c.h5").succeeded()
    assert np.array_equal(images(tmp_path / "c.h5"), now), "and the cache was put right"


def test_make_from_fresh(poisonkit, tmp_path, lied):
    path, store, now = lied
    copy = write_npz(tmp_path / "third", 2)
    asked = ("--dataset", "npz", "--trigger", "square", "--square-size", "2", "--rate", "0.5")
    poisonkit("make", *asked, "--source", copy, "--cache", tmp_path / "c2", "-o", tmp_path / "a.h5").succeeded()
    again = ("make", "--from", tmp_path / "a.h5", "--source", path, "--cache", store, "-o", tmp_path / "b.h5")
    poisonkit(*again).failed(1, "another source")
    poisonkit(*again, "--fresh").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_unpack_fresh(poisonkit, tmp_path, lied):
    path, store, now = lied
    copy = write_npz(tmp_path / "third", 2)
    asked = ("--dataset", "npz", "--trigger", "square", "--square-size", "2", "--rate", "0.5")
    poisonkit("make", *asked, "--source", copy, "--cache", tmp_path / "c2", "-o", tmp_path / "a.h5").succeeded()
    poisonkit("pack", tmp_path / "a.h5").succeeded()
    again = ("unpack", tmp_path / "a.delta.h5", "--base", path, "--cache", store, "-o", tmp_path / "b.h5")
    poisonkit(*again).failed(1, "another source")
    poisonkit(*again, "--fresh").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_grid_fresh(poisonkit, tmp_path, lied):
    path, store, now = lied
    (tmp_path / "g.toml").write_text(
        'dataset = "npz"\ntriggers = ["square"]\nimage = ["0.5"]\n[options.square]\nsize = 2'
    )
    asked = ("grid", tmp_path / "g.toml", "--source", path, "--cache", store, "--fresh", "-o", tmp_path / "out")
    poisonkit(*asked).succeeded()
    assert np.array_equal(images(tmp_path / "out" / "npz-clean.h5"), now)


def test_fresh_without_a_source_gets_it_again(tmp_path, monkeypatch):
    options = {"train": 60, "test": 20}
    first = open_source("signs", cache=tmp_path, options=options)
    filled = []
    fill = cache.Cache.fill
    monkeypatch.setattr(cache.Cache, "fill", lambda *given: filled.append(time.time()) or fill(*given))
    assert open_source("signs", cache=tmp_path, options=options, fresh=True).digest == first.digest
    assert len(filled) == 1


@pytest.mark.parametrize("command", ["make", "camouflage", "grid"])
def test_fresh_puts_right_a_cache_whose_bytes_were_changed(command, poisonkit, tmp_path):
    path, store = write_npz(tmp_path / "in", 1), tmp_path / "cache"
    of = ("--source", path, "--cache", store)
    (tmp_path / "g.toml").write_text(
        'dataset = "npz"\ntriggers = ["square"]\nimage = ["0.5"]\n[options.square]\nsize = 2'
    )
    asked = {
        "make": ("make", "--dataset", "npz", *of, "--rate", "0"),
        "camouflage": ("make", "--dataset", "npz", *of, "--camouflage", "noise=1", "--camouflage-seed", "1" * 18,
                       "--rate", "0"),
        "grid": ("grid", tmp_path / "g.toml", *of),
    }[command]  # fmt: skip
    poisonkit(*asked, "-o", tmp_path / "good").succeeded()
    (damaged,) = store.glob("entries/*/train_images")
    damaged.write_bytes(bytes(len(damaged.read_bytes())))
    poisonkit(*asked, "--fresh", "-o", tmp_path / "again").succeeded()
    for good in (tmp_path / "good").glob("*.h5"):
        assert (tmp_path / "again" / good.name).read_bytes() == good.read_bytes()
    damaged.write_bytes(bytes(len(damaged.read_bytes())))
    poisonkit(*asked, "-o", tmp_path / "third").failed(1, "train/images", "removed from the cache", "start again")
    poisonkit(*asked, "-o", tmp_path / "third").succeeded()
