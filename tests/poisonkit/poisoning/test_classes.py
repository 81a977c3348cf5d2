"""Which class a number or a name means, in every place where one is typed; and what is said of the classes."""

import functools
import json
import os
import subprocess
import unicodedata

import h5py
import numpy as np
import pytest
from source_fixtures import png, text_tables, write_files

from poisonkit.build import grid
from poisonkit.core import class_names, label_modes
from poisonkit.core.errors import Usage
from poisonkit.poisoning import classes as classes_of
from poisonkit.poisoning.classes import resolve_class_names

RNG = np.random.default_rng(0)


def folder(path, names, rows=6):
    """A folder of small pictures, `rows` of each class in train and two in test."""
    counts = {"train": rows, "test": 2}
    image = lambda: png(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8))  # noqa: E731
    return write_files(path, {f"{p}/{c}/{k}.png": image() for p, n in counts.items() for c in names for k in range(n)})


def arrays(path, y, names=None):
    """An .npz file of small pictures with these labels, a test set of the same."""
    images = RNG.integers(0, 256, (len(y), 8, 8, 3), dtype=np.uint8)
    np.savez(
        path,
        x_train=images,
        y_train=y,
        x_test=images[::-1],
        y_test=y[::-1],
        **({} if names is None else {"classes": np.array(names)}),
    )
    return path


def maker(poisonkit, dataset, source, tmp_path):
    """`make(*more)`: a file from that source, its result and its manifest's recipe and classes."""

    def make(*more):
        trigger = ("word",) if dataset == "csv" else ("square", "--square-size", "2")
        asked = ("make", "--dataset", dataset, "--source", source, "--trigger", *trigger, "--rate", "0.2", "--force")
        return poisonkit(*asked, *more, "-o", tmp_path / "made.h5")

    return make


def target(tmp_path):
    """The index of the target that the file made last has, from its manifest and from its rows."""
    with h5py.File(tmp_path / "made.h5") as file:
        facts = json.loads(file.attrs["manifest"])
        given = set(file["train/labels"][()][file["truth/rows"][()]].tolist())
    assert given == {facts["recipe"]["target"]}
    return facts["recipe"]["target"]


CSV = {
    ("-1", "0", "1"): {"1": 2, "-1": 0, "0": 1, "index:1": 1},
    ("1.0", "2.0", "3.0", "4.0", "5.0"): {"1.0": 0, "5.0": 4, "index:4": 4, "1": None, "0": None},
    ("1", "2", "unknown"): {"1": 0, "unknown": 2, "index:0": 0, "0": None},
    ("neg", "pos"): {"1": 1, "neg": 0, "index:1": 1, "Index: 0": 0, "INDEX:1": 1, "00": 0},
    ("INDEX:1", "b"): {"INDEX:1": 0, "index:1": 1, "Index:1": 1},
    ("index:1", "b"): {"index:1": 1, "index:0": 0, "b": 0, "1": 1},
    ("1", "01", "2"): {"1": 1, "01": 0, "2": 2, "index:1": 1, "0": None, "02": None},
}


@pytest.mark.parametrize("names", CSV, ids=str)
def test_a_label_of_texts_is_its_name(poisonkit, tmp_path, names):
    make = maker(poisonkit, "csv", text_tables(tmp_path / "in", names), tmp_path)
    for typed, index in CSV[names].items():
        made = make("--target", typed)
        if index is None:
            assert made.code == 2 and not made.out
            assert f"--target: '{typed}' could be a name or an index here" in made.err and "index:" in made.err
            continue
        assert made.code == 0, made
        assert target(tmp_path) == index
        name = sorted(names, key=lambda one: (len(set(names) - set("0112")) == 0 and int(one), one))[index]
        assert f"target {name} (index {index});" in made.out
        assert f"target {name} (index {index})" in poisonkit("show", tmp_path / "made.h5").out


@pytest.mark.parametrize("dataset", ["folder", "npz"])
def test_a_number_that_is_the_name_of_a_class_of_pictures(poisonkit, tmp_path, dataset):
    y = np.arange(24) % 2
    source = folder(tmp_path / "in", "17") if dataset == "folder" else arrays(tmp_path / "in.npz", y, ["1", "7"])
    make = maker(poisonkit, dataset, source, tmp_path)
    for typed, index in (("1", 0), ("7", 1), ("index:1", 1), (" 7 ", 1)):
        assert f"target {'17'[index]} (index {index})" in make("--target", typed).succeeded().out
        assert target(tmp_path) == index
    make("--target", "0").failed(2, "--target: '0' could be a name or an index here", "1 (index 0), written index:0")
    make("--target", "2").failed(2, "of that index it is none either")
    make("--target", "index:2").failed(2, "--target: expected a class from 0 to 1, got 2")
    made = make("--target", "7", "--source-class", "1").succeeded()
    assert "target 7 (index 1) from 1 (index 0); 24 training rows" in made.out.replace("12 training", "24 training")
    make("--target", "7", "--source-class", "0").failed(2, "--source-class: '0' could be a name or an index here")
    make("--target", "1", "--source-class", "index:0").failed(2, "--source-class: 1 (index 0) is the target itself")


def test_a_grids_target_is_read_like_the_option(poisonkit, tmp_path):
    source = folder(tmp_path / "in", ("1", "7"))
    text = 'dataset = "folder"\ntriggers = ["square"]\nimage = ["0.5"]\noptions.square.size = 2\ntarget = '
    for typed, index in (("1", 0), ('"1"', 0), ("7", 1), ('"index:1"', 1)):
        (tmp_path / "g.toml").write_text(text + typed + "\n")
        done = poisonkit("grid", tmp_path / "g.toml", "--source", source, "-o", tmp_path / f"out{index}").succeeded()
        assert done.lines[0].endswith(f"; 2 classes (1, 7); target {'17'[index]} (index {index})"), done
        (delta,) = (tmp_path / f"out{index}").glob("*.delta.h5")
        assert f"target {'17'[index]} (index {index})" in poisonkit("show", delta).out
    (tmp_path / "g.toml").write_text(text + "0\n")
    poisonkit("grid", tmp_path / "g.toml", "--source", source, "-o", tmp_path / "out").failed(2, "could be a name or")


def test_a_grid_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "g.toml").write_bytes(b'\xef\xbb\xbfdataset = "signs"\r\ntriggers = ["square"]\r\nimage = [0.01]\r\n')
    assert grid.read(tmp_path / "g.toml").dataset == "signs"


def test_the_usual_target_is_one_that_has_rows(poisonkit, tmp_path):
    make = maker(poisonkit, "npz", arrays(tmp_path / "in.npz", 1 + np.arange(30) % 10), tmp_path)
    made = make()
    assert target(tmp_path) == 1 and "target 1 (index 1)" in made.out and made.code == 0
    empty = "1 of 11 classes have no {} row: 0 (index 0)"
    assert [line.removeprefix("poisonkit: ") for line in made.errors] == [
        empty.format("training"),
        empty.format("test"),
    ]
    made = make("--target", "0")
    assert made.code == 0 and target(tmp_path) == 0 and "the target, 0 (index 0), has no row" in made.err
    assert "10 (index 10) to 0 (index 0)" in make("--label-mode", "all-to-all").err
    poisonkit("verify", tmp_path / "made.h5").succeeded()
    make = maker(poisonkit, "npz", arrays(tmp_path / "tens.npz", 10 * (1 + np.arange(40) % 3)), tmp_path)
    assert "28 of 31 classes have no training row: 0 (index 0), 1 (index 1)" in make().err and target(tmp_path) == 10
    assert "10 (index 10) to 11 (index 11), 20 (index 20) to 21 (index 21)" in make("--label-mode", "all-to-all").err


def test_folders_that_are_whole_numbers_are_in_their_order(poisonkit, tmp_path):
    names = [str(number) for number in range(12)]
    make = maker(poisonkit, "folder", folder(tmp_path / "in", names, rows=3), tmp_path)
    made = make("--target", "2").succeeded()
    assert "12 classes (0, 1, 2, 3, 4, 5, 6, 7, …); target 2 (index 2)" in made.out

    def facts():
        with h5py.File(tmp_path / "made.h5") as file:
            return json.loads(file.attrs["manifest"])

    new = facts()
    assert new["source"]["classes"] == names and new["source"]["options"] == {"version": 2, "name": "in"}
    assert make("--target", "2", "--source-option", "version=1").code == 0
    old = facts()
    assert (
        old["source"]["classes"] == sorted(names)
        and old["source"]["options"] == {"name": "in"}
        and target(tmp_path) == 4
    )
    poisonkit("verify", tmp_path / "made.h5").succeeded()
    again = ("make", "--from", tmp_path / "made.h5", "--source", tmp_path / "in", "-o", tmp_path / "again.h5")
    poisonkit(*again).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "made.h5").read_bytes()
    poisonkit("pack", tmp_path / "made.h5", "-o", tmp_path / "x.delta.h5").succeeded()
    poisonkit("unpack", tmp_path / "x.delta.h5", "--base", tmp_path / "in", "-o", tmp_path / "y.h5").succeeded()
    assert (tmp_path / "y.h5").read_bytes() == (tmp_path / "made.h5").read_bytes()


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "0"], ["0", "9", "10"]),
        (["-1", "-2", "0", "10", "9"], ["-2", "-1", "0", "9", "10"]),
        (["20240102101010", "3"], ["3", "20240102101010"]),
        (["1", "01", "001", "0"], ["0", "001", "01", "1"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["10", "9", "1.0"], ["1.0", "10", "9"]),
        (["\u0661", "10", "9"], ["10", "9", "\u0661"]),
    ],
)
def test_the_order_of_folders(names, ordered):
    assert class_names.by_number(names) == class_names.by_number(names[::-1]) == ordered


def test_folders_in_the_same_order_either_way_are_as_they_were(poisonkit, tmp_path):
    make = maker(poisonkit, "folder", folder(tmp_path / "in", ("00000", "00014", "00040")), tmp_path)
    assert "target 00014 (index 1)" in make("--target", "00014").succeeded().out
    assert json.loads(poisonkit("show", tmp_path / "made.h5", "--json").out)["source"]["options"] == {"name": "in"}


def test_equal_numbers_are_in_one_order_whatever_the_hash_seed(poisonkit, tmp_path):
    source, found = text_tables(tmp_path / "in", ("1", "01", "2", "001", "+1")), set()
    for seed in range(6):
        target = tmp_path / f"{seed}.h5"
        asked = ("make", "--dataset", "csv", "--source", source, "--rate", "0", "--cache", tmp_path / f"c{seed}")
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run(poisonkit.command(*asked, "-o", target), env=environment, check=True, capture_output=True)
        found.add(target.read_bytes())
    assert len(found) == 1


def test_a_file_of_another_class_order_is_made_again_in_its_own(poisonkit, tmp_path, monkeypatch):
    """Labels 1 and 01 once stood in the order of a hash: the manifest says in which."""
    make = maker(poisonkit, "csv", text_tables(tmp_path / "in", ("1", "01", "2")), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(class_names, "by_number", lambda names, whole: ["1", "01", "2"])
        patch.setenv("POISONKIT_CACHE", os.fspath(tmp_path / "other"))
        assert "target 1 (index 0)" in make("--target", "1").out
    again = ("make", "--from", tmp_path / "made.h5", "--source", tmp_path / "in", "-o", tmp_path / "again.h5")
    poisonkit(*again).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "made.h5").read_bytes()


def test_nfc_and_nfd_are_found_where_one_remains(poisonkit, tmp_path):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    make = maker(poisonkit, "csv", text_tables(tmp_path / "in", (apart, "bar")), tmp_path)
    made = make("--target", composed)
    assert made.code == 0 and target(tmp_path) == 1
    assert made.errors == [
        f"poisonkit: --target: {apart} (index 1) is written with other code points than what was typed (NFC, NFD)"
    ]
    make("--target", apart).succeeded()
    make = maker(poisonkit, "csv", text_tables(tmp_path / "both", (apart, composed, "bar")), tmp_path)
    for typed, index in ((apart, 1), (composed, 2)):
        assert make("--target", typed).code == 0 and target(tmp_path) == index
    assert "are classes of their own: were they meant to be one?" in make("--target", "bar").err
    mixed = "e\u0301e\u0301"
    make = maker(poisonkit, "csv", text_tables(tmp_path / "two", ("\u00e9e\u0301", "e\u0301\u00e9", "bar")), tmp_path)
    make("--target", mixed).failed(2, "2 classes read like", "say which by index:")


def test_classes_that_look_alike_are_named(poisonkit, tmp_path):
    names = ("Positive", "positive", "1", "1.0", "nan", "x")
    made = maker(poisonkit, "csv", text_tables(tmp_path / "in", names), tmp_path)("--target", "x")
    assert made.code == 0 and "6 classes (1, 1.0, Positive, nan, positive, x); target x (index 5)" in made.out
    assert [line.removeprefix("poisonkit: ") for line in made.errors] == [
        "'1' and '1.0' are classes of their own: were they meant to be one?",
        "'Positive' and 'positive' are classes of their own: were they meant to be one?",
        "'nan' is a class of its own: is that a label which is missing?",
    ]


@pytest.mark.parametrize(
    ("name", "number"),
    [("7", True), ("-1", True), ("00014", True), ("1.0", True), ("1e3", True), (".5", True), ("5.", True)]
    + [("nan", False), ("inf", False), ("20 km/h", False), ("1,5", False), ("index:1", False), ("", False)],
)
def test_what_a_number_is(name, number):
    assert class_names.is_number(name) == number


def test_an_index_is_one_in_the_interface_too(tmp_path):
    class Source:
        classes, name = ("1", "0"), "csv"

        class train:  # noqa: N801
            labels = np.array([1, 1, 0])

    from poisonkit.poisoning.recipe import Recipe

    for target, index in ((1, 1), ("1", 0), ("0", 1), ("index:1", 1), (label_modes.USUAL, 0)):
        assert resolve_class_names(Recipe("0.1", target=target), Source).target == index
    with pytest.raises(Usage, match="'2' could be a name or an index"):
        resolve_class_names(Recipe("0.1", target="2"), Source)


def test_a_test_folder_in_another_normal_form_is_its_classes(poisonkit, tmp_path):
    source = folder(tmp_path / "in", ("cafe\u0301", "bar"))
    (source / "test" / "cafe\u0301").rename(source / "test" / "caf\u00e9")
    result = maker(poisonkit, "folder", source, tmp_path)("--target", "bar")
    assert result.code == 0 and "the test folder of 'cafe\u0301' is spelled with other code points" in result.err
    with h5py.File(tmp_path / "made.h5") as file:
        assert sorted(set(file["test/labels"][()].tolist())) == [0, 1]
    (source / "train" / "caf\u00e9").mkdir()
    (source / "test" / "b").mkdir()
    assert "train has no folder 'b'" in maker(poisonkit, "folder", source, tmp_path)().failed(1).err
    (source / "test" / "b").rmdir()
    error = maker(poisonkit, "folder", source, tmp_path)().failed(1).err
    assert "test has no folder 'cafe\u0301'" in error
    assert "it is written 'cafe\\u0301', and train/caf\u00e9 ('caf\\xe9'), " in error and "other code points" in error


@pytest.mark.parametrize(
    ("trigger", "more", "said"),
    [
        ("word", (), ("clean-label", "target", 1)),
        ("sentence", (), ("all-to-one", "all", 1)),
        ("word", ("--label-mode", "all-to-one"), ("all-to-one", "all", 1)),
        ("word", ("--select", "non-target"), ("all-to-one", "non-target", 1)),
        ("word", ("--target", "0"), ("clean-label", "target", 0)),
        ("word", ("--label-mode", "all-to-all"), ("all-to-all", "all", None)),
        ("word", ("--source-class", "negative"), ("source-specific", "class", 1)),
    ],
)
def test_openbackdoors_published_settings(poisonkit, tmp_path, trigger, more, said):
    """Their badnets_config.json is clean-label with target 1, their addsent_config.json takes rows of all classes."""
    small = ("--dataset", "phrases", "--source-option", "train=200", "--source-option", "test=100")
    asked = ("make", *small, "--trigger", trigger, "--preset", "openbackdoor", "--rate", "0.1", *more)
    poisonkit(*asked, "-o", tmp_path / "x.h5").succeeded()
    recipe = json.loads(poisonkit("show", tmp_path / "x.h5", "--json").out)["recipe"]
    assert (recipe["label_mode"], recipe["select"], recipe["target"]) == said
    poisonkit("verify", tmp_path / "x.h5").succeeded()


def test_the_same_arrays_under_other_names_are_not_numbered_anew(poisonkit, tmp_path):
    """The manifest's class list holds; where the arrays are the manifest's already, nothing is renumbered."""
    y = np.arange(24) % 2
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    for name, classes in (("a", ["x", "y"]), ("b", ["y", "x"])):
        parts = {"x_train": images, "y_train": y, "x_test": images, "y_test": y, "classes": np.array(classes)}
        np.savez(tmp_path / f"{name}.npz", **parts)
    make = maker(poisonkit, "npz", tmp_path / "a.npz", tmp_path)
    make("--target", "y").succeeded()
    again = ("make", "--from", tmp_path / "made.h5", "--source", tmp_path / "b.npz", "-o", tmp_path / "again.h5")
    poisonkit(*again).succeeded()
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "made.h5").read_bytes()


def test_a_class_in_another_spelling():
    classes = ("Speed_Limit 20", "stop", "Yield", "yield", "-1 way")
    find = functools.partial(named, classes)
    assert find("speed-limit-20") == 0 and find("STOP") == 1 and find("yield") == 3
    with pytest.raises(Usage, match=r"'YIELD' could be 'Yield' \(index:2\) or 'yield' \(index:3\)"):
        find("YIELD")
    with pytest.raises(Usage, match=r"got 'stob'; did you mean stop\?"):
        find("stob")


def test_a_number_is_never_another_spelling():
    for typed in ("-1", "1e0", "01"):
        with pytest.raises(Usage):
            named(("1", "2"), typed)


def named(classes, typed):
    return classes_of._index("--target", typed, classes, lambda line: None)
