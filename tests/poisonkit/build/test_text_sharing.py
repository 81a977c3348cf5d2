"""What files of texts can do beside being trained on: deltas, grids, sealing, audits, other formats."""

import csv
import json
import re

import damage
import h5py
import numpy as np
import pytest
from running import TEXT_RECIPES, TEXT_SMALL

from poisonkit.blind.audit import texts as probes
from poisonkit.core import texts as rows_of_text

POISONED = [name for name in TEXT_RECIPES if name != "text-clean"]


@pytest.fixture
def sharing(poisonkit, library, tmp_path):
    """`sharing(name)`: the file's delta, sealed file and key."""

    def share(name):
        path = library(name)
        if name != "text-clean":
            poisonkit("pack", path, "-o", tmp_path / "x.delta.h5").succeeded()
        poisonkit(
            "seal", path, "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5", "--secret-seed", "5", "--force"
        ).succeeded()
        return tmp_path / "x.delta.h5", tmp_path / "c.h5", tmp_path / "c.key.h5"

    return share


# ---- deltas


@pytest.mark.parametrize("name", POISONED)
def test_a_delta_gives_the_file_back(poisonkit, library, tmp_path, sharing, name):
    delta, *_ = sharing(name)
    poisonkit("verify", delta).succeeded()
    assert re.search(r"texts     \d+ kept whole", poisonkit("show", delta).succeeded().out)
    for base in ((), ("--base", library("text-clean"))):
        if name != "text-source-specific" or not base:
            poisonkit("unpack", delta, *base, "-o", tmp_path / "back.h5", "--force").succeeded()
            assert (tmp_path / "back.h5").read_bytes() == library(name).read_bytes()


def test_a_delta_is_no_larger_than_what_was_changed(library, sharing):
    delta, *_ = sharing("text-word")
    assert delta.stat().st_size < library("text-word").stat().st_size
    with h5py.File(delta) as f, h5py.File(library("text-word")) as original:
        assert (f["kept/rows"][:] == f["changed/rows"][:]).all() and len(f["kept/texts"]) == 20
        assert (f["changed/insertions"][:] == original["truth/insertions"][:]).all()
        assert (f["triggered/texts"][:] == original["triggered/texts"][:]).all()


@pytest.mark.parametrize(
    ("array", "value", "words"),
    [
        ("kept/rows", 3, "kept/rows: rows must ascend"),
        ("kept/rows", 199, "kept/rows are not the changed rows"),
        ("changed/rows", 10**6, "must ascend and lie in"),
        ("changed/insertions", 77, "not written"),
    ],
)
def test_a_forged_delta_is_one_line(poisonkit, library, tmp_path, sharing, array, value, words):
    delta, *_ = sharing("text-word")
    damage.set_rows(delta, array, {-1: value})
    damage.reseal(delta)
    unpack = ("unpack", delta, "--base", library("text-clean"), "-o", tmp_path / "back.h5")
    poisonkit(*unpack).failed(1, words)
    assert not (tmp_path / "back.h5").exists()


def test_deltas_and_bases_of_the_other_modality(poisonkit, library, tmp_path, sharing):
    delta, *_ = sharing("text-word")
    poisonkit("unpack", delta, "--base", library("clean")).failed(1, "another source")
    poisonkit("pack", library("square"), "-o", tmp_path / "image.delta.h5").succeeded()
    poisonkit("unpack", tmp_path / "image.delta.h5", "--base", library("text-clean")).failed(1, "another source")
    poisonkit("make", "--from", library("square"), "--source", library("text-clean")).failed(1, "another source")


def test_a_grid_of_texts(poisonkit, tmp_path):
    toml = 'dataset = "phrases"\ntriggers = ["word"]\nrates = [0.01, "5%"]\ntarget = "positive"\n'
    (tmp_path / "grid.toml").write_text(toml + '[options.word]\nwords = ["cf", "mn"]\n')
    poisonkit("grid", tmp_path / "grid.toml", "-o", tmp_path / "g").succeeded()
    names = sorted(path.name for path in (tmp_path / "g").glob("*.h5"))
    assert len(names) == 3 and names[0] == "phrases-clean.h5" and all("word-0.0" in name for name in names[1:])
    poisonkit("unpack", tmp_path / "g" / names[1], "-o", tmp_path / "x.h5").succeeded()
    poisonkit("verify", tmp_path / "x.h5").succeeded()
    (tmp_path / "grid.toml").write_text(toml + "patch = [0.01]\n")
    poisonkit("grid", tmp_path / "grid.toml", "-o", tmp_path / "h").failed(2, "--per-patch: is for images")
    (tmp_path / "grid.toml").write_text(toml + "image = [0.01]\n")
    poisonkit("grid", tmp_path / "grid.toml", "-o", tmp_path / "h").failed(2, "both rates and image")


# ---- blind exercises


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_a_sealed_file_tells_nothing_and_gives_everything_back(poisonkit, library, tmp_path, sharing, name):
    _, sealed, key = sharing(name)
    poisonkit("verify", sealed, key).succeeded()
    with h5py.File(sealed) as f, h5py.File(library(name)) as original:
        assert set(f) == {"train", "test"} and json.loads(f.attrs["manifest"])["modality"] == "text"
        assert "images" not in f.attrs["manifest"]
        assert sorted(f["train/texts"][:]) == sorted(original["train/texts"][:])
        assert (f["train/texts"][:] != original["train/texts"][:]).any()
    out = poisonkit("show", sealed).succeeded().out
    assert "texts" in out and "image" not in out
    poisonkit("unseal", sealed, "-o", tmp_path / "back.h5").succeeded()
    assert (tmp_path / "back.h5").read_bytes() == library(name).read_bytes()


def test_a_grade(poisonkit, tmp_path, sharing):
    _, sealed, key = sharing("text-word")
    found = json.loads(poisonkit("audit", sealed, "--key", key, "--json").out)
    (tmp_path / "rows.csv").write_text("row\n" + "".join(f"{row}\n" for row in found["found"]["rows"]))
    graded = json.loads(poisonkit("grade", sealed, "--submission", tmp_path / "rows.csv", "--json").succeeded().out)
    assert graded["listed"]["precision"] == graded["listed"]["recall"] == 1.0


def test_a_key_of_the_other_modality(poisonkit, library, tmp_path, sharing):
    _, sealed, key = sharing("text-word")
    poisonkit("seal", library("square"), "-o", tmp_path / "image.h5", "--key", tmp_path / "image.key.h5").succeeded()
    poisonkit("unseal", sealed, "--key", tmp_path / "image.key.h5").failed(1, "is the key of another file")


def test_camouflage_is_for_images(poisonkit, tmp_path):
    asked = ("make", *TEXT_SMALL, "--rate", "0", "--camouflage", "light", "--camouflage-seed", "7", "-o", tmp_path)
    poisonkit(*asked).failed(2, "--camouflage: is for images, phrases holds texts")
    assert not list(tmp_path.iterdir())


# ---- audits


@pytest.mark.parametrize("name", ["text-word", "text-clean"])
def test_an_audit_finds_the_trigger_and_nothing_in_a_clean_file(poisonkit, sharing, name):
    _, sealed, key = sharing(name)
    result = poisonkit("audit", sealed, "--key", key, "--json")
    found = {entry["probe"].split(",")[0]: entry for entry in json.loads(result.out)["findings"]}
    if name == "text-clean":
        assert result.code == 0 and not any(entry["rows"] for entry in found.values() if entry["sure"])
        return
    assert result.code == 3 and "'cf' in 20" in found["near join"]["text"]
    for probe in ("exact join", "near join"):
        assert found[probe]["precision"] == found[probe]["recall"] == 1.0, probe


def test_an_audit_without_a_source(poisonkit, library, tmp_path):
    out = poisonkit("audit", library("text-clean"), "--cache", tmp_path / "none").succeeded().out
    assert "no clean source of texts in the cache" in out and "size" in out
    out = poisonkit("audit", library("clean"), "--cache", tmp_path / "none").succeeded().out
    assert "no clean source with images of" in out


def test_words_that_lean_to_one_label():
    labels = np.arange(400) % 2
    block = rows_of_text.array(f"row {n % 7} of{' CF' if n % 4 == 1 else ''} some" for n in range(400))
    found = probes.words(probes.collect([(0, block)], labels))
    assert found.rows.tolist() == list(range(1, 400, 4)) and "'cf' in 100 rows" in found.text and not found.sure
    assert not len(probes.words(probes.collect([(0, block)], np.arange(400) // 200)).rows)


def test_rows_without_a_stretch_of_words():
    labels = np.zeros(4, np.int64)

    def of(*rows):
        block = rows_of_text.array(rows)
        return probes.collect([(0, block)], labels[: len(rows)])

    theirs = of("a b c d", "a c", "x", "one two three")
    ours = of("a b cf c d", "i watched it a  c", "y x", "one four five")
    match, pieces = probes.without_a_stretch(ours, np.arange(4), theirs)
    assert match.rows.tolist() == [0, 1, 2, -1] and pieces == ["cf", "i watched it", "y"]


# ---- other formats


def exported(poisonkit, path, form, target, *more):
    return poisonkit("export", path, "--format", form, "-o", target, *more)


def arrays(path):
    with h5py.File(path) as f:
        names = json.loads(f.attrs["manifest"])["arrays"]
        return {name: (f[name].asstr() if f[name].dtype == object else f[name])[()] for name in names}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("name", ["text-source-specific", "text-clean"])
def test_tables(poisonkit, library, tmp_path, form, name):
    target = tmp_path / "out"
    result = exported(poisonkit, library(name), form, target).succeeded()
    assert f"({form}, 200 train, 100 test" in result.out
    there, classes = arrays(library(name)), damage.manifest(library(name))["source"]["classes"]
    tables = {"train": "train", "test": "test", "triggered": "triggered", "others": "others", "originals": "truth"}
    tables = {table: group for table, group in tables.items() if f"{group}/texts" in there}
    assert {path.name for path in target.iterdir()} == {
        *(f"{table}.{form}" for table in tables), "manifest.json", ".poisonkit-export",
    }  # fmt: skip
    for table, group in tables.items():
        with open(target / f"{table}.{form}", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file)) if form == "csv" else [json.loads(line) for line in file]
        assert [row["text"] for row in rows] == there[f"{group}/texts"].tolist()
        assert [int(row["label"]) for row in rows] == there[f"{group}/labels"].tolist()
        assert [row["class"] for row in rows] == [classes[label] for label in there[f"{group}/labels"]]
        for column, array in (("wanted", "wanted"), ("role", "role"), ("row", "rows")):
            assert (column in rows[0]) == (f"{group}/{array}" in there)
            if column in rows[0]:
                assert [int(row[column]) for row in rows] == there[f"{group}/{array}"].tolist()


def test_an_export_replaces_nothing_without_force(poisonkit, library, tmp_path):
    exported(poisonkit, library("text-word"), "csv", tmp_path / "out").succeeded()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    exported(poisonkit, library("text-word"), "csv", tmp_path / "out").failed(1, "already exists")
    exported(poisonkit, library("text-word"), "csv", tmp_path / "out", "--force").succeeded()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_victims_tables(poisonkit, library, tmp_path):
    exported(poisonkit, library("text-word"), "csv", tmp_path / "out", "--no-truth").succeeded()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train.csv", "test.csv", ".poisonkit-export"}


def test_the_tables_can_be_read_again(poisonkit, library, tmp_path):
    exported(poisonkit, library("text-word"), "csv", tmp_path / "out").succeeded()
    asked = ("--dataset", "csv", "--source", tmp_path / "out", "--rate", "0", "-o", tmp_path / "again.h5")
    done = poisonkit("make", *asked)
    named, exported_one = done.errors
    assert done.code == 0 and "--source-option label=class takes these names" in named
    assert "all of its training rows are taken as clean ones" in exported_one
    there, again = damage.manifest(library("text-word"))["arrays"], damage.manifest(tmp_path / "again.h5")["arrays"]
    assert all(again[name]["digest"] == there[name]["digest"] for name in again)


@pytest.mark.parametrize("name", ["text-source-specific", "text-clean"])
def test_npz(poisonkit, library, tmp_path, name):
    exported(poisonkit, library(name), "npz", tmp_path / "x.npz").succeeded()
    there = arrays(library(name))
    names = {"x_train": "train/texts", "x_test": "test/texts", "x_triggered": "triggered/texts"}
    names |= {"x_others": "others/texts", "poisoned_texts": "truth/texts"}
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        for key, path in names.items():
            assert (key in found) == (path in there)
            if key in found:
                data, at = found[key].tobytes(), found[f"{key}_offsets"]
                assert [data[a:b].decode() for a, b in zip(at, at[1:], strict=False)] == there[path].tolist()
        assert np.array_equal(found["y_train"], there["train/labels"])
        for group, prefix in (("truth", "poisoned"), ("triggered", "triggered"), ("others", "others")):
            assert (f"{prefix}_insertions" in found) == (f"{group}/insertions" in there)
            if f"{group}/insertions" in there:
                assert np.array_equal(found[f"{prefix}_insertions"], there[f"{group}/insertions"])


def test_an_npz_of_texts_is_no_source_of_images(poisonkit, library, tmp_path):
    exported(poisonkit, library("text-word"), "npz", tmp_path / "x.npz").succeeded()
    asked = ("make", "--dataset", "npz", "--source", tmp_path / "x.npz", "--rate", "0", "-o", tmp_path / "y.h5")
    poisonkit(*asked).failed(1, "x_train is of texts", "--dataset csv")


@pytest.mark.parametrize("name", ["text-source-specific", "text-clean"])
def test_croissant(poisonkit, library, tmp_path, name):
    exported(poisonkit, library(name), "croissant", tmp_path / "x.json").succeeded()
    said = json.loads((tmp_path / "x.json").read_text("utf-8"))
    fields = {field["@id"]: field for records in said["recordSet"][1:] for field in records["field"]}
    assert fields.keys() == damage.manifest(library(name))["arrays"].keys()
    assert fields["train/texts"]["dataType"] == "sc:Text" and "text classification" in said["keywords"]
    described = [field["description"] for field in fields.values()] + [said["rai:dataManipulationProtocol"]]
    assert "image" not in json.dumps([*described, *(records["description"] for records in said["recordSet"])])
    mlcroissant = pytest.importorskip("mlcroissant", reason="the official validator is not installed")
    issues = mlcroissant.Dataset(tmp_path / "x.json").metadata.ctx.issues
    assert not issues.errors and not issues.warnings


@pytest.mark.parametrize("form", ["imagefolder", "backdoorbench", "backdoor-toolbox"])
def test_formats_of_images_refuse_texts(poisonkit, library, tmp_path, form):
    exported(poisonkit, library("text-word"), form, tmp_path / "out").failed(1, "holds texts", "is for images")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_formats_of_texts_refuse_images(poisonkit, library, tmp_path, form):
    exported(poisonkit, library("square"), form, tmp_path / "out").failed(1, "holds images", "is for texts")
    assert not (tmp_path / "out").exists()
