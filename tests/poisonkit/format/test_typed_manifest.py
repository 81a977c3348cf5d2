"""The manifest as typed records: every value that its JSON has, whatever it has beside these, and nothing lost."""

import dataclasses

import damage
import pytest

from poisonkit.core.errors import Failure
from poisonkit.format import manifest, reader


def test_a_poisoned_file(library):
    with reader.reading(library("source-specific")) as data:
        found, facts = data.described, data.facts
    assert found.facts is facts and not found.clean
    assert (found.name, found.kind, found.modality) == (facts["name"], "poisoned", "image")
    assert dataclasses.asdict(found.counts) == facts["counts"]
    assert list(found.source.classes) == facts["source"]["classes"] and found.source.digest == facts["source"]["digest"]
    recipe = {key: value for key, value in dataclasses.asdict(found.recipe).items() if key in facts["recipe"]}
    recipe["triggers"] = [{"name": step.name} | step.parameters for step in found.recipe.triggers]
    recipe |= {key: list(recipe[key]) for key in ("streams", "source_classes")}
    assert recipe == facts["recipe"]
    assert found.shape("train/images") == (200, 32, 32, 3) and found.rows("kept/rows") == 0
    assert {path: entry.digest for path, entry in found.arrays.items()} == {
        path: entry["digest"] for path, entry in facts["arrays"].items()
    }


def test_a_clean_file(library):
    with reader.reading(library("clean")) as data:
        found = data.described
    assert found.clean and found.recipe == manifest.Recipe("0") and found.counts == manifest.Counts(200, 100)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "another"


def test_keys_of_a_later_version_stay_in_the_json(library, tmp_path):
    path = damage.copy(library("square-patch"), tmp_path)
    facts = damage.manifest(path)
    facts["recipe"] |= {"later": 1}
    facts["source"] |= {"later": [2]}
    damage.write_manifest(path, damage.sealed(facts | {"later": "three"}))
    with reader.reading(path) as data:
        found = data.described
    assert found.recipe.patch == tuple(facts["recipe"]["patch"])
    assert manifest.dataset_digest(found.facts) == found.dataset_digest
    assert (found.facts["recipe"]["later"], found.facts["source"]["later"], found.facts["later"]) == (1, [2], "three")


def test_the_other_kinds(library, poisonkit, tmp_path):
    original = library("square")
    poisonkit("pack", original, "-o", tmp_path / "a.delta.h5").succeeded()
    poisonkit("seal", original, "-o", tmp_path / "sealed", "--key", tmp_path / "a.key.h5").succeeded()
    sealed = next((tmp_path / "sealed").glob("*.h5"))
    with reader.reading(original) as data:
        facts = data.facts
    with reader.reading(tmp_path / "a.delta.h5", ("delta",)) as data:
        assert data.delta.original == manifest.Manifest.of(facts)
        assert data.delta.file.size == original.stat().st_size
        with pytest.raises(Failure, match="is a delta file"):
            data.described  # noqa: B018
    with reader.reading(tmp_path / "a.key.h5", ("key",)) as data:
        key = data.key
    with reader.reading(sealed, ("sealed",)) as data:
        assert data.sealed.source.digest is None and data.sealed.counts.train == 200
        assert (key.commitment, key.challenge) == (data.sealed.commitment, data.sealed.dataset_digest)
    assert key.original.facts == facts
