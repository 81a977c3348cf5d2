"""`pack` and `unpack`: the same file, to the byte, from kilobytes and the clean data."""

import shutil

import damage
import h5py
import numpy as np
import pytest
from running import RECIPES, SMALL

from poisonkit.core import files, hashing
from poisonkit.core.stencil import ONE
from poisonkit.format import reader
from poisonkit.format.manifest import DeltaManifest, FileRecord, Manifest

POISONED = [name for name in RECIPES if name.split("-")[-1] != "clean"]


@pytest.fixture
def packed(poisonkit, library, tmp_path):
    """`packed(name)`: the delta of that file, in the test's own folder."""

    def pack(name="square"):
        target = tmp_path / "shared.delta.h5"
        poisonkit("pack", library(name), "-o", target).succeeded()
        return target

    return pack


@pytest.mark.parametrize("name", POISONED)
def test_the_same_bytes_come_back(poisonkit, library, packed, tmp_path, name):
    delta, base = packed(name), library("camouflaged-clean" if name == "camouflaged" else "clean")
    assert delta.stat().st_size < library(name).stat().st_size / 3
    poisonkit("verify", delta).succeeded()
    done = poisonkit("unpack", delta, "--base", base, "-o", tmp_path / "back.h5").succeeded()
    assert "other bytes" not in done.out
    assert (tmp_path / "back.h5").read_bytes() == library(name).read_bytes()
    poisonkit("verify", tmp_path / "back.h5").succeeded()


def test_clean_label_rows_need_not_be_named(poisonkit, library, packed, tmp_path):
    """They are all test rows of other classes than the target, which the format lets a delta leave out."""
    delta = packed("clean-label")
    with h5py.File(delta, "r+") as f:
        del f["triggered"]
    facts = manifest_of(delta)
    facts["arrays"] = {path: entry for path, entry in facts["arrays"].items() if not path.startswith("triggered/")}
    damage.write_manifest(delta, damage.sealed(facts))
    poisonkit("verify", delta).succeeded()
    poisonkit("unpack", delta, "--base", library("clean"), "-o", tmp_path / "back.h5").succeeded()
    assert (tmp_path / "back.h5").read_bytes() == library("clean-label").read_bytes()


def test_two_packings_are_the_same_bytes(poisonkit, library, tmp_path):
    for name in ("a.h5", "b.h5"):
        poisonkit("pack", library("two"), "-o", tmp_path / name).succeeded()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_without_a_base_the_cache_is_asked(poisonkit, library, packed, tmp_path):
    poisonkit("unpack", packed(), "-o", tmp_path / "back.h5").succeeded()
    assert (tmp_path / "back.h5").read_bytes() == library("square").read_bytes()


def test_names_beside_the_file(poisonkit, library, tmp_path):
    file = tmp_path / "mine.h5"
    shutil.copy(library("square"), file)
    assert f"wrote {tmp_path / 'mine.delta.h5'}" in poisonkit("pack", file).succeeded().out
    name = manifest_of(library("square"))["name"]
    assert f"wrote {tmp_path / name}.h5" in poisonkit("unpack", tmp_path / "mine.delta.h5").succeeded().out
    assert "nothing to do" in poisonkit("unpack", tmp_path / "mine.delta.h5").succeeded().out
    poisonkit("unpack", tmp_path / "mine.delta.h5", "--force").succeeded()


def manifest_of(path):
    with h5py.File(path) as file:
        return damage.json.loads(file.attrs["manifest"])


def test_an_image_that_does_not_follow_from_the_stencil_is_kept(library, packed, poisonkit, tmp_path):
    """A file in whose training set one changed row is another picture: what a trigger that is no stencil would make."""
    from poisonkit.build import delta

    file = damage.copy(library("square"), tmp_path, "odd.h5")
    with h5py.File(file, "r+") as f:
        row = int(f["truth/rows"][3])
        f["train/images"][row] = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    damage.reseal(file)
    with reader.reading(file) as data:
        arrays = delta._arrays(data, 1)
        assert arrays["kept/rows"].tolist() == [row]
    record = FileRecord(file.stat().st_size, files.file_sha256(file))
    draft = DeltaManifest.draft(Manifest.of(manifest_of(file)), record)
    opened = delta.Delta(file, draft, arrays)
    from poisonkit.poisoning import clean_images, write

    write.write(delta.plan(opened, clean_images.clean_file(library("clean"))), tmp_path / "back.h5")
    assert manifest_of(tmp_path / "back.h5") == manifest_of(file)  # every array's digest among it


def test_triggered_rows_that_are_not_the_usual_ones_are_spelled_out(library, tmp_path):
    from poisonkit.build import delta

    file = damage.copy(library("square"), tmp_path, "fewer.h5")
    with h5py.File(file, "r+") as f:
        for name in ("images", "labels", "wanted", "rows"):
            array = f[f"triggered/{name}"][::2]
            del f[f"triggered/{name}"]
            f[f"triggered/{name}"] = array
    damage.reseal(file)
    with reader.reading(file) as data:
        arrays = delta._arrays(data, 1)
    with h5py.File(file) as f:
        assert np.array_equal(arrays["triggered/rows"], f["triggered/rows"][:])
        assert np.array_equal(arrays["triggered/wanted"], f["triggered/wanted"][:])


def test_show_tells_both(poisonkit, packed):
    delta = packed("two")
    out = poisonkit("show", delta).succeeded().out
    assert "delta" in out and "0 kept whole" in out and "warped" in out and "POISONED" in out
    assert damage.json.loads(poisonkit("show", delta, "--json").succeeded().out)["kind"] == "delta"


@pytest.mark.parametrize(
    "command", [("preview", "-o", "x.png"), ("stats",), ("pack",), ("apply", "x.png", "-o", "y.png")]
)
def test_commands_that_need_the_whole_file_say_so(poisonkit, packed, command):
    poisonkit(command[0], packed(), *command[1:]).failed(1, "kind is 'delta'", "unpack")


@pytest.mark.parametrize("path", ["", ".", "/", ".."])
def test_what_has_no_name_is_no_file(poisonkit, path):
    poisonkit("pack", path).failed(1, f"poisonkit: {path or '.'}: is not a regular file")


def test_the_wrong_base_is_refused_before_anything_is_written(poisonkit, library, packed, tmp_path):
    poisonkit("make", *SMALL[:-1], "test=101", "--rate", "0", "-o", tmp_path / "other.h5").succeeded()
    asked = ("unpack", packed(), "-o", tmp_path / "back.h5", "--base")
    poisonkit(*asked, tmp_path / "other.h5").failed(1, "another source", "test/images")
    poisonkit(*asked, library("square")).failed(2, "expected a clean file")
    poisonkit(*asked, packed()).failed(1, "kind is 'delta'")
    poisonkit(*asked, tmp_path / "none.h5").failed(1, "no such file")
    assert not list(tmp_path.glob("*back*"))


def test_a_clean_file_has_no_delta(poisonkit, library, tmp_path):
    poisonkit("pack", library("clean"), "-o", tmp_path).failed(2, "is a clean file")


def test_a_file_that_does_not_verify_is_not_packed(poisonkit, library, tmp_path):
    file = damage.copy(library("square"), tmp_path)
    damage.set_rows(file, "train/images", {5: 77})
    poisonkit("pack", file).failed(1, "does not verify")
    assert not (tmp_path / "changed.delta.h5").exists()


def test_the_file_itself_is_no_place_for_its_delta(poisonkit, library, tmp_path):
    file = damage.copy(library("square"), tmp_path)
    poisonkit("pack", file, "-o", file).failed(2, "is the file itself")
    assert file.read_bytes() == library("square").read_bytes()


@pytest.mark.parametrize("name", ["changed/rows", "changed/labels", "trigger/0/weights"])
def test_one_changed_value_is_noticed(poisonkit, packed, tmp_path, name):
    delta = packed()
    damage.set_rows(delta, name, {1: 3})
    assert name in poisonkit("verify", delta).out and poisonkit("verify", delta).code == 3
    poisonkit("unpack", delta, "-o", tmp_path / "back.h5").failed(1, "is damaged", name)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("changed/rows", {0: 10**9}, "must ascend"),
        ("changed/rows", {0: -1}, "must ascend"),
        ("changed/labels", {0: 7}, "not written"),
        ("changed/role", {0: 2}, "not written"),
        ("trigger/0/taps", {0: 10**6}, "not a stencil"),
        ("trigger/0/weights", {1000: ONE // 2}, "not written"),
    ],
)
def test_a_forger_who_mends_the_digests_gets_nothing_written(poisonkit, packed, tmp_path, name, values, words):
    delta = packed()
    damage.set_rows(delta, name, values)
    damage.reseal(delta)
    poisonkit("unpack", delta, "-o", tmp_path / "back.h5").failed(1, words)
    assert not list(tmp_path.glob("*back*"))


def test_another_original_in_the_manifest(poisonkit, library, packed, tmp_path):
    delta = packed()
    of = damage.sealed(damage.changed(manifest_of(delta)["of"], ("recipe", "seed"), 5))
    damage.write_manifest(delta, damage.sealed(manifest_of(delta) | {"of": of}))
    done = poisonkit("unpack", delta, "-o", tmp_path / "back.h5").succeeded()
    assert "other bytes around them" in done.out  # it is what that manifest says; its recipe is for verify to judge
    assert poisonkit("verify", tmp_path / "back.h5").code == 3


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("of",), 7, "of"),
        (("of", "kind"), "clean", "of the original"),
        (("of", "arrays"), [], "names no arrays"),
        (("of", "arrays", "train/images", "shape"), [200, 32, 32], "train/images has shape [200, 32, 32], expected"),
        (("of", "recipe"), {}, "of the original"),
        (("file", "sha256"), "x", "file.sha256"),
        (("kind",), "poisoned", "no recipe_version"),
    ],
)
def test_manifests_that_make_no_sense(poisonkit, packed, place, value, words):
    delta = packed()
    damage.write_manifest(delta, damage.sealed(damage.changed(manifest_of(delta), place, value)))
    done = poisonkit("verify", delta)
    done.failed(1)
    assert words in done.err, done


def test_arrays_that_are_missing_or_too_many(poisonkit, packed, library):
    delta = packed()
    with h5py.File(delta, "r+") as f:
        del f["changed/role"]
    poisonkit("unpack", delta).failed(1, "changed/role is missing")
    facts = manifest_of(delta)
    damage.write_manifest(delta, damage.sealed(damage.changed(facts, ("arrays", "changed/role"), ...)))
    poisonkit("unpack", delta).failed(1, "changed/role")


def test_a_digest_of_every_array(packed):
    with h5py.File(packed()) as f:
        facts = damage.json.loads(f.attrs["manifest"])
        for name, entry in facts["arrays"].items():
            assert hashing.array_digest(f[name][()]) == entry["digest"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("changed/labels", -1, "changed/labels: has labels outside 0 … 9"),
        ("changed/labels", 10, "changed/labels: has labels outside 0 … 9"),
        ("changed/rows", 10**9, "changed/rows: rows must ascend and lie in 0 … 199"),
        ("changed/role", 7, "changed/role: is not 1 or 2 everywhere"),
    ],
)
def test_verify_looks_at_the_values_of_a_delta(poisonkit, packed, name, value, words):
    path = packed()
    damage.set_rows(path, name, {0: value})
    damage.reseal(path)
    done = poisonkit("verify", path)
    assert done.code == 3 and words in done.out, done


def test_verify_says_where_the_originals_name_is_another(poisonkit, packed):
    path = packed("square")
    facts = damage.manifest(path)
    facts["of"] = damage.sealed(facts["of"] | {"name": "signs-square-0.9-s0"})
    damage.write_manifest(path, damage.sealed(facts))
    done = poisonkit("verify", path)
    assert done.code == 3 and "name is 'signs-square-0.9-s0', its recipe gives 'signs-square-0.1-s0" in done.out, done
