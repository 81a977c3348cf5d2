"""`export --format npz`: what NumPy reads, to the byte the file's own arrays; and back again."""

import json
import zipfile

import damage
import h5py
import numpy as np
import pytest

from poisonkit.exporters.formats import npz

NAMES = npz.VICTIM | npz.TRUTH


def exported(poisonkit, path, tmp_path, *options):
    poisonkit("export", path, "--format", "npz", "-o", tmp_path / "x.npz", *options).succeeded()
    return tmp_path / "x.npz"


@pytest.mark.parametrize("name", ["clean", "two", "blend-patch"])
def test_every_array_is_the_files_own(poisonkit, library, tmp_path, name):
    with (
        np.load(exported(poisonkit, library(name), tmp_path), allow_pickle=False) as found,
        h5py.File(library(name)) as f,
    ):
        there = {key: path for key, path in NAMES.items() if path in f}
        assert set(found) == {*there, "classes", "manifest.json"}
        for key, path in there.items():
            assert np.array_equal(found[key], f[path][()]) and found[key].dtype == f[path].dtype, key
        assert json.loads(found["manifest.json"]) == json.loads(f.attrs["manifest"])
        assert found["classes"].tolist() == json.loads(f.attrs["manifest"])["source"]["classes"]


def test_it_is_an_uncompressed_zip_without_clocks_or_objects(poisonkit, library, tmp_path):
    with zipfile.ZipFile(exported(poisonkit, library("two"), tmp_path)) as file:
        assert file.testzip() is None
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED and info.date_time == npz.EPOCH
            assert b"|O" not in file.read(info)[:200]


def test_without_truth_there_is_what_a_victim_gets(poisonkit, library, tmp_path):
    path = exported(poisonkit, library("two"), tmp_path, "--no-truth")
    with np.load(path) as found:
        assert set(found) == {*npz.VICTIM, "classes"}


@pytest.mark.parametrize("classes", [["same"] * 10, [""] + list("bcdefghij"), ["a\u200b"] + list("bcdefghij")])
def test_class_names_that_are_not_fit_to_be_read_again_are_left_out(poisonkit, library, tmp_path, classes):
    path = damage.copy(library("two"), tmp_path)
    damage.reseal(path, source=damage.manifest(path)["source"] | {"classes": classes})
    made = exported(poisonkit, path, tmp_path)
    with np.load(made) as found:
        assert "classes" not in found and json.loads(found["manifest.json"])["source"]["classes"] == classes
    done = poisonkit("make", "--dataset", "npz", "--source", made, "--rate", "0", "-o", tmp_path / "again.h5")
    assert done.code == 0 and "is an export of the poisoned data set" in done.err


@pytest.mark.slow
def test_a_large_set_takes_little_memory(tmp_path, poisonkit):
    """800 MB of 224 × 224 pictures through a process that may have 700 MB besides what its libraries take."""
    rng = np.random.default_rng(0)
    block = rng.integers(0, 256, (100, 224, 224, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "big.npz", "w") as file:
        for part, count in (("train", 5300), ("test", 100)):
            with file.open(f"x_{part}.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, 224, 224, 3)}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(count // 100):
                    member.write(block.tobytes())
            with file.open(f"y_{part}.npy", "w") as member:
                np.lib.format.write_array(member, np.arange(count) % 10)
    asked = ("--dataset", "npz", "--source", tmp_path / "big.npz", "--cache", tmp_path / "cache")
    poisonkit.spawn("make", *asked, "--trigger", "square", "--rate", "0.01", "-o", tmp_path / "big.h5").succeeded()
    (tmp_path / "big.npz").unlink()
    for name in ("npz", "imagefolder"):
        result = poisonkit.spawn("export", tmp_path / "big.h5", "--format", name, "--no-truth", preexec_fn=_limit)
        result.succeeded()


def _limit():
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (700 << 20, 700 << 20))
