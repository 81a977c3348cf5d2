"""Poisoned files of the real data sets, where they are at hand (see the fixture `realdata`)."""

import shutil
import subprocess
import sys

import damage
import h5py
import naive
import numpy as np
import pytest

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


@pytest.fixture(scope="module")
def sources(realdata, tmp_path_factory):
    """Data set → (the folder that it was unpacked to, a cache for it)."""
    folder = tmp_path_factory.mktemp("realdata")
    for name in ("cifar10", "gtsrb"):
        subprocess.run([sys.executable, realdata / "unpack.py", name, folder], check=True, capture_output=True)
    yield {"cifar10": folder / "cifar-10-batches-bin", "gtsrb": folder / "gtsrb"}
    shutil.rmtree(folder)


@pytest.fixture
def out(tmp_path):
    """A folder that is emptied at the end: these files are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("dataset", "train", "test", "classes", "rows"),
    [("cifar10", 50_000, 10_000, 10, (5, 25, 250)), ("gtsrb", 39_209, 12_630, 43, (3, 19, 196))],
)
def test_counts_rows_and_names(poisonkit, sources, out, dataset, train, test, classes, rows):
    """0.01 %, 0.05 % and 0.5 %, per patch, as in the paper: 5 rows of CIFAR-10, 3 of GTSRB; nested; all verify."""
    asked = ("--source", sources[dataset], "--trigger", "square", "--per-patch")
    rates = ("0.01%", "0.0005", "5e-3")
    asked += tuple(part for rate in rates for part in ("--rate", rate))
    result = poisonkit("make", "--dataset", dataset, *asked, "-o", out)
    assert result.code == 0 and all("official" in line or "published" in line for line in result.errors), result
    paths = [out / f"{dataset}-square-patch8-{rate}-s0.h5" for rate in ("0.0001", "0.0005", "0.005")]
    chosen = []
    for path, count in zip(paths, rows, strict=True):
        facts = damage.manifest(path)
        assert (facts["counts"]["train"], facts["counts"]["test"], facts["counts"]["poisoned"]) == (train, test, count)
        assert len(facts["source"]["classes"]) == classes
        with h5py.File(path) as f:
            chosen.append(f["truth/rows"][()].tolist())
            assert chosen[-1] == naive.chosen_rows(0, count, train)
            poisoned = f["train/images"][()][chosen[-1]]
            originals = f["truth/images"][()]
        expected = naive.per_patch(lambda tile: naive.square(tile, 0, 0, 4, 0), originals, 8, 8)
        assert np.array_equal(poisoned, expected)
    assert set(chosen[0]) < set(chosen[1]) < set(chosen[2])
    assert poisonkit("verify", *paths).succeeded()


@pytest.mark.parametrize("trigger", ["blend", "warped"])
@pytest.mark.parametrize("dataset", ["cifar10", "gtsrb"])
def test_every_trigger(poisonkit, sources, out, dataset, trigger):
    asked = ("--source", sources[dataset], "--trigger", trigger, "--rate", "0.001", "-o", out / "x.h5")
    assert poisonkit("make", "--dataset", dataset, *asked).code == 0
    assert poisonkit("verify", out / "x.h5").succeeded()
