"""The same recipe gives the same bytes, whatever is around it."""

import os
import time

import h5py
import pytest
from running import RECIPES

ASKED = ("--trigger", "warped", "--trigger", "square", "--rate", "0.3", "--per-patch")


def test_one_or_many_threads_another_folder_umask_locale_clock_and_hash_seed(poisonkit, tmp_path):
    poisonkit.spawn("make", *poisonkit.small, *ASKED, "--threads", "1", "-o", tmp_path / "a.h5").succeeded()
    first = (tmp_path / "a.h5").read_bytes()
    time.sleep(1.1)  # HDF5's clock ticks in seconds
    elsewhere = tmp_path / "other folder"
    elsewhere.mkdir()
    environment = os.environ | {
        "LC_ALL": "C",
        "TZ": "Pacific/Chatham",
        "PYTHONHASHSEED": "1",
        "HOME": str(elsewhere),
        "OMP_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
    }
    options = {"cwd": elsewhere, "env": environment, "preexec_fn": lambda: os.umask(0o077)}
    poisonkit.spawn("make", *poisonkit.small, *ASKED, "--threads", "7", "-o", "b.h5", **options).succeeded()
    assert (elsewhere / "b.h5").read_bytes() == first
    assert oct((elsewhere / "b.h5").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("threads", ["1", "2", "3", "16"])
@pytest.mark.parametrize("name", ["blend", "warped-patch"])
def test_threads(poisonkit, library, tmp_path, name, threads):
    path = tmp_path / "x.h5"
    poisonkit("make", *poisonkit.small, *RECIPES[name], "--threads", threads, "-o", path).succeeded()
    assert path.read_bytes() == library(name).read_bytes()


def test_larger_than_a_block(poisonkit, tmp_path):
    """More rows than are read, written and triggered at once (2,048 and 1,024), with one and with many threads."""
    asked = ("--dataset", "signs", "--source-option", "train=2500", "--source-option", "test=1100")
    for threads in ("1", "4"):
        poisonkit("make", *asked, *ASKED, "--rate", "0.9", "--threads", threads, "-o", tmp_path / threads).succeeded()
        assert poisonkit("verify", *sorted((tmp_path / threads).glob("*.h5"))).succeeded()
    for one in (tmp_path / "1").glob("*.h5"):
        assert one.read_bytes() == (tmp_path / "4" / one.name).read_bytes()
    assert len(list((tmp_path / "1").glob("*.h5"))) == 2


def test_a_cold_and_a_warm_cache(poisonkit, library, tmp_path, monkeypatch):
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path / "cache"))
    for name in ("cold.h5", "warm.h5"):
        poisonkit("make", *poisonkit.small, *RECIPES["two"], "-o", tmp_path / name).succeeded()
        assert (tmp_path / name).read_bytes() == library("two").read_bytes()


def test_the_clean_rows_are_the_same_in_every_file(library):
    """What a recipe does not touch it does not touch: test arrays of all files are equal, to the byte."""
    with h5py.File(library("clean")) as f:
        images, labels = f["test/images"][()].tobytes(), f["test/labels"][()].tobytes()
    for name in (name for name in RECIPES if "camouflaged" not in name):
        with h5py.File(library(name)) as f:
            assert f["test/images"][()].tobytes() == images and f["test/labels"][()].tobytes() == labels
