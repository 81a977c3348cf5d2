"""The real data sets, where they are at hand (see the fixture `realdata`)."""

import importlib.util
import shutil
import time

import numpy as np
import pytest

from poisonkit.sources.opening import open_source

pytestmark = pytest.mark.realdata

GTSRB_COUNTS = ([210, 2220, 2250, 1410, 1980, 1860, 420, 1440], [60, 720, 750, 450, 660, 630, 150, 450])
CIFAR10 = "sha256:ac74ec39cbfdcd9db46c876b74fe725b00239f874bcb2d23c2db344a264aed22"
GTSRB = "sha256:3fac89435694f5d95809d75e96dda3332ced0811f9bf1608b52f27bb9fb33163"
SST2 = "sha256:646afc139d9d76416eaca136a8ab5f9690a1d011cb8d64389ae52ffd1bc9610d"
SAMPLE = "sha256:8568fa99a2f53675ac74b5b8795c1c8175924798dde7ed9f316e074d3462bf30"


@pytest.fixture(scope="module")
def unpack(realdata):
    """The module that unpacks the real data into the layouts that their sites publish."""
    path = realdata / "unpack.py"
    if not path.is_file():
        pytest.skip(f"no real data: {path} is missing")
    spec = importlib.util.spec_from_file_location("unpack_realdata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """A folder that is emptied at the end: these data are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_gtsrb_originals_load_and_are_the_same_on_every_opencv(realdata, folder):
    lines = []
    source = open_source("gtsrb", source=realdata / "gtsrb_original_sample", cache=folder, say=lines.append)
    assert (len(source.train), len(source.test)) == (430, 200)
    assert source.digest == SAMPLE
    assert source.origin["official"] is False and len(lines) == 1


@pytest.mark.slow
def test_cifar10_in_every_version(unpack, folder):
    unpack.unpack_cifar10(folder, python=False, tar=True)
    lines = []
    archive = open_source("cifar10", source=folder / "cifar-10-binary.tar.gz", cache=folder / "a", say=lines.append)
    assert archive.digest == CIFAR10 and archive.origin["official"] is False and len(lines) == 1
    unpack.unpack_cifar10(folder / "binary", python=False, tar=False)
    assert open_source("cifar10", source=folder / "binary", cache=folder / "b").digest == CIFAR10
    unpack.unpack_cifar10(folder / "python", python=True, tar=False)
    assert open_source("cifar10", source=folder / "python", cache=folder / "c").digest == CIFAR10
    assert np.bincount(archive.train.labels).tolist() == [5000] * 10
    assert np.bincount(archive.test.labels).tolist() == [1000] * 10
    start = time.perf_counter()
    open_source("cifar10", cache=folder / "a")
    assert time.perf_counter() - start < 0.05, "opening a cached source reads labels and an index"


@pytest.mark.slow
def test_gtsrb_in_full(unpack, folder):
    unpack.unpack_gtsrb(folder)
    source = open_source("gtsrb", source=folder / "gtsrb", cache=folder / "cache")
    assert source.digest == GTSRB and source.origin["official"] is None
    assert (len(source.train), len(source.test)) == (39_209, 12_630)
    for split, expected in zip((source.train, source.test), GTSRB_COUNTS, strict=True):
        assert np.bincount(split.labels)[:8].tolist() == expected


def test_sst2(realdata, folder):
    start = time.perf_counter()
    source = open_source("sst2", source=realdata / "sst2", cache=folder)
    assert time.perf_counter() - start < 20
    assert source.digest == SST2 and source.origin["official"] is None
    assert (len(source.train), len(source.test)) == (67_349, 872)
    assert np.bincount(source.train.labels).tolist() == [29_780, 37_569]
    assert np.bincount(source.test.labels).tolist() == [428, 444]
    assert source.train.rows([0]).tolist() == ["hide new secretions from the parental units"]
    words = [len(text.split()) for _, block in source.train.blocks() for text in block]
    assert (min(words), max(words)) == (1, 52)
