"""`verify` names whatever differs, even where somebody made every digest fit again."""

import json

import damage
import h5py
import numpy as np
import pytest
from running import RECIPES


@pytest.fixture
def differs(poisonkit):
    """Assert that `verify` ends with 3 and that each of its lines that is asked for is there."""

    def check(path, *words):
        result = poisonkit("verify", path)
        assert result.code == 3 and not result.err, result
        assert result.lines[0] == f"{path}: DIFFERS" and all(line.startswith("  ") for line in result.lines[1:])
        for word in words:
            assert any(word in line for line in result.lines[1:]), (word, result)
        return result

    return check


@pytest.mark.parametrize("name", RECIPES)
def test_every_file_verifies(poisonkit, library, name):
    path = library(name)
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]


@pytest.mark.parametrize("name", ["two", "clean", pytest.param("blend", marks=pytest.mark.slow)])
def test_every_array_by_its_name(library, differs, tmp_path, name):
    """One byte of each array changed."""
    path = damage.copy(library(name), tmp_path)
    for array in damage.manifest(path)["arrays"]:
        with h5py.File(path, "r+") as f:
            before = f[array][()]
            for at in {0, before.size - 1} if name == "blend" else {before.size // 2}:
                changed = before.copy()
                changed.view("u1").reshape(-1)[at * before.itemsize] ^= 1
                f[array][...] = changed
                f.flush()
                result = differs(path, f"{array}: digest is sha256:")
                assert len(result.lines) == 2
            f[array][...] = before


@pytest.mark.parametrize("name", ["two", "clean"])
def test_a_manifest_that_was_edited(library, differs, tmp_path, name):
    path = damage.copy(library(name), tmp_path)
    damage.write_manifest(path, damage.manifest(path) | {"notice": "Harmless."})
    differs(path, "manifest: its own digest")


def test_a_source_digest_that_does_not_fit(library, differs, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["source"]["digest"] = "sha256:" + "0" * 64
    damage.write_manifest(path, damage.sealed(facts))
    differs(path, "manifest: the source's digest")


# ---- every digest made to fit again


@pytest.fixture
def resealed(library, tmp_path):
    """A copy of a file with some array elements changed and every digest made to fit."""

    def make(name, changes: dict, **manifest):
        path = damage.copy(library(name), tmp_path)
        for array, values in changes.items():
            damage.set_rows(path, array, values)
        damage.reseal(path, **manifest)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("clean", {"train/images": {0: 1}}, ["train/images: is not the source's"]),
        ("clean", {"test/labels": {0: 9}}, ["test/labels: is not the source's"]),
        ("two", {"test/images": {5: 77}}, ["test/images: is not the source's"]),
        ("two", {"test/labels": {0: 4}}, ["test/labels: is not the source's"]),
        ("two", {"train/labels": {i: 9 for i in range(200)}}, ["train/labels: 20 changed rows", "they are not the"]),
        ("two", {"truth/labels": {0: 9}}, ["train/labels: with truth's labels put back"]),
        ("two", {"truth/role": {0: 2}}, ["counts: poisoned is 19", "counts: cover is 1"]),
        ("two", {"truth/role": {0: 7}}, ["truth/role"]),
        ("two", {"truth/images": {99: 1, 98: 2, 97: 3}}, ["train/images: with truth's images put back"]),
        ("two", {"triggered/images": {i: 9 for i in range(50)}}, ["triggered/images: 1 rows"]),
        ("two", {"triggered/labels": {0: 0}}, ["triggered/labels: are not the true labels"]),
        ("two", {"triggered/wanted": {3: 1}}, ["triggered/wanted: is not the target"]),
        ("two", {"trigger/0/mask": {0: 0, 1: 1}}, ["trigger/0/mask: is not where"]),
        ("two", {"trigger/1/bias": {i: 99 << 15 for i in range(9)}}, ["train/images: 20 changed rows are not truth"]),
        ("two", {"trigger/0/weights": {4 * 495: 1}}, ["train/images: ", "triggered/images: ", "trigger/0/weights: "]),
        ("two", {"trigger/0/flow": {0: 1}}, ["trigger/0/flow: is not what the recipe makes"]),
        ("all-to-all", {"triggered/wanted": {3: 3}}, ["triggered/wanted: is not the next class everywhere"]),
        ("all-to-all", {"train/labels": {0: 5, 1: 5, 2: 5}}, ["train/labels: with truth's labels put back"]),
        ("source-specific", {"others/images": {i: 9 for i in range(50)}}, ["others/images: 1 rows are not their test"]),
        ("source-specific", {"others/labels": {0: 3}}, ["others/labels: are not the true labels of their test rows"]),
        ("source-specific", {"others/labels": {0: 10}}, ["others/labels: has labels outside 0 … 9"]),
        ("source-specific", {"others/rows": {0: -1}}, ["others/rows: rows must ascend"]),
        ("source-specific", {"others/rows": {0: 0}}, ["others/rows: are not all test rows that source-specific puts"]),
        ("source-specific", {"triggered/rows": {0: 0}}, ["triggered/rows: are not all test rows that source-specific"]),
        ("source-specific", {"truth/role": {0: 3}}, ["truth/role: is not 1 or 2 everywhere"]),
        (
            "clean-label",
            {"truth/labels": {0: 3}},
            ["train/labels: with truth's labels put back", "counts: already_tar"],
        ),
        ("two", {"train/labels": {0: -1}}, ["train/labels: has labels outside 0 … 9"]),
        ("two", {"train/labels": {0: 10}}, ["train/labels: has labels outside 0 … 9"]),
        ("two", {"truth/rows": {0: -1}}, ["truth/rows: rows must ascend"]),
        ("two", {"truth/rows": {0: 10**12}}, ["truth/rows: rows must ascend"]),
        ("two", {"truth/rows": {19: 200}}, ["truth/rows: rows must ascend and lie in 0 … 199"]),
        ("two", {"triggered/rows": {0: -(2**63)}}, ["triggered/rows: rows must ascend"]),
        ("two", {"triggered/rows": {1: 2**63 - 1}}, ["triggered/rows: rows must ascend"]),
    ],
    ids=str,
)
def test_what_arrays_say_of_one_another(resealed, differs, name, changes, words):
    differs(resealed(name, changes), *words)


def changed_row(path, role):
    """The first changed row of that role: its number among the changed rows, and in `train/`."""
    with h5py.File(path) as f:
        at = int(np.flatnonzero(f["truth/role"][()] == role)[0])
        return at, int(f["truth/rows"][at])


def test_a_poisoned_row_that_is_called_a_cover(library, differs, tmp_path):
    path = damage.copy(library("source-specific"), tmp_path)
    (first, _), (second, _) = changed_row(path, 1), changed_row(path, 2)
    damage.set_rows(path, "truth/role", {first: 2, second: 1})
    damage.reseal(path)
    differs(path, "truth/role: is not what the seed and the rates make", "train/labels: 2 changed rows have a label")


def test_a_cover_row_with_another_label(library, differs, tmp_path):
    path = damage.copy(library("source-specific"), tmp_path)
    damage.set_rows(path, "train/labels", {changed_row(path, 2)[1]: 1})
    damage.reseal(path)
    differs(path, "train/labels: 1 changed rows have a label that truth denies")


@pytest.mark.parametrize("name", ["wanet", "wanet-patch"])
def test_a_byte_of_a_jittered_cover_row(poisonkit, library, differs, tmp_path, name):
    """No stencil makes these rows: they are made anew from the recipe, by their number."""
    path = damage.copy(library(name), tmp_path)
    _, row = changed_row(path, 2)
    with h5py.File(path, "r+") as f:
        f["train/images"][row, 9, 9, 0] ^= 1
    damage.reseal(path)
    differs(path, "train/images: 1 changed rows are not truth/images with the trigger on them")
    # of another recipe version, nobody here knows how they were made
    damage.reseal(path, recipe_version=99, name="anything")
    assert poisonkit("verify", path).code == 4


def test_cover_rows_without_their_noise(library, differs, tmp_path):
    """The plain warp on a cover row, where the recipe says that it has noise."""
    path = damage.copy(library("wanet"), tmp_path)
    facts = damage.manifest(path)
    del facts["recipe"]["cover_jitter"]
    damage.reseal(path, recipe=facts["recipe"])
    differs(path, "train/images: 40 changed rows are not truth/images", "one spelling: streams")


def test_other_rows_than_the_seeds(library, differs, tmp_path):
    """The rows are those of the seed: a hand-picked choice under a seed's name is a lie."""
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path, "r+") as f:
        rows = f["truth/rows"][()]
        free = next(row for row in range(200) if row not in rows)
        old = int(rows[0])
        f["train/images"][free, :4, :4] = 0
        f["train/images"][old] = f["truth/images"][0]
        label = int(f["train/labels"][free])
        f["train/labels"][old] = f["truth/labels"][0]
    # put back through the clean file, so that every other check holds
    with h5py.File(library("clean")) as clean, h5py.File(path, "r+") as f:
        rows = np.sort(np.append(rows[1:], free))
        f["truth/rows"][...] = rows
        f["truth/images"][...] = clean["train/images"][()][rows]
        f["truth/labels"][...] = clean["train/labels"][()][rows]
        f["train/labels"][free] = 0
        already = int((clean["train/labels"][()][rows] == 0).sum())
    assert label >= 0
    facts = damage.manifest(path)
    facts["counts"]["already_target"] = already
    damage.reseal(path, counts=facts["counts"])
    differs(path, "truth/rows: are not those of the seed and the rate")


@pytest.mark.parametrize(
    "count", ["train", "test", "triggered", "eligible", "poisoned", "cover", "already_target", "unchanged"]
)
def test_a_count_that_is_wrong(library, differs, tmp_path, count):
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["counts"][count] += 1
    damage.reseal(path, counts=facts["counts"])
    differs(path, f"counts: {count} is")


@pytest.mark.parametrize("count", ["triggered", "others", "eligible", "poisoned", "cover", "already_target"])
def test_a_count_of_a_source_specific_file_that_is_wrong(library, differs, tmp_path, count):
    path = damage.copy(library("source-specific"), tmp_path)
    facts = damage.manifest(path)
    facts["counts"][count] += 1
    damage.reseal(path, counts=facts["counts"])
    differs(path, f"counts: {count} is")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("square", "rate", "0.2"),
        ("square", "target", 5),
        ("square", "seed", 1),
        ("square", "select", "non-target"),
        ("square", "cover_rate", "0.1"),
        ("source-specific", "source_classes", [3]),
        ("source-specific", "source_classes", [3, 5, 7]),
        ("source-specific", "cover_rate", "0.05"),
        ("source-specific", "cover_rate", "0.9"),
        ("wanet", "cover_rate", "0.1"),
        ("source-specific", "cover_jitter", True),
    ],
    ids=str,
)
def test_a_recipe_that_is_not_what_was_done(library, differs, tmp_path, name, key, value):
    path = damage.copy(library(name), tmp_path)
    facts = damage.manifest(path)
    facts["recipe"][key] = value
    damage.reseal(path, recipe=facts["recipe"])
    differs(path)


def test_taps_outside_the_image(poisonkit, library, resealed, tmp_path):
    """Nothing is read outside an image, whatever the taps say and however well they are sealed."""
    for tap in (-1, 3072, 2**31 - 1):
        path = resealed("warped", {"trigger/0/taps": {0: tap}})
        poisonkit("verify", path).failed(1, "taps must lie in 0 … 3071")
        poisonkit("preview", library("clean"), "-o", tmp_path / "p.png", "--force").succeeded()
        poisonkit("apply", path, tmp_path / "p.png", "-o", tmp_path / "a.png").failed(1, "taps must lie in")
        assert not (tmp_path / "a.png").exists()


# ---- the sidecar


def with_sidecar(library, tmp_path, change):
    path = damage.copy(library("square"), tmp_path)
    sidecar = tmp_path / "changed.manifest.json"
    said = json.loads(library("square").with_name("square.manifest.json").read_text("utf-8"))
    said = change(said)
    sidecar.write_text(said if isinstance(said, str) else json.dumps(said), "utf-8")
    return path


def test_a_sidecar_that_fits(poisonkit, library, tmp_path):
    path = with_sidecar(library, tmp_path, lambda said: said)
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]


def test_no_sidecar_is_no_fault(poisonkit, library, tmp_path):
    assert poisonkit("verify", damage.copy(library("square"), tmp_path)).succeeded()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said | {"manifest": said["manifest"] | {"name": "x"}}, "its manifest is not the file's"),
        (
            lambda said: said | {"manifest": said["manifest"] | {"format_version": True}},
            "its manifest is not the file's",
        ),
        (
            lambda said: said | {"manifest": said["manifest"] | {"format_version": 1.0}},
            "its manifest is not the file's",
        ),
        (lambda said: said | {"file": said["file"] | {"size": float(said["file"]["size"])}}, "says the file has"),
        (lambda said: said | {"file": said["file"] | {"size": 1}}, "says the file has 1 bytes"),
        (lambda said: said | {"file": said["file"] | {"sha256": "sha256:0"}}, "its SHA-256 is not the file's"),
        (lambda said: said | {"file": None}, "is not a sidecar"),
        (lambda said: {}, "is not a sidecar"),
        (lambda said: [], "is not a sidecar"),
        (lambda said: "", "is not a sidecar"),
        (lambda said: "{", "is not a sidecar"),
        (lambda said: "[" * 100_000, "is not a sidecar"),
        (lambda said: "9" * 5000, "is not a sidecar"),
    ],
)
def test_a_sidecar_that_does_not_fit(library, differs, tmp_path, change, words):
    differs(with_sidecar(library, tmp_path, change), "changed.manifest.json: ", words)


def test_a_sidecar_that_cannot_be_read(library, differs, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    (tmp_path / "changed.manifest.json").mkdir()
    differs(path, "is not a sidecar")
    (tmp_path / "changed.manifest.json").rmdir()
    (tmp_path / "changed.manifest.json").write_bytes(b"\xff\xff")
    differs(path, "is not a sidecar")


def test_several_files_each_with_its_line(poisonkit, library, tmp_path):
    bad = damage.copy(library("square"), tmp_path)
    damage.set_rows(bad, "train/labels", {0: 3})
    result = poisonkit("verify", library("clean"), bad, tmp_path / "none.h5", library("two"))
    assert result.code == 3
    assert result.lines[0] == f"{library('clean')}: OK" and result.lines[1] == f"{bad}: DIFFERS"
    assert result.lines[-1] == f"{library('two')}: OK"
    assert result.errors == [f"poisonkit: {tmp_path / 'none.h5'}: no such file"]
    assert poisonkit("verify", library("clean"), tmp_path / "none.h5").failed(1)
    assert poisonkit("verify", tmp_path / "none.h5", library("clean")).failed(1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "square", "size": 99}, "does not fit"),
        ({"name": "square", "size": "4"}, "one spelling: triggers"),
        ({"name": "square", "size": 4, "value": [7, 7, 7], "position": "upper-left"}, "one spelling: triggers"),
        ({"name": "square", "size": 3, "value": [0], "position": "upper-left"}, "trigger/0/weights: is not what"),
        ({"name": "square", "size": 4, "value": [1], "position": "upper-left"}, "trigger/0/bias: is not what"),
        ({"name": "warped"}, "trigger/0/flow: is not what"),
        ({"name": "blend"}, "trigger/0/pattern: is not what"),
    ],
    ids=str,
)
def test_a_trigger_that_is_not_what_the_recipe_says(library, differs, tmp_path, change, words):
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["recipe"]["triggers"] = [change]
    damage.reseal(path, recipe=facts["recipe"])
    differs(path, words)


def test_arrays_of_a_trigger_that_the_recipe_does_not_make(library, differs, tmp_path):
    """Else a stencil for test rows would be believed instead of the recipe: here triggered images are clean ones."""
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path, "r+") as f:
        taps = np.arange(f["trigger/0/bias"].size, dtype="<i4").reshape(*f["trigger/0/bias"].shape, 1)
        f["trigger/0/test_taps"], f["trigger/0/test_weights"] = taps, np.full_like(taps, 1 << 15)
        f["trigger/0/test_bias"] = np.zeros_like(f["trigger/0/bias"][()])
        f["triggered/images"][...] = f["test/images"][()][f["triggered/rows"][()]]
    facts = damage.manifest(path)
    names = [f"trigger/0/test_{name}" for name in ("taps", "weights", "bias")]
    damage.reseal(path, arrays=facts["arrays"] | dict.fromkeys(names))
    differs(path, *(f"{name}: is nothing that the recipe makes" for name in names))


def test_another_name(library, differs, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    damage.reseal(path, name="signs-harmless")
    differs(path, "manifest: name is 'signs-harmless', its recipe gives 'signs-square-0.1-s0-")


def test_a_file_of_another_recipe_version_is_judged_by_its_arrays_alone(poisonkit, library, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    damage.reseal(path, recipe_version=99, name="anything")
    assert poisonkit("verify", path).code == 4


def test_a_file_with_a_users_picture(poisonkit, library, differs, tmp_path):
    poisonkit("preview", library("clean"), "-o", tmp_path / "picture.png").succeeded()
    asked = ("--trigger", "blend", "--blend-image", tmp_path / "picture.png", "--rate", "0.1", "--blend-alpha", "0.3")
    poisonkit("make", *poisonkit.small, *asked, "--per-patch", "-o", tmp_path / "x.h5").succeeded()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()
    damage.set_rows(tmp_path / "x.h5", "trigger/0/pattern", {0: 1})
    damage.reseal(tmp_path / "x.h5")
    differs(tmp_path / "x.h5", "trigger/0/bias: is not what the recipe makes")
