"""A name out of a stranger's file is a plain one or refused; no sidecar of another file's is replaced."""

import json
import os
import shutil

import damage
import pytest

from poisonkit.core import file_names

OUTSIDE = (
    "", ".", "..", "/etc/passwd", "../x", "a/../x", "a/b", "a\\b", "C:\\x", "-rf", "--force", ".hidden", "a.", "a ",
    "a..b", "tab\there", "two\nlines", "esc\x1b[31m", "nul\x00", "x\u202exe", "a\u2066b", "a\u200bb", "$(touch X)",
    "`touch X`", "a;b", "a'b", 'a"b', "a|b", "a*", "a?", "a[1]", "{a}", "~a", "a&b", "a<b", "con", "NUL.h5", "com1",
    "x" * 201, "é" * 101, " a", "\ud800", None, 7, ["a"],
)  # fmt: skip
PLAIN = ("cifar10-square+blend-patch8x4-0.0005-s0-1a2b3c4d", "challenge-01234567", "7", "Größe 2", "標識", "console")


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
def test_a_name_that_leads_elsewhere_or_says_something_to_a_shell(name):
    assert file_names.problem(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name(name):
    assert file_names.problem(name) is None


def test_both_programs_have_the_same_rule(root):
    first, second = ((root / package / "core" / "file_names.py").read_text() for package in ("poisonkit", "benchmark"))
    assert first.replace("from poisonkit.", "from benchmark.") == second


BAD = ("/tmp/elsewhere", "../elsewhere", "-rf", ".x", "x\u202ey", "$(touch X)", "a\\b")


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def delta(poisonkit, library, tmp_path):
    """A function: a delta whose original has that name, in a folder of its own."""

    def of(name):
        path = tmp_path / "inside" / "foreign.delta.h5"
        path.parent.mkdir(exist_ok=True)
        poisonkit("pack", library("square"), "-o", path).succeeded()
        facts = damage.manifest(path)
        facts["of"] = damage.sealed(facts["of"] | {"name": name})
        damage.write_manifest(path, damage.sealed(facts))
        return path

    return of


@pytest.mark.parametrize("name", BAD)
def test_unpack_writes_nothing_outside_of_its_folder(poisonkit, library, delta, tmp_path, name):
    path = delta(name)
    (tmp_path / "elsewhere.manifest.json").write_text("mine")
    before = tree(tmp_path)
    for more in ((), ("--force",), ("-o", tmp_path / "inside")):
        poisonkit("unpack", path, "--base", library("clean"), *more).failed(1, str(path), "name is", "a plain name")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", BAD)
def test_unseal_writes_nothing_outside_of_its_folder(poisonkit, library, tmp_path, name):
    challenge, key = tmp_path / "inside" / "c.h5", tmp_path / "inside" / "c.key.h5"
    poisonkit("seal", library("square"), "-o", challenge, "--key", key).succeeded()
    facts = damage.manifest(key)
    facts["of"] = damage.sealed(facts["of"] | {"name": name})
    damage.write_manifest(key, damage.sealed(facts))
    before = tree(tmp_path)
    poisonkit("unseal", challenge, "--key", key).failed(1, str(key), "name is", "a plain name")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["square", "clean", "challenge", "key", "delta"])
@pytest.mark.parametrize("command", ["show", "verify", "export", "audit"])
def test_a_file_that_says_such_a_name_of_itself(poisonkit, library, tmp_path, kind, command):
    path = tmp_path / "c.h5"
    if kind in ("challenge", "key"):
        poisonkit("seal", library("square"), "-o", path, "--key", tmp_path / "c.key.h5").succeeded()
        path = path if kind == "challenge" else tmp_path / "c.key.h5"
    elif kind == "delta":
        poisonkit("pack", library("square"), "-o", path).succeeded()
    else:
        shutil.copy(library(kind), path)
    damage.write_manifest(path, damage.sealed(damage.manifest(path) | {"name": "../../evil"}))
    more = ("--format", "npz") if command == "export" else ()
    poisonkit(command, path, *more).failed(1, str(path))


def test_make_from_takes_no_such_name(poisonkit, library, tmp_path):
    facts = damage.sealed(damage.manifest(library("square")) | {"name": "../evil"})
    (tmp_path / "evil.manifest.json").write_text(json.dumps(facts))
    poisonkit("make", "--from", tmp_path / "evil.manifest.json", "-o", tmp_path).failed(1, "name is '../evil'")


# ---------------------------------------------------------------- sidecars


@pytest.fixture
def asked(poisonkit):
    return ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o")


FOREIGN = ('{"mine": 1}', "", "[1]", '{"manifest": {"format": "poisonkit"}}', "folder", "link")


@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_no_sidecar_of_ours_is_never_replaced(poisonkit, library, asked, tmp_path, content):
    beside, other = tmp_path / "x.manifest.json", tmp_path / "private.txt"
    other.write_text("mine")
    if content == "folder":
        beside.mkdir()
    elif content == "link":
        beside.symlink_to(other)
    else:
        beside.write_text(content)
    before = tree(tmp_path)
    for more in ((), ("--force",)):
        poisonkit(*asked, tmp_path / "x.h5", *more).failed(1, "x.manifest.json", "not written by poisonkit")
        poisonkit("seal", library("square"), "-o", tmp_path / "x.h5", *more).failed(1, "x.manifest.json")
    assert tree(tmp_path) == before


def test_the_sidecar_of_another_file_is_never_replaced(poisonkit, library, asked, tmp_path):
    shutil.copy(library("blend").with_suffix(".manifest.json"), tmp_path / "x.manifest.json")
    before = tree(tmp_path)
    for more in ((), ("--force",)):
        poisonkit(*asked, tmp_path / "x.h5", *more).failed(1, "is the sidecar of 'blend.h5', not of x.h5")
    assert tree(tmp_path) == before


def test_a_files_own_sidecar_is_written_anew(poisonkit, asked, tmp_path):
    path, beside = tmp_path / "x.h5", tmp_path / "x.manifest.json"
    poisonkit(*asked, path).succeeded()
    path.unlink()
    poisonkit(*asked, path).succeeded()  # the file was removed to save space, its sidecar kept
    poisonkit("make", "--from", beside, "-o", path, "--force").succeeded()
    path.unlink()
    other = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.2", "-o", path)
    poisonkit(*other).failed(1, "x.manifest.json", "different recipe", "--force")
    poisonkit(*other, "--force").succeeded()
    for old in (path, beside):  # both renamed: still a pair
        old.rename(tmp_path / f"y{old.name[1:]}")
    poisonkit(*asked, tmp_path / "y.h5", "--force").succeeded()
    assert poisonkit("verify", tmp_path / "y.h5").succeeded()


def test_unpack_replaces_no_sidecar_of_another_file(poisonkit, library, tmp_path):
    delta = tmp_path / "x.delta.h5"
    poisonkit("pack", library("square"), "-o", delta).succeeded()
    (tmp_path / "x.manifest.json").write_text("mine")
    for more in ((), ("--force",)):
        poisonkit("unpack", delta, "--base", library("clean"), "-o", tmp_path / "x.h5", *more).failed(
            1, "x.manifest.json", "not written by poisonkit"
        )
    assert (tmp_path / "x.manifest.json").read_text() == "mine" and not (tmp_path / "x.h5").exists()


def test_a_delta_replaces_nothing_but_a_delta(poisonkit, library, tmp_path):
    path = tmp_path / "x.h5"
    shutil.copy(library("clean"), path)
    poisonkit("pack", library("square"), "-o", path).failed(1, "s delta: use --force")
    assert path.read_bytes() == library("clean").read_bytes()


@pytest.mark.parametrize("content", ["[" * 100_000, '{"file": 1}', "pipe"])
def test_a_sidecar_that_is_none_is_never_waited_for(poisonkit, library, tmp_path, content):
    path, beside = damage.copy(library("square"), tmp_path, "x.h5"), tmp_path / "x.manifest.json"
    if content == "pipe":
        os.mkfifo(beside)
    else:
        beside.write_text(content)
    done = poisonkit("verify", path)
    assert done.code == 3 and "x.manifest.json: is not a sidecar" in done.out
    poisonkit("seal", path, "-o", tmp_path / "c.h5").failed(1, "x.manifest.json", "is not a sidecar")
    asked = ("--format", "croissant", "--creator", "me", "-o", tmp_path / "x.json")
    assert poisonkit("export", path, *asked).succeeded()


def test_class_names_do_not_turn_the_direction_of_writing(poisonkit, library, tmp_path):
    path = damage.copy(library("square"), tmp_path)
    facts = damage.manifest(path)
    facts["source"]["classes"][0] = "stop\u202epots"
    damage.write_manifest(path, damage.sealed(facts))
    for command in (("show", path), ("diff", library("square"), path)):
        done = poisonkit(*command)
        assert "\u202e" not in done.out and ("stop\\u202epots" in done.out or "stop�pots" in done.out), done
