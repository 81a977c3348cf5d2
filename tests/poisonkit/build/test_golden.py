"""Files of every trigger, to the byte, on every machine: their digests are in tests/golden/files.json.

`python tests/golden/regenerate.py` writes them anew, for a change that is meant to change bytes.
"""

import hashlib
import json

import damage
import pytest
from running import RECIPES, TEXT_RECIPES


@pytest.fixture(scope="module")
def golden(root):
    return json.loads((root / "tests" / "golden" / "files.json").read_text())


@pytest.mark.parametrize("name", RECIPES)
def test_arrays_and_manifest(golden, library, name):
    """The source's arrays first: where they differ, it is `signs` that draws otherwise, not the trigger."""
    facts = damage.manifest(library(name))
    clean = "camouflaged-clean" if "camouflage" in facts["source"]["options"] else "clean"
    assert {part: facts["source"]["arrays"][part] for part in ("train/images", "test/images")} == {
        part: golden[clean]["arrays"][part] for part in ("train/images", "test/images")
    }
    assert {array: entry["digest"] for array, entry in facts["arrays"].items()} == golden[name]["arrays"]
    assert facts["dataset_digest"] == golden[name]["dataset_digest"]


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_texts(golden, library, name):
    facts = damage.manifest(library(name))
    assert {array: entry["digest"] for array, entry in facts["arrays"].items()} == golden[name]["arrays"]
    assert facts["dataset_digest"] == golden[name]["dataset_digest"]


@pytest.mark.parametrize("name", [*RECIPES, *TEXT_RECIPES])
def test_the_container_too(golden, library, name):
    """The .h5 file itself, with every HDF5 library that this was tried with (h5py 3.11 to 3.16)."""
    assert hashlib.sha256(library(name).read_bytes()).hexdigest() == golden[name]["sha256"]


def test_there_is_one_of_each_recipe(golden):
    assert golden.keys() == RECIPES.keys() | TEXT_RECIPES.keys()
    assert len({entry["dataset_digest"] for entry in golden.values()}) == len(golden)
