"""Sealed files and keys that were altered, both of them together if need be: noticed by whatever takes a key."""

import shutil

import damage
import numpy as np
import pytest

from poisonkit.blind import unseal
from poisonkit.format import reader
from poisonkit.format.manifest import KeyManifest, SealedManifest


@pytest.fixture(params=["square", "text-word"])
def pair(request, poisonkit, library, tmp_path):
    """A sealed file and its key, beside it; each command on them."""
    challenge, key = tmp_path / "c.h5", tmp_path / "c.key.h5"
    poisonkit("seal", library(request.param), "-o", challenge, "--secret-seed", "3", "--key", key).succeeded()
    (tmp_path / "s.csv").write_text("row\n1\n")
    (tmp_path / "scores.csv").write_text("".join(f"{row},{row % 7}\n" for row in range(200)))
    return challenge, key


def commands(pair, folder):
    challenge, key = pair
    yield "grade", challenge, "--submission", folder / "s.csv", "--key", key
    yield "audit", challenge, "--key", key
    yield "unseal", challenge, "-o", folder / "x.h5", "--key", key


def all_refuse(poisonkit, pair, folder, *words):
    for command in commands(pair, folder):
        poisonkit(*command).failed(1, *words)
    assert not (folder / "x.h5").exists()


def reseal(pair, change=lambda facts: facts, own=lambda facts: facts):
    """Change what both files say, each with its digest right again, and tie the key to the changed file."""
    challenge, key = pair
    facts = damage.sealed(change(damage.manifest(challenge)))
    damage.write_manifest(challenge, facts)
    said = own(damage.manifest(key)) | {"challenge": facts["dataset_digest"]}
    damage.write_manifest(key, damage.sealed(said))


def test_as_they_were(pair, poisonkit, tmp_path):
    for command in commands(pair, tmp_path):
        assert poisonkit(*command).code in (0, 3)


def test_a_label_of_the_sealed_file(pair, poisonkit, tmp_path):
    damage.set_rows(pair[0], "train/labels", {0: 1, 1: 0, 2: 1, 3: 0})
    all_refuse(poisonkit, pair, tmp_path, "was altered after it was sealed: train/labels")


def test_a_label_of_the_sealed_file_with_its_digests(pair, poisonkit, tmp_path):
    damage.set_rows(pair[0], "test/labels", {0: 1, 1: 0, 2: 1, 3: 0})
    damage.reseal(pair[0])
    reseal(pair)
    all_refuse(poisonkit, pair, tmp_path, "committed to")


def test_a_label_of_the_key(pair, poisonkit, tmp_path):
    damage.set_rows(pair[1], "truth/labels", {0: 1, 1: 0, 2: 1, 3: 0})
    all_refuse(poisonkit, pair, tmp_path, "truth/labels")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("source", "classes", 0), "another"),
        (("source", "title"), "another"),
        (("source", "licence"), "public domain"),
        (("source", "name"), "other"),
        (("name",), "challenge-00000000"),
        (("counts", "train"), 199),
    ],
)
def test_what_both_say(pair, poisonkit, tmp_path, place, value):
    name = {"name": value} if place == ("name",) else {}
    reseal(pair, lambda facts: damage.changed(facts, place, value), lambda facts: facts | name)
    all_refuse(poisonkit, pair, tmp_path, "was altered after it was sealed")


def test_the_keys_name(pair, poisonkit, tmp_path):
    reseal(pair, own=lambda facts: facts | {"name": "challenge-00000000"})
    all_refuse(poisonkit, pair, tmp_path, "its key's name")


def test_an_array_of_the_key_with_its_digest(pair, poisonkit, tmp_path):
    """What grading does not look at, and what its own table calls right: the original's says otherwise."""
    rows = "texts" if "text" in damage.manifest(pair[0])["modality"] else "images"
    name = f"truth/{rows}"
    shutil.copy(pair[1], tmp_path / "before.h5")
    if rows == "images":
        damage.set_rows(pair[1], name, {0: 77, 1: 78, 2: 79})
    else:
        with reader.reading(pair[1], KeyManifest) as key:
            texts = key[name]
        texts[0] = "another text"
        damage.replace(pair[1], name, texts)
    damage.reseal(pair[1])
    all_refuse(poisonkit, pair, tmp_path, name, "not that of the original")
    with reader.reading(tmp_path / "before.h5", KeyManifest) as key:
        assert isinstance(unseal.check(SealedManifest.of(damage.manifest(pair[0])), key).rows, np.ndarray)
