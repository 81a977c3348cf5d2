"""`export --format croissant`: accepted by the official validator, and true."""

import hashlib
import json
import re
import shutil

import damage
import h5py
import pytest

from poisonkit.exporters.formats import croissant

ABSENT = "mlcroissant, the official validator, is not installed (pip cannot put its parts together on Python 3.10)"


@pytest.fixture
def described(poisonkit, library, tmp_path):
    """A function: the description of a file of the library, beside a copy of it."""

    def describe(name, *options, change=None):
        path = shutil.copyfile(library(name), tmp_path / f"{name}.h5")
        if change:
            damage.reseal(path, **change(damage.manifest(path)))
        poisonkit("export", path, "--format", "croissant", "--force", *options).succeeded()
        return json.loads((tmp_path / "croissant.json").read_text("utf-8"))

    return describe


@pytest.mark.parametrize("name", ["two", "clean"])
def test_the_official_validator_accepts_it(described, tmp_path, name, caplog):
    mlcroissant = pytest.importorskip("mlcroissant", reason=ABSENT)
    described(name)
    found = mlcroissant.Dataset(tmp_path / "croissant.json").metadata
    assert not found.ctx.issues.errors and not found.ctx.issues.warnings
    assert found.ctx.is_v1_1() and "http://mlcommons.org/croissant/1.1" in found.conforms_to
    expected = ["classes", "test", "train", "triggered", "truth"] if name == "two" else ["classes", "test", "train"]
    assert sorted(records.id for records in found.record_sets) == expected
    (file,) = found.distribution
    assert file.encoding_formats == ["application/x-hdf5"] and file.content_url == f"{name}.h5"
    assert "not standard" not in caplog.text
    classes = list(mlcroissant.Dataset(tmp_path / "croissant.json").records("classes"))
    assert classes[0]["classes/name"] in ("stop", b"stop") and len(classes) == 10  # (which, differs by version)


def test_names_in_any_script_pass_too(described, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant", reason=ABSENT)

    def change(facts):
        names = ["../x", "CON", 'quo"te', "同名", "naïve", "a/b", "", "x" * 300, "http://x", "@id"]
        return {"source": facts["source"] | {"classes": names, "url": "", "licence": "not stated"}}

    described("two", change=change)
    found = mlcroissant.Dataset(tmp_path / "croissant.json").metadata
    assert not found.ctx.issues.errors


def test_the_file_is_named_by_its_bytes(described, tmp_path):
    (file,) = described("two")["distribution"]
    content = (tmp_path / "two.h5").read_bytes()
    assert file["sha256"] == hashlib.sha256(content).hexdigest() and file["contentSize"] == f"{len(content)} B"
    assert file["encodingFormat"] == "application/x-hdf5"


def test_from_another_folder_the_address_is_relative(poisonkit, library, tmp_path):
    path = shutil.copyfile(library("two"), tmp_path / "ä b.h5")
    poisonkit("export", path, "--format", "croissant", "-o", tmp_path / "other" / "x.json").succeeded()
    (file,) = json.loads((tmp_path / "other" / "x.json").read_text("utf-8"))["distribution"]
    assert file["contentUrl"] == "../%C3%A4%20b.h5"


@pytest.mark.parametrize("name", ["two", "clean", "blend"])
def test_every_array_of_rows_is_a_field(described, tmp_path, name):
    facts = described(name)
    with h5py.File(tmp_path / f"{name}.h5") as f:
        arrays = {f"{group}/{key}": f[group][key] for group in f if group != "trigger" for key in f[group]}
        fields = {field["@id"]: field for records in facts["recordSet"][1:] for field in records["field"]}
        assert fields.keys() == arrays.keys()
        for path, field in fields.items():
            shape = tuple(map(int, field["arrayShape"].split(","))) if "arrayShape" in field else ()
            assert shape == arrays[path].shape[1:] and field["source"]["extract"]["column"] == path
            assert croissant.DATA_TYPES[arrays[path].dtype.str] == field["dataType"]
            assert field["description"] != path


def test_what_was_done_is_said_in_words(described):
    text = described("warped-patch")["rai:dataManipulationProtocol"]
    assert "20 of 200 training rows (rate 0.1, seed 7)" in text and "warped, k 4" in text and "8×8" in text
    assert "target class stop (index 0)" in text and "all-to-one" in text
    assert "every patch" not in described("square")["rai:dataManipulationProtocol"]


def test_a_clean_file_was_not_manipulated(described):
    facts = described("clean")
    assert facts["rai:dataManipulationProtocol"].startswith("None")
    assert "Do not train" not in json.dumps(facts)


def test_licence_creator_page_and_day(described):
    plain = described("two")
    assert plain["license"] == "Apache-2.0" and plain["creator"]["name"] == "not stated"
    assert re.fullmatch(r"urn:sha256:[0-9a-f]{64}", plain["url"]) and plain["identifier"] == plain["url"][4:]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", plain["datePublished"])
    given = described("two", "--creator", "A. Turing", "--url", "https://example.org/x")
    assert given["creator"]["name"] == "A. Turing" and given["url"] == "https://example.org/x"


@pytest.mark.parametrize("beside", [b"", b"[]", b'{"file": 3}', b'{"file": {"sha256": "x"}, "created": 5}', None])
def test_the_day_is_the_sidecars_where_it_speaks_of_this_file(poisonkit, library, tmp_path, beside):
    import os

    path = shutil.copyfile(library("two"), tmp_path / "two.h5")
    os.utime(path, (86400 * 365, 86400 * 365))
    content = beside
    if beside is None:
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        content = json.dumps({"file": {"sha256": digest}, "created": "2024-02-29T23:59:59Z"}).encode()
    (tmp_path / "two.manifest.json").write_bytes(content)
    poisonkit("export", path, "--format", "croissant").succeeded()
    day = json.loads((tmp_path / "croissant.json").read_text("utf-8"))["datePublished"]
    assert day == ("2024-02-29" if beside is None else "1971-01-01")
