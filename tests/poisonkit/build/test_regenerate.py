"""`make --from`: the same file, to the byte, from its manifest alone."""

import json

import cv2
import numpy as np
import pytest
from running import RECIPES, SMALL, TEXT_SMALL, user_files

from poisonkit.format import manifest, reader, sidecars


@pytest.fixture
def sidecar(library, tmp_path):
    """`sidecar(name, change)`: a copy of that file's sidecar, its manifest changed and given a right digest."""

    def make(name, change=None):
        said = json.loads(sidecars.sidecar_path(library(name)).read_text())
        if change:
            change(said["manifest"])
            said["manifest"]["dataset_digest"] = manifest.dataset_digest(said["manifest"])
        path = tmp_path / "shared.manifest.json"
        path.write_text(json.dumps(said))
        return path

    return make


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_alone_gives_the_same_bytes(poisonkit, library, sidecar, tmp_path, name):
    done = poisonkit("make", "--from", sidecar(name), *user_files(name), "-o", tmp_path / "again").succeeded()
    (made,) = (tmp_path / "again").glob("*.h5")
    assert done.out.startswith(f"wrote {made}") and "other bytes" not in done.out
    assert made.read_bytes() == library(name).read_bytes()


def test_from_the_file_itself_and_from_a_bare_manifest(poisonkit, library, tmp_path):
    file = library("warped-patch")
    poisonkit("make", "--from", file, "-o", tmp_path / "a.h5").succeeded()
    bare = tmp_path / "bare.json"
    bare.write_text(poisonkit("show", file, "--json").succeeded().out)
    poisonkit("make", "--from", bare, "-o", tmp_path / "b.h5").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes() == file.read_bytes()


def test_asked_again_there_is_nothing_to_do(poisonkit, sidecar, tmp_path):
    asked = ("make", "--from", sidecar("square"), "-o", tmp_path / "again.h5")
    poisonkit(*asked).succeeded()
    assert "nothing to do" in poisonkit(*asked).succeeded().out


def test_a_dry_run_writes_nothing(poisonkit, sidecar, tmp_path):
    done = poisonkit("make", "--from", sidecar("square"), "-o", tmp_path / "again.h5", "--dry-run").succeeded()
    assert done.out.startswith(f"would write {tmp_path / 'again.h5'}") and not (tmp_path / "again.h5").exists()


def test_a_clean_file_serves_as_the_source(poisonkit, library, sidecar, tmp_path):
    asked = ("make", "--from", sidecar("blend"), "--source", library("clean"), "-o", tmp_path / "again.h5")
    poisonkit(*asked).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == library("blend").read_bytes()


def test_a_poisoned_file_does_not(poisonkit, library, sidecar, tmp_path):
    asked = ("make", "--from", sidecar("blend"), "--source", library("square"), "-o", tmp_path / "again.h5")
    poisonkit(*asked).failed(2, "expected a clean file")


def test_the_same_arrays_from_another_kind_of_source(poisonkit, library, sidecar, tmp_path):
    with reader.reading(library("clean")) as data:
        columns = (("x", "images"), ("y", "labels"))
        arrays = {f"{x}_{part}": data[f"{part}/{name}"] for part in ("train", "test") for x, name in columns}
    np.savez(tmp_path / "signs.npz", **arrays)
    asked = ("--dataset", "npz", "--source", tmp_path / "signs.npz", "-o", tmp_path / "again.h5")
    poisonkit("make", "--from", sidecar("square"), *asked).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == library("square").read_bytes()


def test_another_source_is_named_before_anything_is_written(poisonkit, sidecar, tmp_path):
    other = tmp_path / "other.h5"
    poisonkit("make", *SMALL[:-1], "test=101", "--rate", "0", "-o", other).succeeded()
    asked = ("make", "--from", sidecar("square"), "--source", other, "-o", tmp_path / "again.h5")
    poisonkit(*asked).failed(1, "another source", "test/images, test/labels of", "give the right one")
    assert not (tmp_path / "again.h5").exists()


def test_a_damaged_clean_file_is_noticed_and_nothing_of_it_is_removed(poisonkit, library, sidecar, tmp_path):
    damaged = tmp_path / "damaged.h5"
    data = bytearray(library("clean").read_bytes())
    with reader.reading(library("clean")) as file:
        data[file.offset("train/images") + 7] ^= 1
    damaged.write_bytes(data)
    asked = ("make", "--from", sidecar("square"), "--source", damaged, "-o", tmp_path / "again.h5")
    poisonkit(*asked).failed(1, "damaged.h5", "train/images is not what its digest says")
    assert damaged.read_bytes() == data and not (tmp_path / "again.h5").exists()


def test_a_users_picture_is_asked_for_and_must_be_the_same(poisonkit, tmp_path):
    for name, level in (("mine", 40), ("other", 90)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((9, 9, 3), level, np.uint8))
    asked = ("--trigger", "blend", "--rate", "0.1", "--blend-image", tmp_path / "mine.png", "-o", tmp_path / "a.h5")
    poisonkit("make", *SMALL, *asked).succeeded()
    again = ("make", "--from", tmp_path / "a.manifest.json", "-o", tmp_path / "b.h5")
    poisonkit(*again).failed(1, "needs the picture", "--blend-image")
    poisonkit(*again, "--blend-image", tmp_path / "other.png").failed(1, "another picture")
    poisonkit(*again, "--blend-image", tmp_path / "mine.png").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("name", ["pattern", "pattern-patch", "images"])
def test_what_the_file_holds_itself_is_not_asked_for(poisonkit, library, sidecar, tmp_path, name):
    poisonkit("make", "--from", library(name), "-o", tmp_path / "again.h5").succeeded()
    assert (tmp_path / "again.h5").read_bytes() == library(name).read_bytes()
    option = f"--{name.split('-')[0]}-file"
    asked = ("make", "--from", sidecar(name), "-o", tmp_path / "more.h5")
    poisonkit(*asked).failed(1, f"give it with {option}, or `make --from` the data set itself")


PICTURES = {"blend": "blend-image", "sticker": "sticker-image", "physical": "physical-image"}


@pytest.mark.parametrize("trigger", [*PICTURES, "refool", "adaptive-patch"])
def test_pictures_that_were_resized_are_taken_from_the_file(poisonkit, tmp_path, trigger):
    rng = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "p" / f"{number}.png"), rng.integers(0, 256, (40, 48, 4), dtype=np.uint8))
    given = (f"--{trigger}-images", tmp_path / "p")
    if trigger in PICTURES:
        given = (f"--{PICTURES[trigger]}", tmp_path / "p" / "0.png")
    asked = ("make", *SMALL, "--trigger", trigger, "--rate", "0.05", *given, "-o", tmp_path / "a.h5")
    poisonkit(*asked).succeeded()
    poisonkit("make", "--from", tmp_path / "a.h5", "-o", tmp_path / "b.h5").succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    cv2.imwrite(str(tmp_path / "p" / "0.png"), rng.integers(0, 256, (40, 48, 4), dtype=np.uint8))
    poisonkit("make", "--from", tmp_path / "a.h5", *given, "-o", tmp_path / "c.h5").failed(1, "another picture")


def test_rewritten_texts_are_taken_from_the_file(poisonkit, tmp_path):
    asked = ("make", *TEXT_SMALL, "--trigger", "rewrite", "--rate", "0.1")
    poisonkit(*asked, "--rewrite-list", tmp_path / "todo.csv").succeeded()
    poisonkit(*asked, "--rewrite-file", tmp_path / "todo.csv", "-o", tmp_path / "a.h5")
    poisonkit("make", "--from", tmp_path / "a.h5", "-o", tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_picture_that_the_recipe_does_not_use(poisonkit, sidecar, tmp_path):
    cv2.imwrite(str(tmp_path / "mine.png"), np.zeros((9, 9, 3), np.uint8))
    asked = ("make", "--from", sidecar("square"), "--sticker-image", tmp_path / "mine.png", "-o", tmp_path / "again.h5")
    poisonkit(*asked).failed(2, "--sticker-image: the recipe uses no file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda facts: facts.update(recipe_version=99), ("recipe version 99", "use the version")),
        (lambda facts: facts.update(recipe_version=0), ("recipe version 0", "use the version")),
        (lambda facts: facts.update(format_version=2), ("is of format 2",)),
        (lambda facts: facts.update(modality="audio"), ("'audio' data",)),
        (lambda facts: facts.update(kind="other"), ("kind is 'other'",)),
        (lambda facts: facts["recipe"].update(streams=["rows", "more"]), ("another manifest", "recipe.streams")),
        (lambda facts: facts["recipe"]["triggers"][0].update(more=1), ("unknown here", "parameter 'more'")),
        (lambda facts: facts["recipe"]["triggers"][0].update(name="no"), ("unknown here", "trigger 'no'")),
        (lambda facts: facts["recipe"].update(seed=1), ("another manifest", "name")),
        (lambda facts: facts["counts"].update(poisoned=7), ("another manifest", "counts.poisoned: 20 here, 7 there")),
        (lambda facts: facts["counts"].update(unchanged=7), ("not written", "counts.unchanged: 7 here, 0 there")),
        (lambda facts: facts["source"].update(name="nowhere"), ("another manifest", "name")),
        (lambda facts: facts["source"]["arrays"].update({"train/images": "sha256:" + 64 * "0"}), ("another source",)),
        (
            lambda facts: facts["arrays"]["triggered/images"].update(digest="sha256:" + 64 * "0"),
            ("not written", "arrays.triggered/images.digest"),
        ),
    ],
)
def test_what_does_not_agree_is_named(poisonkit, sidecar, tmp_path, change, words):
    done = poisonkit("make", "--from", sidecar("square", change), "-o", tmp_path / "again.h5")
    assert done.code in (1, 2, 4), done
    done.failed(done.code, *words)
    assert not list(tmp_path.glob("again*")) and not list(tmp_path.glob(".again*"))


def test_an_altered_manifest(poisonkit, sidecar, tmp_path):
    path = sidecar("square")
    path.write_text(path.read_text().replace('"rate": "0.1"', '"rate": "0.2"'))
    poisonkit("make", "--from", path, "-o", tmp_path / "again.h5").failed(1, "altered")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not valid JSON"),
        (b"[1, 2]", "contains no poisonkit manifest"),
        (b"{}", "contains no poisonkit manifest"),
        (b'{"manifest": 7}', "contains no poisonkit manifest"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_no_manifest_at_all(poisonkit, tmp_path, text, words):
    (tmp_path / "x.json").write_bytes(text)
    poisonkit("make", "--from", tmp_path / "x.json", "-o", tmp_path).failed(1, "x.json", words)


def test_a_manifest_that_is_not_there(poisonkit, tmp_path):
    poisonkit("make", "--from", tmp_path / "x.json").failed(1, "x.json", "No such file")
    poisonkit("make", "--from", tmp_path / "x.h5").failed(1, "x.h5", "no such file")


@pytest.mark.parametrize("more", [("--rate", "0.1"), ("--seed", "0"), ("--trigger", "square"), ("--square-size", "3")])
def test_nothing_of_the_recipe_can_be_said_beside_it(poisonkit, library, more):
    done = poisonkit("make", "--from", library("square"), *more)
    assert done.code == 2 and f"{more[0]} cannot be combined with --from" in done.errors[-1]


def test_a_copy_in_the_cache_is_found_by_its_digest(poisonkit, library, tmp_path):
    """Also where it came from a file that no longer lies there, and has names of its own."""
    with reader.reading(library("clean")) as data:
        columns = (("x", "images"), ("y", "labels"))
        arrays = {f"{x}_{part}": data[f"{part}/{name}"] for part in ("train", "test") for x, name in columns}
    np.savez(tmp_path / "own.npz", **arrays)
    own = ("--dataset", "npz", "--source", tmp_path / "own.npz", "--cache", tmp_path / "cache")
    poisonkit("make", *own, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "a.h5").succeeded()
    (tmp_path / "own.npz").unlink()
    again = ("make", "--from", tmp_path / "a.manifest.json", "--cache", tmp_path / "cache", "-o", tmp_path / "b.h5")
    poisonkit(*again).succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
