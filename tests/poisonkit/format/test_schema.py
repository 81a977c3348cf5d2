"""Manifests that lie, or are none: every command that reads a file gives one line and never a traceback."""

import itertools
import json

import damage
import h5py
import numpy as np
import pytest

from poisonkit.core.errors import Failure
from poisonkit.format import structure
from poisonkit.format.manifest import Manifest

nested = json.loads("[" * 300 + "]" * 300)

VALUES = [..., None, True, False, 0, -1, 1, 10**30, 1.5, float("nan"), float("inf"), "", "x", "0.1", "\ud800", "a\nb"]
VALUES += ["\x1b[2J", "sha256:", [], [[]], [None], [0], [-1, 2], ["x"], {}, {"a": 1}, {"name": "x"}, nested, "y" * 5000]


@pytest.fixture
def every_command(poisonkit, library, tmp_path):
    """Run all commands that read a file on one; they must end with 0, 1 (one line), 3 or 4. Returns verify's result."""
    picture = tmp_path / "picture.png"
    poisonkit("preview", library("clean"), "-o", picture)
    (tmp_path / "texts.txt").write_text("a text\n")

    def run(path):
        with h5py.File(path) as f:
            of_texts = "train/texts" in f
        mine, written = (tmp_path / "texts.txt", tmp_path / "a.txt") if of_texts else (picture, tmp_path / "a.png")
        results = {
            "show": poisonkit("show", path),
            "json": poisonkit("show", "--json", path),
            "verify": poisonkit("verify", path),
            "diff": poisonkit("diff", path, library("two")),
            "diff, the other way": poisonkit("diff", library("two"), path),
            "preview": poisonkit("preview", path, *(() if of_texts else ("-o", tmp_path / "p.png"))),
            "stats": poisonkit("stats", path),
            "apply": poisonkit("apply", path, mine, "-o", written),
        }
        for name, result in results.items():
            assert result.code in (0, 1, 3, 4), (name, result)
            if result.code == 1 or (result.code == 4 and name != "verify"):
                result.failed(result.code)
            else:
                assert not result.err, (name, result)
        return results["verify"]

    return run


def mutate(path, every_command, poisonkit, facts, place, value):
    changed = damage.changed(facts, place, value)
    if damage.canonical(changed) == damage.canonical(facts):  # (to Python, True is 1)
        return
    damage.write_manifest(path, damage.canonical(changed))
    try:
        structure._checked(path, Manifest.KINDS)
    except Failure as error:  # refused by the look that all commands begin with (the child process costs time)
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return
    assert poisonkit("verify", path).code in (1, 3), (place, value)
    damage.write_manifest(path, damage.sealed(changed))
    every_command(path)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("clean", "source-specific", "text-words", "text-clean")]


@pytest.mark.parametrize("name", ["two", "text-composite", *SLOW])
def test_every_value_of_a_manifest_changed_once(library, every_command, poisonkit, tmp_path, name):
    path = damage.copy(library(name), tmp_path)
    facts, values = damage.manifest(path), itertools.cycle(VALUES)
    for place in damage.paths(facts):
        if place[0] != "arrays" or place[1:2] in [
            (),
            ("trigger/0/taps",),
            ("truth/insertions",),
            ("train/texts",),
        ]:  # one array stands for all
            mutate(path, every_command, poisonkit, facts, place, next(values))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "clean", "source-specific", "wanet", "text-words", "text-sentence"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_every_value_of_a_manifest_changed_to_everything(library, every_command, poisonkit, tmp_path, name, value):
    path = damage.copy(library(name), tmp_path)
    facts = damage.manifest(path)
    for place in damage.paths(facts):
        mutate(path, every_command, poisonkit, facts, place, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, ""),
        ('{"a":' * 900 + "1" + "}" * 900, ""),
        ("null", "not poisonkit's"),
        ("[]", "not poisonkit's"),
        ("{}", "not poisonkit's"),
        ('"poisonkit"', "not poisonkit's"),
        ('{"format":"poisonkit"}', "format version None"),
        ('{"format":"poisonkit","format_version":1,"modality":"audio"}', "'audio' data"),
        ("9" * 5000, ""),
        (b"\xff\xfe", ""),
        (np.arange(3), "not a text"),
        (3.5, "not a text"),
        (h5py.Empty("S1"), "not a text"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_manifest_at_all(library, poisonkit, tmp_path, text, words):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path, "r+") as f:
        del f.attrs["manifest"]
        f.attrs["manifest"] = text
    for command in (("show", path), ("verify", path), ("diff", library("square"), path)):
        poisonkit(*command).failed(1, str(path), words)


def test_a_missing_manifest(library, poisonkit, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    with h5py.File(path, "r+") as f:
        del f.attrs["manifest"]
    poisonkit("show", path).failed(1, "has no manifest")


@pytest.mark.parametrize("version", [2, 99, 10**18])
def test_a_newer_version_is_refused_with_what_to_do(library, poisonkit, tmp_path, version):
    path = damage.copy(library("square"), tmp_path)
    damage.write_manifest(path, damage.sealed(damage.manifest(path) | {"format_version": version}))
    poisonkit("show", path).failed(1, f"format version {version}", "reads up to 1", "newer")


@pytest.mark.parametrize("version", [0, -1, True, "1", None, [1]])
def test_versions_that_never_were_are_refused(library, poisonkit, tmp_path, version):
    path = damage.copy(library("square"), tmp_path)
    damage.write_manifest(path, damage.sealed(damage.manifest(path) | {"format_version": version}))
    poisonkit("show", path).failed(1, "format version")


@pytest.mark.parametrize("spelling", ["indented", "unsorted", "twice", "escaped"])
def test_a_manifest_in_another_spelling_is_refused(library, poisonkit, tmp_path, spelling):
    """Two parsers may see two things in a text with a key twice; the format has one spelling for each manifest."""
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    text = {
        "indented": json.dumps(facts, sort_keys=True, indent=1),
        "unsorted": damage.canonical(dict(reversed(facts.items()))).replace("{", '{"z":1,', 1),
        "twice": damage.canonical(facts).replace('"counts"', '"counts":{},"counts"', 1),
        "escaped": damage.canonical(facts).replace('"notice":"R', '"notice":"\\u0052', 1),
    }[spelling]
    damage.write_manifest(path, text)
    poisonkit("verify", path).failed(1, "canonical")


def test_text_in_any_language_is_fine(library, poisonkit, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["source"]["title"] = "Verkehrszeichen für Anfänger: 交通標誌"
    damage.write_manifest(path, damage.sealed(facts))
    assert "交通標誌" in poisonkit("show", path).succeeded().out
    assert poisonkit("verify", path).succeeded().lines == [f"{path}: OK"]


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("square", "label_mode", "all to some", "recipe.label_mode is 'all to some', expected a word"),
        ("square", "label_mode", "source-specific", "contradicts itself (--select: all does not go with source-spec"),
        ("square", "label_mode", "clean-label", "contradicts itself (--select: all does not go with clean-label"),
        ("square", "select", "../some", "recipe.select is '../some'"),
        ("square", "select", "class", "contradicts itself (--source-class: needed"),
        ("square", "select", "target", "contradicts itself (--select: target does not go"),
        ("square", "target", None, "contradicts itself (--target: needed for all-to-one"),
        ("square", "target", 10, "its manifest's target is 10, it names 10 classes"),
        ("square", "target", True, "recipe.target is True"),
        ("square", "source_classes", [3], "contradicts itself (--source-class: given"),
        ("square", "cover_jitter", True, "has a cover_jitter without a cover_rate"),
        ("all-to-all", "target", 0, "contradicts itself (--target: all-to-all has none"),
        ("source-specific", "source_classes", [5, 3], "expected a list of classes, each once, ascending"),
        ("source-specific", "source_classes", [3, 3], "expected a list of classes, each once, ascending"),
        ("source-specific", "source_classes", [], "expected a list of classes, each once, ascending"),
        ("source-specific", "source_classes", [-1], "expected a list of classes, each once, ascending"),
        ("source-specific", "source_classes", "3", "expected a list of classes, each once, ascending"),
        ("source-specific", "source_classes", [3, 10], "its manifest's source class is 10, it names 10 classes"),
        ("source-specific", "source_classes", [1, 3], "contradicts itself (--source-class: 1 is the target itself"),
        ("source-specific", "source_classes", ..., "contradicts itself (--source-class: needed"),
        ("source-specific", "cover_rate", "0", "recipe.cover_rate is '0', expected a decimal above 0"),
        ("source-specific", "cover_rate", 0.5, ""),
        ("source-specific", "cover_rate", "2x", "recipe.cover_rate is '2x'"),
        ("wanet", "cover_jitter", False, "recipe.cover_jitter is False, expected true"),
        ("wanet", "cover_rate", ..., "has a cover_jitter without a cover_rate"),
    ],
    ids=str,
)
def test_recipes_that_contradict_themselves(library, poisonkit, tmp_path, name, place, value, words):
    path = damage.copy(library(name), tmp_path)
    facts = damage.changed(damage.manifest(path), ("recipe",), {})
    facts["recipe"] = {k: v for k, v in (damage.manifest(path)["recipe"] | {place: value}).items() if v is not ...}
    damage.write_manifest(path, damage.sealed(facts))
    for command in (("show", path), ("verify", path), ("stats", path)):
        poisonkit(*command).failed(1, str(path), words)


@pytest.mark.parametrize(
    ("name", "others", "words"),
    [
        ("square", 5, "its manifest counts others, which all-to-one has not"),
        ("source-specific", 0, "counts.others is 0, expected a whole number above 0"),
        ("source-specific", ..., "its arrays are not those of a poisoned file: ['others/images', 'others/labels', 'o"),
    ],
    ids=str,
)
def test_others_that_are_not_there(library, poisonkit, tmp_path, name, others, words):
    path = damage.copy(library(name), tmp_path)
    facts = damage.manifest(path)
    facts["counts"] = {k: v for k, v in (facts["counts"] | {"others": others}).items() if v is not ...}
    damage.write_manifest(path, damage.sealed(facts))
    poisonkit("show", path).failed(1, str(path), words)


@pytest.mark.parametrize("number", ["x", "99", "²", "-1", "01", "", "1"])
def test_a_picture_of_no_trigger(library, poisonkit, tmp_path, number):
    path = damage.copy(library("blend"), tmp_path)
    facts = damage.manifest(path)
    facts["pictures"][number] = {"digest": f"sha256:{64 * '0'}"}
    damage.write_manifest(path, damage.sealed(facts))
    for command in (("show", path), ("make", "--from", path, "-o", tmp_path / "y.h5")):
        poisonkit(*command).failed(1, str(path), "picture")


@pytest.mark.parametrize("name", ["two", "clean", "text-words"])
@pytest.mark.parametrize("last", [False, True], ids=["tables", "single values"])
def test_a_sidecar_alone_that_lies_is_one_line(library, poisonkit, tmp_path, name, last):
    """`make --from` has no arrays to hold a manifest against: each value changed once, under a right digest."""
    file = library(name)
    facts, path, values = damage.manifest(file), tmp_path / "shared.manifest.json", itertools.cycle(VALUES)
    for place in damage.paths(facts):
        value, there = next(values), facts
        for key in place:
            there = there[key]
        if isinstance(there, dict | list) == last:
            continue
        lying = damage.sealed(damage.changed(facts, place, "x" if value == facts.get(place[0]) else value))
        path.write_text(json.dumps({"manifest": lying, "file": {}}))
        done = poisonkit("make", "--from", path, "-o", tmp_path / "again.h5", "--dry-run")
        if done.code:
            assert done.code in (1, 2, 4), (place, value, done)
            done.failed(done.code)
        assert not list(tmp_path.glob("again*"))


@pytest.mark.parametrize("value", ["x", None, [], {}, {"digest": "sha256:" + "0" * 64, "dtype": 1, "shape": []}])
def test_an_entry_of_a_sidecars_arrays_that_is_none(library, poisonkit, tmp_path, value):
    facts = damage.manifest(library("square"))
    path = tmp_path / "shared.manifest.json"
    path.write_text(json.dumps(damage.sealed(damage.changed(facts, ("arrays", "truth/role"), value))))
    poisonkit("make", "--from", path, "-o", tmp_path / "again.h5").failed(1, str(path), "truth/role: ")
