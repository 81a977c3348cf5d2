"""What the tests of both programs share: poisonkit as a command, and a library of small files that it made."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from running import RECIPES, SMALL, TEXT_RECIPES, TEXT_SMALL, Result, command, run, spawn

# The same examples in every run, and no clock: a test fails because of a change, not of the day or the load.
# Fresh ones each time: HYPOTHESIS_PROFILE=random (`make test-all`).
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started in the background: the processes of tests would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """A folder for decoded sources that all tests share."""
    return tmp_path_factory.mktemp("cache") / "poisonkit"


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, root, cache, tmp_path_factory):
    """No test reads or writes the user's own cache or keys; subprocesses import this checkout."""
    monkeypatch.setenv("POISONKIT_CACHE", os.fspath(cache))
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path_factory.getbasetemp() / "data"))
    paths = [os.fspath(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture(scope="session")
def library(tmp_path_factory, cache):
    """Name in `RECIPES` or `TEXT_RECIPES` → path of that file, made when first asked for. Never change these: copy."""
    folder, made = tmp_path_factory.mktemp("library"), {}

    def path(name: str) -> Path:
        if name not in made:
            target = folder / f"{name}.h5"
            asked = (*SMALL, *RECIPES[name]) if name in RECIPES else (*TEXT_SMALL, *TEXT_RECIPES[name])
            run("make", *asked, "--cache", cache, "-o", target).succeeded()
            made[name] = target
        return made[name]

    return path


@pytest.fixture
def poisonkit():
    """`poisonkit(…)`: the command in this process; `.spawn(…)`: in one of its own; `.command(…)`: its command line."""

    def call(*arguments) -> Result:
        return run(*arguments)

    call.spawn, call.command, call.small = spawn, command, SMALL
    return call


@pytest.fixture(scope="session")
def realdata(root) -> Path:
    """The folder of the real data sets; skips where there is none."""
    folder = Path(os.environ.get("POISONKIT_REALDATA") or root.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set POISONKIT_REALDATA)")
    return folder
