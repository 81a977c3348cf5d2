"""`show`, `diff`, `triggers` and `sources`: what they say."""

import json
import re

import damage
import h5py
import pytest
from running import RECIPES

from poisonkit.triggers import registry as triggers


@pytest.mark.parametrize("name", RECIPES)
def test_show_json_is_the_manifest(poisonkit, library, name):
    shown = json.loads(poisonkit("show", "--json", library(name)).succeeded().out)
    assert shown == damage.manifest(library(name))


def test_show_says_what_a_person_wants_to_know(poisonkit, library):
    lines = dict(line.split(None, 1) for line in poisonkit("show", library("warped-patch")).succeeded().lines)
    facts = damage.manifest(library("warped-patch"))
    assert lines["file"].startswith(str(library("warped-patch"))) and lines["file"].endswith(" MB)")
    assert "POISONED" in lines["what"] and "research" in lines["what"]
    assert facts["source"]["title"] in lines["images"] and "licence: Apache-2.0" in lines["images"]
    assert lines["size"] == "200 training + 100 test, 32×32×3"
    assert lines["trigger"].startswith("warped: k 4, s 0.5") or "k 4" in lines["trigger"]
    assert lines["applied"] == "to every patch of 8×8 (BadPatches)"
    assert lines["poisoned"].startswith("20 of 200 rows (asked: 0.1; ")
    assert lines["label"] == f"all-to-one, target {facts['source']['classes'][0]} (index 0)"
    assert lines["triggered"].startswith("90 test rows")
    assert lines["seed"] == "7"
    assert lines["source"] == facts["source"]["digest"] and lines["dataset"] == facts["dataset_digest"]


def test_show_names_every_trigger_in_order(poisonkit, library):
    found = [line for line in poisonkit("show", library("two")).lines if line.startswith("trigger ")]
    assert ["warped" in found[0], "square" in found[1]] == [True, True] and len(found) == 2


def shown(poisonkit, path):
    """The lines after one of its triggers, and the trigger's own."""
    lines = poisonkit("show", path).succeeded().lines
    first = next(number for number, line in enumerate(lines) if line.startswith("trigger "))
    return [line[10:] for line in lines[first : first + 2]], lines


def test_show_says_what_a_trigger_was_given(poisonkit, library, tmp_path):
    digest = damage.manifest(library("pattern"))["pictures"]["0"]["digest"][:23]
    found, lines = shown(poisonkit, library("pattern"))
    assert found[0].startswith("pattern: scale 1") and found[1] == f"array of 32×32×3, {digest}…"
    assert "options   test 100, train 200" in lines
    found, _ = shown(poisonkit, library("images"))
    counts = damage.manifest(library("images"))["counts"]
    changed, tested = counts["poisoned"] + counts["cover"], counts["triggered"] + counts["others"]
    what = f"images made with another tool, of {changed} training rows and {tested} test rows, sha256:"
    assert found[0] == "images" and found[1].startswith(what)
    (tmp_path / "mine.py").write_text(
        "from poisonkit.core.table import Table\n\n\ndef dark(tile, *, by=2):\n"
        "    return Table.build([level // by for level in range(256)], tile)\n"
    )
    asked = ("make", *poisonkit.small, "--trigger", f"{tmp_path / 'mine.py'}:dark", "--option", "by=3", "--rate", "0.1")
    poisonkit(*asked, "-o", tmp_path / "x.h5").succeeded()
    found, _ = shown(poisonkit, tmp_path / "x.h5")
    assert found[0] == "own mine.py:dark: by 3" and found[1].startswith("code of the user's, sha256:")
    assert found[1].endswith("…, a copy is in trigger/0/source")


def test_which_row_got_which_of_several_triggers_is_said(poisonkit, library):
    """`show` counts them, `stats --csv` says it of each row: only the square replaces pixels by black."""
    path = library("one-of")
    table = [line.split(",") for line in poisonkit("stats", path, "--csv").succeeded().lines]
    assert table[0][-1] == "trigger"
    named = {int(line[1]): line[-1] for line in table[1:] if line[0] == "poisoned"}
    with h5py.File(path) as f:
        rows, before, after = f["truth/rows"][:], f["truth/images"][:], f["train/images"][:]
    for row, old in zip(rows.tolist(), before, strict=True):
        changed = (after[row] != old).any(-1)
        assert named[row] == ("square" if changed.sum() <= 16 else "sig")
    counts = {name: list(named.values()).count(name) for name in ("square", "sig")}
    assert all(counts.values()) and {line[-1] for line in table if line[0] == "triggered"} == {""}
    words = f"each changed row has one of these: {counts['square']} square, {counts['sig']} sig; triggered test rows"
    assert words in poisonkit("show", path).succeeded().out
    assert "trigger" not in poisonkit("stats", library("square"), "--csv").lines[0]


def test_show_of_a_clean_file_speaks_of_no_trigger(poisonkit, library):
    out = poisonkit("show", library("clean")).succeeded().out
    assert "clean images, the baseline" in out
    assert "trigger" not in out and "POISONED" not in out and "seed" not in out


# ---- diff


def test_no_difference(poisonkit, library, tmp_path):
    for name in ("clean", "two"):
        copied = damage.copy(library(name), tmp_path)
        assert poisonkit("diff", library(name), copied).succeeded().lines == ["no difference"]


def test_diff_names_the_recipes_values_and_the_rows(poisonkit, library):
    result = poisonkit("diff", library("square"), library("square-patch"))
    assert result.code == 3 and not result.err
    assert "recipe.application: image here, patch there" in result.lines
    assert "recipe.patch: nothing here, [8, 8] there" in result.lines
    with h5py.File(library("square")) as square:
        some = ", ".join(map(str, square["truth/rows"][:8]))
    assert f"train/images: 20 of 200 rows differ ({some}, …)" in result.lines
    assert any(line.startswith("trigger/0/weights: ") and line.endswith("rows differ") for line in result.lines)
    assert "triggered/images: 90 of 90 rows differ (0, 1, 2, 3, 4, 5, 6, 7, …)" in result.lines
    assert not any(line.startswith(("train/labels", "truth/", "test/", "source")) for line in result.lines)


def test_diff_of_a_clean_and_a_poisoned_file(poisonkit, library):
    result = poisonkit("diff", library("clean"), library("square"))
    assert result.code == 3
    assert "kind: clean here, poisoned there" in result.lines
    assert "truth/images: only in the second" in result.lines
    with h5py.File(library("clean")) as clean, h5py.File(library("square")) as square:
        labels = (clean["train/labels"][()] != square["train/labels"][()]).sum()
        images = (clean["train/images"][()] != square["train/images"][()]).any((1, 2, 3)).sum()
    assert any(line.startswith(f"train/labels: {labels} of 200 rows differ (") for line in result.lines)
    assert any(line.startswith(f"train/images: {images} of 200 rows differ (") for line in result.lines)
    back = poisonkit("diff", library("square"), library("clean"))
    assert "truth/images: only in the first" in back.lines and "kind: poisoned here, clean there" in back.lines


def test_diff_of_other_seeds_and_targets(poisonkit, library):
    result = poisonkit("diff", library("warped-patch"), library("notebook-warped"))
    assert result.code == 3
    for line in ("recipe.seed: 7 here, 0 there", "recipe.target: 0 here, 3 there"):
        assert line in result.lines
    assert any(line.startswith("recipe.triggers[0].k: 4 here, 2 there") for line in result.lines)
    assert any(line.startswith("trigger/0/taps: [") for line in result.lines), "shapes differ: 4 taps and 1"


def test_diff_sees_one_byte_though_the_manifests_agree(poisonkit, library, tmp_path):
    changed = damage.copy(library("square"), tmp_path)
    damage.set_rows(changed, "test/images", {0: 7, 1: 7, 2: 7})
    result = poisonkit("diff", library("square"), changed)
    assert result.code == 3 and result.lines == ["test/images: 1 of 100 rows differ (0)"]


# ---- triggers and sources


def test_triggers_names_every_trigger_parameter_and_preset(poisonkit):
    out = poisonkit("triggers").succeeded().out
    for trigger in triggers.TRIGGERS:
        assert re.search(rf"^{trigger.name}( \(also: [^)]*\))?: {re.escape(trigger.summary)}", out, re.MULTILINE)
        for option in trigger.options:
            assert f"--{trigger.name}-{option.key} " in out
        for preset in trigger.presets:
            assert f"--preset {preset}" in out
    assert "--blend-image" in out and "--square-image" not in out


def test_sources_names_every_source_and_what_is_cached(poisonkit, library, tmp_path):
    library("clean")
    out = poisonkit("sources").succeeded().out
    for name in ("cifar10", "gtsrb", "signs"):
        assert name in out
    empty = poisonkit("sources", "--cache", tmp_path / "none").succeeded().out
    assert empty != out and not (tmp_path / "none").exists()
