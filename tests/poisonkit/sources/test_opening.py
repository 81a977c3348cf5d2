"""The table of sources, and what opening one costs."""

import os
import subprocess
import sys

import pytest

from poisonkit.core.errors import Usage
from poisonkit.sources import opening as sources
from poisonkit.sources import registry

OWN_DATA = ("folder", "npz", "csv")
"""Sources whose classes and counts are the data's."""


def test_unknown_names_are_one_line():
    known = ", ".join(source.name for source in registry.SOURCES)
    with pytest.raises(Usage, match=f"unknown source 'mnist': expected one of {known}"):
        sources.open_source("mnist")


@pytest.mark.parametrize("name", ("cifar10", "gtsrb"))
def test_unknown_options_are_one_line(name, tmp_path):
    with pytest.raises(Usage, match=f"source {name} has no option 'size': it has none"):
        sources.open_source(name, cache=tmp_path, options={"size": 1})
    with pytest.raises(Usage, match="it has train, test, seed"):
        sources.open_source("signs", cache=tmp_path, options={"size": 1})


@pytest.mark.parametrize("source", list(registry.SOURCES), ids=lambda source: source.name)
def test_every_source_has_what_its_spec_promises(source):
    assert len(set(source.classes)) == len(source.classes)
    assert source.user_data == (source.name in OWN_DATA)
    if not source.user_data:
        assert f"{sum(source.counts):,}" in source.title
    assert (source.fetch is None) == (source.mirror is None) == (not source.archives)
    assert source.parsers.keys() <= source.options.keys()
    for archive in source.archives:
        assert archive.url.startswith("https://") and archive.url.endswith("/" + archive.name)
        assert len(archive.md5) == 32 and len(archive.sha256 or 64 * "0") == 64


def test_describe(tmp_path):
    found = {one["name"]: one for one in sources.describe(tmp_path)}
    assert list(found) == registry.SOURCES.names()
    assert (found["gtsrb"]["train"], found["gtsrb"]["test"], len(found["gtsrb"]["classes"])) == (39_209, 12_630, 43)
    assert (found["cifar10"]["train"], found["cifar10"]["test"], len(found["cifar10"]["classes"])) == (
        50_000,
        10_000,
        10,
    )
    assert found["cifar10"]["archives"][0]["md5"] == "c32a1d4ab5d03f1284b67883e8d87530"
    assert not any(one["cached"] for one in found.values()) and found["signs"]["official"] is None
    sources.open_source("signs", cache=tmp_path, options={"train": 10, "test": 10})
    assert {one["name"] for one in sources.describe(tmp_path) if one["cached"]} == {"signs"}
    assert not list((tmp_path / "partial").iterdir())


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + "\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_listing_names_imports_nothing_heavy():
    modules = imported(
        "from poisonkit.core.registry import Registry; print(Registry('x', object, 'poisonkit.sources.image').names())"
    )
    assert not modules & {"numpy", "cv2", "numba", "h5py", "tqdm", "urllib.request", "tarfile"}


def test_a_cached_source_is_opened_without_what_only_decoding_needs(tmp_path):
    code = (
        "from poisonkit.sources.opening import open_source; from pathlib import Path\n"
        f"open_source('signs', cache=Path({os.fspath(tmp_path)!r}), options={{'train': 10, 'test': 10}})"
    )
    imported(code)
    assert not imported(code) & {"cv2", "numba", "h5py", "tqdm", "urllib.request", "ssl", "tempfile"}
    assert "cv2" not in imported("from poisonkit.sources import opening; opening.describe()")
