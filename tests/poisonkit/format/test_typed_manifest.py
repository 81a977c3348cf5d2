"""The manifest as typed records: every value that its JSON has, whatever it has beside these, and nothing lost."""

import dataclasses

import damage
import pytest

from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE
from poisonkit.format import manifest, reader, records


def test_a_poisoned_file(library):
    path = library("source-specific")
    json = damage.manifest(path)
    with reader.reading(path) as data:
        found = data.manifest
    assert found.json == json and found.poisoned and not found.clean
    assert (found.name, found.kind, found.modality) == (json["name"], "poisoned", IMAGE)
    assert dataclasses.asdict(found.counts) == json["counts"]
    assert found.source.json == json["source"] and found.recipe.json == json["recipe"] and not found.pictures
    assert found.shape("train/images") == (200, 32, 32, 3) and found.rows("kept/rows") == 0
    assert {path: entry.json for path, entry in found.arrays.items()} == json["arrays"]
    assert found.as_draft.finished(found.arrays) != found  # a draft does not know how many rows did not change
    assert found.as_draft.with_unchanged(found.counts.unchanged).finished(found.arrays) == found


@pytest.mark.parametrize("name", ["wanet", "blend", "two", "text-word", "camouflaged", "clean", "all-to-all"])
def test_every_part_knows_its_json(library, name):
    json = damage.manifest(library(name))
    found = manifest.Manifest.of(json)
    parts = {"source": found.source.json, "recipe": found.recipe.json}
    parts["pictures"] = records.pictures_json(found.pictures)
    assert parts == {key: json[key] for key in parts} and found.respelled(found.recipe) == []
    assert found.sound_digest and found.identity["recipe"] == json["recipe"]


def test_a_clean_file(library):
    with reader.reading(library("clean")) as data:
        found = data.manifest
    assert found.clean and found.recipe == records.Recipe("0") and found.counts == records.Counts(200, 100)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "another"


def test_keys_of_a_later_version_stay_in_the_json(library, tmp_path):
    path = damage.copy(library("square-patch"), tmp_path)
    json = damage.manifest(path)
    json["recipe"] |= {"later": 1}
    json["source"] |= {"later": [2]}
    damage.write_manifest(path, damage.sealed(json | {"later": "three"}))
    with reader.reading(path) as data:
        found = data.manifest
    assert found.recipe.patch == tuple(json["recipe"]["patch"])
    assert found.sound_digest and found.respelled(found.recipe) == ["later"]
    assert (found.json["recipe"]["later"], found.json["source"]["later"], found.json["later"]) == (1, [2], "three")


def test_a_record_of_a_picture_is_kept_as_it_is():
    for json in ({"built_in": "frog"}, {"digest": "sha256:0", "shape": [3, 4, 3]}, {"digest": "x", "shape": 7}, {}):
        assert records.Picture.of(json).json == json
    assert records.Picture.of({"digest": "x", "later": 1}).json == {"digest": "x"}


def test_the_other_kinds(library, poisonkit, tmp_path):
    original = library("square")
    poisonkit("pack", original, "-o", tmp_path / "a.delta.h5").succeeded()
    poisonkit("seal", original, "-o", tmp_path / "sealed", "--key", tmp_path / "a.key.h5").succeeded()
    sealed = next((tmp_path / "sealed").glob("*.h5"))
    json = damage.manifest(sealed)
    with reader.reading(original) as data:
        whole = data.manifest
    with reader.reading(tmp_path / "a.delta.h5", manifest.DeltaManifest) as data:
        assert data.manifest.original == whole and data.manifest.file.size == original.stat().st_size
        assert "trigger/0/taps" in data and "trigger/0/mask" not in data
    with reader.reading(tmp_path / "a.key.h5", manifest.KeyManifest) as data:
        key = data.manifest
    with reader.reading(sealed, (manifest.SealedManifest, manifest.Manifest)) as data:
        found = data.manifest
        assert isinstance(found, manifest.SealedManifest) and found.json == json
        assert found.source.digest is None and found.counts.train == 200
        assert (key.commitment, key.challenge) == (found.commitment, found.dataset_digest)
    assert key.original == whole
    with (
        pytest.raises(Failure, match="kind is 'delta', expected 'key'"),
        reader.reading(tmp_path / "a.delta.h5", manifest.KeyManifest),
    ):
        pass
