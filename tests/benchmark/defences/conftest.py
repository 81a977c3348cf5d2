"""A poisoned run and its clean twin, trained once for all tests of defences; each test works on copies of its own."""

import shutil

import in_process
import pytest
import writer

HELD_OUT = ("--hold-out", "30", "--learning-rate", "0.05")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder with the files, `data`, and the runs, `runs`: pmoe on 120 images of 4 classes, 30 of them held out."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    clean, poisoned = writer.toy(folder / "data")
    for file in (clean, poisoned):
        in_process.train(file, "--runs", folder / "runs", "-q", *HELD_OUT)
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    """A copy of the runs: their folder."""
    return shutil.copytree(trained / "runs", tmp_path / "runs")


@pytest.fixture
def run(runs):
    """The poisoned one."""
    return next(folder for folder in runs.iterdir() if "clean" not in folder.name)


@pytest.fixture
def twin(runs):
    """The clean one."""
    return next(folder for folder in runs.iterdir() if "clean" in folder.name)
