"""Which rows are poisoned, which are covers, what label they get, and which test rows measure the attack."""

import json
import re

import damage
import h5py
import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from poisonkit.build import request as build_request
from poisonkit.core import label_modes
from poisonkit.core.errors import Failure, Usage
from poisonkit.poisoning import selection
from poisonkit.poisoning.recipe import Recipe, parse_rate
from poisonkit.poisoning.selection import COVER, POISONED

CLASSES = 4
BASE = ("--trigger", "square", "--rate", "0.05")


def request(mode, select, rate="0.1", cover="0", seed=0, sources=(1, 3)):
    return Recipe(
        rate,
        target=None if mode == "all-to-all" else 2,
        seed=seed,
        label_mode=mode,
        select=select,
        source_classes=sources if select == "class" else (),
        cover_rate=cover,
    )


requests = st.builds(
    lambda pair, rate, cover, seed: request(*pair, rate, cover, seed),
    st.sampled_from([(mode, select) for mode, selections in label_modes.SELECTIONS.items() for select in selections]),
    st.integers(20, 60).map(lambda n: parse_rate(f"{n / 1000:.3f}")),
    st.integers(0, 100).map(lambda n: parse_rate(f"{n / 1000:.3f}") if n >= 20 else "0"),
    st.integers(0, 2**63 - 1),
)
label_arrays = st.lists(st.integers(0, CLASSES - 1), min_size=50, max_size=120).map(np.array)


def drawn(asked, train, test):
    """The choice, where there is one; refusals are looked at elsewhere."""
    try:
        return selection.choose(asked, train, test)
    except Usage:
        assume(False)


@settings(max_examples=150, deadline=None)
@given(requests, label_arrays, label_arrays)
def test_the_choice_is_its_twins(asked, train, test):
    found = drawn(asked, train, test)
    total = len(train)

    def of(row):
        return naive.attacked(asked.label_mode, asked.select, asked.target, asked.source_classes, train[row])

    poisoned = naive.chosen_rows(asked.seed, int(float(asked.rate) * total + 1e-9), total, lambda row: of(row)[0])
    covers = naive.chosen_rows(
        asked.seed,
        int(float(asked.cover_rate) * total + 1e-9),
        total,
        lambda row: of(row)[1] and row not in poisoned,
        "cover",
    )
    assert found.poisoned.tolist() == poisoned
    assert found.rows[found.role == COVER].tolist() == covers
    assert found.rows.tolist() == sorted(poisoned + covers) and len(set(found.rows.tolist())) == len(found.rows)
    assert found.eligible == sum(of(row)[0] for row in range(total))
    groups = [naive.attacked(asked.label_mode, asked.select, asked.target, asked.source_classes, y)[3] for y in test]
    assert found.triggered.tolist() == [row for row, group in enumerate(groups) if group == "triggered"]
    assert found.others.tolist() == [row for row, group in enumerate(groups) if group == "others"]


@settings(max_examples=100, deadline=None)
@given(requests, label_arrays, st.integers(61, 120))
def test_rows_are_nested_over_rates(asked, train, more):
    few = drawn(asked, train, train)
    many = drawn(request(asked.label_mode, asked.select, f"0.{more:03d}".rstrip("0"), seed=asked.seed), train, train)
    assert set(few.poisoned) <= set(many.poisoned)


@settings(max_examples=100, deadline=None)
@given(requests, label_arrays, st.integers(101, 200))
def test_covers_are_nested_over_cover_rates_and_change_no_poisoned_row(asked, train, more):
    few = drawn(asked, train, train)
    rate = f"0.{more:03d}".rstrip("0")
    many = drawn(request(asked.label_mode, asked.select, asked.rate, rate, asked.seed), train, train)
    assert np.array_equal(few.poisoned, many.poisoned)
    assert set(few.rows[few.role == COVER]) <= set(many.rows[many.role == COVER])
    assert set(few.poisoned).isdisjoint(many.rows[many.role == COVER])


@settings(max_examples=100, deadline=None)
@given(requests, label_arrays)
def test_the_most_that_is_named_is_the_most(asked, train):
    """A rate that needs more rows than there are is refused with one that does, and does with every row taken."""
    asked = request(asked.label_mode, asked.select, "1", seed=asked.seed)
    eligible = int(selection.eligible(asked, train).sum())
    if eligible == len(train):
        assert len(selection.choose(asked, train, train).poisoned) == eligible
        return
    with pytest.raises(Usage, match=rf"rate: 1 of {len(train)} training rows are .*, but {eligible} are of ") as error:
        selection.choose(asked, train, train)
    most = str(error.value).rsplit(" ", 1)[1]
    assert most == parse_rate(most)
    if eligible:
        again = request(asked.label_mode, asked.select, most, seed=asked.seed)
        assert len(selection.choose(again, train, train).poisoned) == eligible
    else:
        assert most == "0"


def test_rows_of_all_are_those_of_the_paper():
    """What every file had before there was a choice."""
    train = np.arange(1000) % 10
    assert selection.choose(Recipe("0.05", seed=5), train, train).rows.tolist() == naive.chosen_rows(5, 50, 1000)


def test_all_to_all_wraps_around():
    asked = request("all-to-all", "all")
    assert selection.target_labels(asked, np.array([0, 1, 9]), 10).tolist() == [1, 2, 0]
    assert selection.target_labels(request("clean-label", "target"), np.array([0, 2]), 10).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("asked", "words"),
    [(Recipe("0.5", target=0), "every test row of x is of the target class")]
    + [(request("source-specific", "class"), "no test row of x is of class index 1, index 3")],
)
def test_nothing_to_measure_on_is_refused(asked, words):
    choice = selection.choose(asked, np.arange(100) % 4, np.zeros(5, int))
    with pytest.raises(Failure, match=words):
        selection.check_tested(asked, choice, "x")


# ---- from what was typed


def typed(**more):
    return build_request.parse_recipes(build_request.MakeOptions("signs", ("square",), ("0.1",), **more))[0]


@pytest.mark.parametrize(
    ("given_", "mode", "select", "target", "sources"),
    [
        ({}, "all-to-one", "all", label_modes.USUAL, ()),
        ({"target": 3}, "all-to-one", "all", 3, ()),
        ({"target": "3"}, "all-to-one", "all", "3", ()),
        ({"select": "non-target"}, "all-to-one", "non-target", label_modes.USUAL, ()),
        ({"label_mode": "all-to-all"}, "all-to-all", "all", None, ()),
        ({"label_mode": "clean-label", "target": 2}, "clean-label", "target", 2, ()),
        ({"label_mode": "clean-label", "select": "target"}, "clean-label", "target", label_modes.USUAL, ()),
        ({"source_classes": (4,)}, "source-specific", "class", label_modes.USUAL, (4,)),
        ({"source_classes": (7, 4, 7)}, "source-specific", "class", label_modes.USUAL, (7, 4)),
        (
            {"label_mode": "source-specific", "source_classes": (4,)},
            "source-specific",
            "class",
            label_modes.USUAL,
            (4,),
        ),
        (
            {"label_mode": "all-to-one", "select": "class", "source_classes": (4,)},
            "all-to-one",
            "class",
            label_modes.USUAL,
            (4,),
        ),
        ({"label_mode": "all-to-all", "select": "class", "source_classes": (0,)}, "all-to-all", "class", None, (0,)),
    ],
    ids=str,
)
def test_what_one_option_implies(given_, mode, select, target, sources):
    found = typed(**given_)
    assert (found.label_mode, found.select, found.target, found.source_classes) == (mode, select, target, sources)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (
            {"label_mode": "some-to-one"},
            "--label-mode: unknown 'some-to-one': expected one of all-to-one, all-to-all, ",
        ),
        ({"select": "some"}, "--select: unknown 'some': expected one of all, non-target, target, class"),
        ({"label_mode": "all-to-all", "target": 0}, "--target: all-to-all has none"),
        ({"label_mode": "source-specific"}, "--source-class: needed for source-specific"),
        ({"label_mode": "all-to-one", "select": "class"}, "--source-class: needed for --select class"),
        ({"source_classes": (3, 5), "target": 5}, "--source-class: 5 is the target itself"),
        ({"select": "target"}, "--select: target does not go with all-to-one.*--label-mode clean-label"),
        ({"label_mode": "all-to-all", "select": "non-target"}, "--select: non-target .*, expected all or class"),
        ({"label_mode": "clean-label", "select": "all"}, "--select: all does not go with clean-label, expected target"),
        ({"source_classes": (3,), "select": "all"}, "--select: all does not go with source-specific, expected class"),
        ({"label_mode": "clean-label", "source_classes": (3,)}, "--source-class: given, but .* --select target"),
        ({"label_mode": "all-to-one", "source_classes": (3,)}, "--source-class: given, but .* --select all"),
    ],
    ids=str,
)
def test_contradictions_are_refused(given_, words):
    with pytest.raises(Usage, match=words):
        typed(**given_)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--label-mode", "x"), "--label-mode: unknown 'x': expected one of"),
        (("--source-class", "0"), "--source-class: stop (index 0) is the target itself"),
        (("--target", "10"), "--target: expected a class from 0 to 9, got 10"),
        (("--target", "-1"), "--target: expected a class from 0 to 9, got -1"),
        (("--source-class", "10"), "--source-class: expected a class from 0 to 9, got 10"),
        (("--source-class", "3", "--source-class", "-1"), "--source-class: expected a class from 0 to 9, got -1"),
        (
            ("--label-mode", "clean-label", "--rate", "0.2"),
            "0.2 of 200 training rows are 40, but 20 are of class stop (index 0)",
        ),
        (("--source-class", "3", "--rate", "0.2"), "but 20 are of class speed limit 80 (index 3): the most is 0.1"),
        (
            ("--select", "non-target", "--rate", "1"),
            "but 180 are of other classes than stop (index 0): the most is 0.9",
        ),
        (("--source-class", "3", "--cover-rate", "0.9"), "--cover-rate: 0.9 of 200 training rows are 180, but 160 are"),
        (("--cover-rate", "1"), "but 190 are left that may be cover rows: the most is 0.95"),
        (("--cover-rate", "0.001"), "--cover-rate: 0.001 of 200 training rows is less than one row"),
        (("--cover-rate", "1.5"), "--cover-rate: expected a fraction from 0 to 1"),
        (("--cover-rate", "30x"), "--cover-rate: 30x of 0.05 is more than all rows"),
        (("--cover-rate", "-1x"), "--cover-rate: expected a rate, or a multiple"),
        (("--cover-rate", "NaN%"), "--cover-rate: expected a fraction"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(poisonkit, tmp_path, more, words):
    result = poisonkit(
        "make", *poisonkit.small, *BASE[:2], *(() if "--rate" in more else BASE[2:]), *more, "-o", tmp_path
    )
    result.failed(2, words)
    assert not list(tmp_path.iterdir())


# ---- the files


def test_the_name_says_that_something_is_not_the_default(poisonkit, tmp_path):
    names = set()
    plain = re.compile(r"signs-square-0\.05-s0-[0-9a-f]{8}\.h5 ")
    more = [(), ("--label-mode", "all-to-all"), ("--label-mode", "clean-label"), ("--source-class", "3")]
    more += [("--select", "non-target"), ("--cover-rate", "0.1"), ("--cover-rate", "0.05"), ("--target", "1")]
    for options in more:
        line = poisonkit("make", *poisonkit.small, *BASE, *options, "--dry-run", "-o", tmp_path).succeeded().out
        assert plain.search(line), line
        names.add(plain.search(line).group())
    assert len(names) == len(more)
    aloud = ("--label-mode", "all-to-one", "--select", "all", "--target", "0", "--cover-rate", "0")
    line = poisonkit("make", *poisonkit.small, *BASE, *aloud, "--dry-run", "-o", tmp_path).succeeded().out
    assert plain.search(line).group() in names, "the defaults, said aloud, are the defaults"


def test_keys_of_the_recipe_that_are_there_only_when_used(library):
    late = {"source_classes", "cover_rate", "cover_jitter"}
    expected = {
        "square": {},
        "all-to-all": {},
        "clean-label": {},
        "source-specific": {"source_classes": [3, 5], "cover_rate": "0.1"},
        "wanet": {"cover_rate": "0.2", "cover_jitter": True},
    }
    for name, values in expected.items():
        facts = damage.manifest(library(name))
        assert {key: value for key, value in facts["recipe"].items() if key in late} == values
        assert ("others" in facts["counts"]) == (name == "source-specific")
    assert damage.manifest(library("all-to-all"))["recipe"]["target"] is None


def test_a_source_specific_attack_on_all_other_classes_has_no_others(poisonkit, tmp_path):
    sources = [word for label in range(1, 10) for word in ("--source-class", str(label))]
    path = tmp_path / "x.h5"
    poisonkit("make", *poisonkit.small, *BASE, *sources, "-o", path).succeeded()
    with h5py.File(path) as f:
        assert "others" not in f and len(f["triggered/rows"]) == 90
    assert poisonkit("verify", path).succeeded() and "others" not in poisonkit("show", path).out


def test_show_says_it_in_words(poisonkit, library):
    def shown(name):
        lines = poisonkit("show", library(name)).succeeded().lines
        return {line[:10].strip(): line[10:] for line in lines}

    names = damage.manifest(library("square"))["source"]["classes"]
    assert shown("all-to-all")["label"] == "all-to-all"
    assert shown("clean-label")["label"] == f"clean-label, target {names[2]} (index 2)"
    assert shown("wanet-patch")["label"] == f"all-to-one, target {names[0]} (index 0), from all other classes"
    found = shown("source-specific")
    where = f"target {names[1]} (index 1), from {names[3]} (index 3), {names[5]} (index 5)"
    assert found["label"] == f"source-specific, {where}"
    assert found["cover"].startswith("20 rows") and found["others"].startswith("70 test rows")
    assert "cover" not in shown("square") and "noise of its own" in shown("wanet")["cover"]


def test_stats_measures_every_group(poisonkit, library):
    for name, groups in (
        ("source-specific", {"poisoned": 10, "cover": 20, "triggered": 20, "others": 70}),
        ("clean-label", {"poisoned": 10, "triggered": 90}),
        ("wanet", {"poisoned": 20, "cover": 40, "triggered": 90}),
    ):
        found = json.loads(poisonkit("stats", library(name), "--json").succeeded().out)
        assert {group: part["images"] for group, part in found.items()} == groups
    assert found["cover"]["psnr"]["mean"] < found["poisoned"]["psnr"]["mean"], "noise is on top of the warp"
    lines = poisonkit("stats", library("source-specific"), "--csv").succeeded().lines
    with h5py.File(library("source-specific")) as f:
        rows = f["truth/rows"][()][f["truth/role"][()] == COVER]
    assert [int(line.split(",")[1]) for line in lines if line.startswith("cover,")] == rows.tolist()


def test_roles_are_what_they_were(library):
    with h5py.File(library("source-specific")) as f:
        role, given_, truth = f["truth/role"][()], f["train/labels"][()][f["truth/rows"][()]], f["truth/labels"][()]
    assert (given_[role == POISONED] == 1).all() and np.isin(truth[role == POISONED], (3, 5)).all()
    assert np.array_equal(given_[role == COVER], truth[role == COVER])
    assert not np.isin(truth[role == COVER], (1, 3, 5)).any()
