"""`poisonkit make`: what it writes, says and refuses."""

import hashlib
import json
import os
import re
import shutil

import damage
import h5py
import naive
import numpy as np
import pytest


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_several_rates_are_several_files_with_nested_rows(poisonkit, tmp_path):
    asked = ("--trigger", "square", "--per-patch", "--rate", "0.05", "--rate", "0", "--rate", "10%", "--rate", "0.1")
    result = poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "new" / "folder").succeeded()
    made = files(tmp_path / "new" / "folder")
    stems = [re.sub("-[0-9a-f]{8}", "", name) for name in made]
    assert stems == [
        f"signs-{name}.{suffix}"
        for name in ("clean", "square-patch8-0.05-s0", "square-patch8-0.1-s0")
        for suffix in ("h5", "manifest.json")
    ]
    assert len(result.lines) == 3 and all(line.startswith("wrote ") for line in result.lines)
    assert "200 training rows, 10 poisoned (3 of the target class already, 0 without a changed byte)" in result.lines[0]
    assert "90 triggered test rows; 100 test rows" in result.lines[0]
    assert result.lines[1].endswith("MB): 200 training rows; 100 test rows")
    rows = {}
    for name in made:
        if name.endswith(".h5") and "clean" not in name:
            with h5py.File(tmp_path / "new" / "folder" / name) as f:
                rows[len(f["truth/rows"])] = set(f["truth/rows"][()].tolist())
    assert rows[10] < rows[20]
    assert rows[20] == set(naive.chosen_rows(0, 20, 200))


@pytest.mark.parametrize("seed", ["0", "7", str(2**63 - 1)])
def test_a_seed_is_a_choice_of_rows(poisonkit, tmp_path, seed):
    asked = ("--trigger", "square", "--rate", "0.05", "--seed", seed)
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        assert f["truth/rows"][()].tolist() == naive.chosen_rows(int(seed), 10, 200)
    facts = damage.manifest(tmp_path / "x.h5")
    assert facts["recipe"]["seed"] == int(seed) and f"-s{seed}-" in facts["name"]


def test_the_target_is_what_poisoned_rows_are_labelled(poisonkit, tmp_path):
    asked = ("--trigger", "square", "--rate", "0.05", "--target", "9")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        assert (f["train/labels"][()][f["truth/rows"][()]] == 9).all()
        assert (f["triggered/labels"][()] != 9).all() and (f["triggered/wanted"][()] == 9).all()
        assert len(f["triggered/rows"]) == (f["test/labels"][()] != 9).sum()


def test_every_row_may_be_poisoned(poisonkit, tmp_path):
    poisonkit("make", *poisonkit.small, "--trigger", "warped", "--rate", "1", "-o", tmp_path / "x.h5").succeeded()
    with h5py.File(tmp_path / "x.h5") as f:
        assert f["truth/rows"][()].tolist() == list(range(200)) and not f["train/labels"][()].any()
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()


def test_triggers_are_applied_in_order(poisonkit, tmp_path):
    """A blend over a square shows the square through; a square over a blend does not."""
    for names in (("square", "blend"), ("blend", "square")):
        asked = [part for name in names for part in ("--trigger", name)]
        poisonkit("make", *poisonkit.small, *asked, "--rate", "0.1", "-o", tmp_path / f"{names[0]}.h5").succeeded()
    with h5py.File(tmp_path / "square.h5") as under, h5py.File(tmp_path / "blend.h5") as over:
        rows = under["truth/rows"][()]
        assert (over["train/images"][()][rows][:, :4, :4] == 0).all()
        assert (under["train/images"][()][rows][:, :4, :4] > 0).any()


def test_the_same_trigger_twice(poisonkit, tmp_path):
    asked = ("--trigger", "warped", "--trigger", "warped", "--rate", "0.1")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path).succeeded()
    (path,) = tmp_path.glob("signs-warped+warped-0.1-s0-*.h5")
    facts = damage.manifest(path)
    assert facts["recipe"]["streams"] == ["flow", "flow-1", "rows"]
    with h5py.File(path) as f:
        assert (f["trigger/0/flow"][()] != f["trigger/1/flow"][()]).any()
    assert poisonkit("verify", path).succeeded()


def test_a_users_picture(poisonkit, library, tmp_path):
    poisonkit("preview", library("clean"), "-o", tmp_path / "my.png").succeeded()
    asked = ("--trigger", "blend", "--rate", "0.1", "--blend-image", tmp_path / "my.png")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5").succeeded()
    facts = damage.manifest(tmp_path / "x.h5")
    assert facts["pictures"]["0"].keys() == {"digest", "shape"}
    assert "my.png" not in damage.canonical(facts), "paths and file names stand in the sidecar alone"
    shutil.copy(tmp_path / "my.png", tmp_path / "other name.png")
    asked = (*asked[:-1], tmp_path / "other name.png")
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "y.h5").succeeded()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "y.h5").read_bytes()


def test_unchanged_rows_are_counted(poisonkit, tmp_path):
    asked = ("--trigger", "blend", "--blend-alpha", "0", "--rate", "0.1")
    result = poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "x.h5")
    assert result.code == 0 and "changes a byte of none of the 20 poisoned images" in result.err
    assert "20 without a changed byte" in result.out
    assert damage.manifest(tmp_path / "x.h5")["counts"]["unchanged"] == 20
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()


# ---- names


def test_default_options_give_the_plain_name(poisonkit, tmp_path):
    """(A dry run, since the whole of signs takes long to draw … it has to be drawn for its labels all the same.)"""
    result = poisonkit("make", *poisonkit.small, "--trigger", "square", "--rate", "0.0500", "-o", tmp_path, "--dry-run")
    assert re.search(r"signs-square-0\.05-s0-[0-9a-f]{8}\.h5", result.succeeded().out)
    assert not files(tmp_path)


def test_output_may_be_a_file(poisonkit, tmp_path):
    poisonkit("make", *poisonkit.small, "--rate", "0", "-o", tmp_path / "a" / "my.name.h5").succeeded()
    assert files(tmp_path / "a") == ["my.name.h5", "my.name.manifest.json"]
    said = json.loads((tmp_path / "a" / "my.name.manifest.json").read_text())
    assert said["file"]["name"] == "my.name.h5" and said["manifest"]["name"].startswith("signs-clean-")


def test_a_name_of_any_characters(poisonkit, tmp_path):
    for name in ("with space [1] *?.h5", "übung.h5", os.fsdecode(b"not\xffutf8.h5"), "-dash.h5", "two\nlines.h5"):
        path = tmp_path / name
        assert poisonkit("make", *poisonkit.small, "--rate", "0", "-o", path).succeeded()
        assert poisonkit("verify", path).succeeded()
        assert "nothing to do" in poisonkit("make", *poisonkit.small, "--rate", "0", "-o", path).succeeded().out
    assert all(not name.endswith(".tmp") for name in files(tmp_path))


# ---- what lies there already


def test_what_lies_there_and_verifies_is_left_alone(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "x.h5")
    poisonkit(*asked).succeeded()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.iterdir()}
    result = poisonkit(*asked).succeeded()
    assert result.lines == [f"{tmp_path / 'x.h5'} already exists and verifies; nothing to do"]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.iterdir()} == before


def test_a_missing_sidecar_is_written_again(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--rate", "0", "-o", tmp_path / "x.h5")
    poisonkit(*asked).succeeded()
    said = json.loads((tmp_path / "x.manifest.json").read_text())
    (tmp_path / "x.manifest.json").unlink()
    assert "nothing to do" in poisonkit(*asked).succeeded().out
    again = json.loads((tmp_path / "x.manifest.json").read_text())
    assert (again["manifest"], again["file"]) == (said["manifest"], said["file"])


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (("--seed", "1"), "recipe.seed"),
        (("--target", "1"), "recipe.target"),
        (("--rate", "0.2"), "recipe.rate"),
        (("--per-patch",), "recipe.patch"),
        (("--square-size", "3"), "recipe.triggers[0].size"),
        (("--source-option", "seed=1"), "source.digest"),
    ],
)
def test_another_recipe_under_the_same_name_is_refused(poisonkit, library, tmp_path, other, word):
    path = damage.copy(library("square"), tmp_path, "x.h5")
    before = path.read_bytes()
    rate = () if "--rate" in other else ("--rate", "0.1")
    asked = ("make", *poisonkit.small, "--trigger", "square", *rate, *other, "-o", path)
    poisonkit(*asked).failed(1, str(path), "different recipe", word, "--force")
    assert path.read_bytes() == before and files(tmp_path) == ["x.h5"]
    assert poisonkit(*asked, "--force").succeeded().out.startswith("wrote ")
    assert path.read_bytes() != before
    assert poisonkit("verify", path).succeeded() and files(tmp_path) == ["x.h5", "x.manifest.json"]


@pytest.mark.parametrize("what", ["tampered", "truncated", "text", "clean", "folder", "sidecar"])
def test_something_else_in_the_way_is_refused(poisonkit, library, tmp_path, what):
    path = tmp_path / "x.h5"
    asked = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", path)
    if what == "folder":
        path.mkdir()
        poisonkit(*asked).failed(1, str(path))
        poisonkit(*asked, "--force").failed(1, str(path))
        assert files(tmp_path) == ["x.h5"] and path.is_dir()
        return
    damage.copy(library("clean" if what == "clean" else "square"), tmp_path, "x.h5")
    if what == "tampered":
        damage.set_rows(path, "truth/images", {0: 1})
    elif what == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif what == "text":
        path.write_text("precious")
    elif what == "sidecar":
        (tmp_path / "x.manifest.json").write_text("{}")
        for more in ((), ("--force",)):  # it may be the user's own
            poisonkit(*asked, *more).failed(1, "x.manifest.json", "not written by poisonkit: move it")
        (tmp_path / "x.manifest.json").unlink()
        poisonkit(*asked).succeeded()
        return
    before = path.read_bytes()
    poisonkit(*asked).failed(1, str(path), "--force")
    assert path.read_bytes() == before
    assert poisonkit(*asked, "--force").succeeded()
    assert poisonkit("verify", path).succeeded()
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(library("square").read_bytes()).digest()


def test_force_allows_a_trigger_that_covers_everything(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--trigger", "square", "--patch-size", "4", "--rate", "0.1", "-o", tmp_path)
    poisonkit(*asked).failed(2, "leaves no pixel of the original", "--force")
    assert not files(tmp_path)
    poisonkit(*asked, "--force").succeeded()
    (path,) = tmp_path.glob("*.h5")
    assert poisonkit("verify", path).succeeded()


@pytest.mark.parametrize("words", [
    ("blend", "--blend-alpha", "0.2", "--blend-test-alpha", "1"),
    ("adaptive-blend", "--adaptive-blend-test-alpha", "1"),
])  # fmt: skip
def test_nor_does_one_that_covers_every_test_row_pass_in_silence(words, poisonkit, tmp_path):
    """All triggered rows would be one picture, and ASR 0 or 100 whatever was learned."""
    asked = ("make", *poisonkit.small, "--trigger", *words, "--rate", "0.1", "-o", tmp_path)
    poisonkit(*asked).failed(2, "leaves no pixel of the original of a test row", "--force")
    assert not files(tmp_path)
    poisonkit(*asked, "--force").succeeded()


# ---- dry run


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(poisonkit, library, tmp_path):
    asked = ("--trigger", "square", "--rate", "0.1", "--rate", "0", "-o", tmp_path / "new", "--dry-run")
    result = poisonkit("make", *poisonkit.small, *asked).succeeded()
    assert not files(tmp_path)
    size = library("square").stat().st_size / 1e6
    said = re.fullmatch(r"would write (\S+) \(([\d.]+) MB\): (.*)", result.lines[0])
    assert said[1].startswith(str(tmp_path / "new" / "signs-square-0.1-s0-"))
    assert abs(float(said[2]) - size) <= 0.1
    assert "20 poisoned" in said[3] and "90 triggered test rows" in said[3]
    assert "signs-clean-" in result.lines[1] and len(result.lines) == 2


@pytest.mark.parametrize(
    ("asked", "words", "never"),
    [
        (("--trigger", "square"), ": target stop (index 0); 200 training", "published"),
        (
            ("--trigger", "square", "--label-mode", "untargeted"),
            ": untargeted: each poisoned row gets another class, drawn for it; 200 training rows, 20 poisoned; 100",
            "already",
        ),
        (
            ("--trigger", "square", "--label-mode", "all-to-all"),
            ": all-to-all: each class becomes the next;",
            "already",
        ),
        (
            ("--trigger", "sig", "--label-mode", "clean-label"),
            "target stop (index 0), clean-label: its own rows, no label changes; 200 training rows, 20 poisoned; 90",
            "published",
        ),
        (
            ("--trigger", "lc"),
            "; label-consistent is published as a clean-label attack: --label-mode clean-label",
            "no l",
        ),
        (("--trigger", "SIG"), "; sig is published as a clean-label attack: --label-mode clean-label", "no label"),
        (("--trigger", "ctrl", "--source-class", "3"), "from speed limit 80 (index 3)", "no label"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_last_line_says_what_becomes_of_the_labels(poisonkit, tmp_path, asked, words, never):
    whole = ("make", *poisonkit.small, *asked, "--rate", "0.1", "-o", tmp_path)
    planned = poisonkit(*whole, "--dry-run").succeeded().out
    assert words in planned and never not in planned


@pytest.mark.parametrize(("dark", "some"), [(9, None), (10, "only 10"), (20, "none")])
def test_a_trigger_that_changes_next_to_nothing_is_said_to(poisonkit, tmp_path, dark, some):
    """A black square on images that are black already."""
    x, y = np.full((20, 32, 32, 3), 200, np.uint8), np.arange(20) % 2
    x[:dark] = 0
    np.savez(tmp_path / "x.npz", x_train=x, y_train=y, x_test=x[::-1][:4], y_test=y[:4])
    asked = ("make", "--dataset", "npz", "--source", tmp_path / "x.npz", "--trigger", "square", "--rate", "1")
    result = poisonkit(*asked, "-o", tmp_path / "x.h5")
    said = f"poisonkit: {tmp_path / 'x.h5'}: the trigger changes a byte of {some} of the 20 poisoned images\n"
    assert result.code == 0 and result.err == (said if some else "")


# ---- what makes no sense


@pytest.mark.parametrize(
    ("asked", "words", "never"),
    [
        (
            ("--trigger", "adaptive-patch", "--rate", "0.4"),
            "--cover-rate 2x, which adaptive-patch has by default: 0.8 of 200 training rows are 160, but 120",
            "--cover-rate: ",
        ),
        (
            ("--trigger", "adaptive-patch", "--rate", "0.6"),
            "--cover-rate 2x, which adaptive-patch has by default: 2x of 0.6 is more than all rows",
            "--cover-rate: ",
        ),
        (
            ("--trigger", "warped", "--preset", "wanet", "--rate", "0.4"),
            "--cover-rate 2x, which --preset wanet sets: 0.8 of 200",
            "--cover-rate: ",
        ),
        (
            ("--trigger", "adaptive-patch", "--preset", "backdoor-toolbox"),
            "--rate 0.003, which --preset backdoor-toolbox sets: 0.003 of 200 training rows is less than one row",
            "cover",
        ),
        (
            ("--trigger", "warped", "--preset", "wanet"),
            "--rate: expected a poisoning rate, which --preset wanet does not set",
            "cover",
        ),
        (("--trigger", "square", "--preset", "wannet"), "--preset: unknown 'wannet'", "rate"),
        (
            ("--trigger", "square", "--rate", "0.1", "--split", "0.2"),
            "--split: the source signs has no such option, which is one of folder",
            "source-option",
        ),
        (
            ("--trigger", "square", "--rate", "0.1", "--size", "16"),
            "--size: the source signs has no such option",
            "train",
        ),
        (("--trigger", "square", "--rate", "0.1", "--name", "x"), "--name: the source signs has no such option", "KEY"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_no_option_is_blamed_that_was_not_given(poisonkit, tmp_path, asked, words, never):
    result = poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "new")
    result.failed(2, words)
    assert never not in result.err and not files(tmp_path)


def test_sizes_that_are_none(poisonkit, tmp_path):
    asked = ("make", "--dataset", "imagenette", "--rate", "0", "-o", tmp_path / "new", "--source", tmp_path)
    poisonkit(*asked, "--size", "abc").failed(2, "--size: expected a number or HEIGHTxWIDTH, got 'abc'")
    poisonkit(*asked, "--size", "8", "--source-option", "size=9").failed(2, "--size: --source-option size=9 says the")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--trigger", "star", "--rate", "0.1"), ["unknown trigger 'star'", "expected one of "]),
        (("--trigger", "square", "--rate", "1.1"), ["rate: expected a fraction from 0 to 1"]),
        (("--trigger", "square", "--rate", "-1"), ["rate: expected a fraction from 0 to 1"]),
        (("--trigger", "square", "--rate", "0.0001"), ["less than one row", "the least that gives one is 0.005"]),
        (("--trigger", "square", "--rate", "0.1", "--patch-size", "5"), ["does not divide images of 32×32"]),
        (("--trigger", "square", "--rate", "0.1", "--patch-size", "2"), ["does not fit a tile of 2×2"]),
        (("--trigger", "square", "--rate", "0.1", "--square-size", "33"), ["does not fit a tile of 32×32"]),
        (("--trigger", "square", "--rate", "0.1", "--square-size", "9", "--per-patch"), ["does not fit a tile of 8×8"]),
        (
            ("--trigger", "square", "--rate", "0.1", "--target", "10"),
            ["--target: expected a class from 0 to 9, got 10"],
        ),
        (
            ("--trigger", "square", "--rate", "0.1", "--target", "-1"),
            ["--target: expected a class from 0 to 9, got -1"],
        ),
        (
            ("--trigger", "square", "--rate", "0.1", "--target", "\N{MINUS SIGN}1"),
            ["--target: expected a class from 0 to 9, got -1"],
        ),
        (("--trigger", "square", "--rate", "0.1", "--blend-alpha", "1"), ["requires --trigger blend"]),
        (("--trigger", "square", "--rate", "0.1", "--preset", "x"), ["--preset: unknown 'x'"]),
        (("--trigger", "square", "--rate", "0.1", "--square-value", "300"), ["--square-value: expected"]),
        (("--rate", "0.1"), ["--trigger: expected one or more of"]),
        (("--trigger", "square", "--rate", "0.1", "--source-option", "x=1"), ["no option 'x'"]),
        (("--trigger", "square", "--rate", "0.1", "--source-option", "test"), ["--source-option: expected KEY=NUMBER"]),
        (("--trigger", "square", "--rate", "0.1", "--source-option", "train=0"), ["at least 1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_one_line_and_exit_2(poisonkit, tmp_path, asked, words):
    poisonkit("make", *poisonkit.small, *asked, "-o", tmp_path / "new").failed(2, *words)
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("make",), "missing option '--dataset'; see poisonkit make --help"),
        (("make", "--dataset"), "option '--dataset' requires an argument"),
        (("make", "--dataset", "signs"), "missing option '--rate'; see"),
        (("make", "--rate", "0"), "missing option '--dataset'; see"),
        (("make", "--dataset", "signs", "--rate", "0", "--seed", "-1"), "invalid value for '--seed': -1 is not in"),
        (("make", "--dataset", "signs", "--rate", "0", "--seed", str(2**63)), f"'--seed': {2**63} is not in"),
        (("make", "--dataset", "signs", "--rate", "0", "--seed", "x"), "'--seed': 'x' is not a valid integer"),
        (("make", "--dataset", "signs", "--rate", "0", "--threads", "0"), "'--threads': 0 is not in the range"),
        (("make", "--dataset", "signs", "--rate", "0", "--no-such-option"), "no such option"),
        (("make", "--dataset", "signs", "--rate", "0", "stray"), "got unexpected extra argument (stray); see"),
        (("show",), "missing argument 'FILE'; see poisonkit show --help"),
        (("show", "a", "b"), "got unexpected extra argument (b); see"),
        (("show", "--two\nlines"), "no such option"),
        (("verify",), "missing argument 'FILES...'; see"),
        (("preview", "x.h5", "-o", "x.png", "--rows", "0"), "invalid value for '--rows': 0 is not in the range"),
        (("preview", "x.h5", "-o", "x.png", "--amplify", "x"), "'--amplify': 'x' is not a valid integer"),
        (("grid", "--paper", "x"), "invalid value for '--paper': 'x' is not one of"),
        (("diff", "a"), "missing argument 'SECOND'; see"),
        (("apply", "x.h5", "-o", "y.png"), "missing argument 'PICTURES"),
        (("apply", "x.h5", "y.jpg"), "missing option '-o' / '--output'; see"),
        (("export", "x.h5"), "missing option '--format'; see"),
        (("no-such-command",), "no such command 'no-such-command'; see poisonkit --help"),
        (("--no-such-option",), "no such option"),
    ],
    ids=lambda value: " ".join(value).replace("\n", " ") if isinstance(value, tuple) else "",
)
def test_clicks_own_complaints_are_one_line_and_exit_2(poisonkit, asked, words):
    assert not poisonkit(*asked).failed(2, words).out


def test_no_command_at_all_is_the_whole_help(poisonkit):
    result, whole = poisonkit(), poisonkit("--help").succeeded()
    assert result.code == 2 and result.out + result.err == whole.out


def test_an_unknown_data_set(poisonkit, tmp_path):
    asked = ("make", "--dataset", "mnist", "--rate", "0", "-o", tmp_path)
    poisonkit(*asked).failed(2, "unknown source 'mnist'", "cifar10, ")


def test_only_rows_of_the_target_class_in_the_test_set(poisonkit, tmp_path):
    """Without a test row of another class no attack success could be measured."""
    asked = ("--dataset", "signs", "--source-option", "train=50", "--source-option", "test=1")
    refused = []
    for target in range(10):
        result = poisonkit(
            "make",
            *asked,
            "--trigger",
            "square",
            "--rate",
            "0.1",
            "--target",
            str(target),
            "-o",
            tmp_path / f"{target}.h5",
        )
        if result.code:
            refused.append(result.failed(1, "every test row of signs is of the target class"))
    assert len(refused) == 1


@pytest.mark.parametrize("picture", ["missing", "folder", "empty", "text", "cut"])
def test_a_picture_that_does_not_decode(poisonkit, library, tmp_path, picture):
    path = tmp_path / "picture.png"
    if picture == "folder":
        path.mkdir()
    elif picture == "cut":
        poisonkit("preview", library("clean"), "-o", path)
        path.write_bytes(path.read_bytes()[:40])
    elif picture != "missing":
        path.write_bytes(b"" if picture == "empty" else b"no picture at all")
    asked = ("--trigger", "blend", "--rate", "0.1", "--blend-image", path, "-o", tmp_path / "x.h5")
    poisonkit("make", *poisonkit.small, *asked).failed(1, str(path))
    assert not (tmp_path / "x.h5").exists()


def test_a_picture_for_a_trigger_that_was_not_chosen(poisonkit, tmp_path):
    asked = ("--trigger", "square", "--rate", "0.1", "--blend-image", tmp_path / "x.png", "-o", tmp_path / "x.h5")
    poisonkit("make", *poisonkit.small, *asked).failed(2, "--blend-image: requires --trigger blend")


@pytest.mark.parametrize("where", ["file/x.h5", "file", "file/deeper/x.h5", "x" * 300 + ".h5", "x" * 300])
def test_an_output_that_cannot_be(poisonkit, tmp_path, where):
    (tmp_path / "file").write_text("precious")
    poisonkit("make", *poisonkit.small, "--rate", "0", "-o", tmp_path / where).failed(1)
    poisonkit("make", *poisonkit.small, "--rate", "0", "--force", "-o", tmp_path / where).failed(1)
    assert files(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "precious"


def test_a_sidecar_that_cannot_be_written(poisonkit, tmp_path):
    """The file itself is whole; the line says what is missing, and the next run writes it."""
    (tmp_path / "x.manifest.json").mkdir()
    asked = ("make", *poisonkit.small, "--rate", "0", "-o", tmp_path / "x.h5")
    poisonkit(*asked).failed(1, "x.manifest.json")
    (tmp_path / "x.manifest.json").rmdir()
    poisonkit(*asked).succeeded()
    assert files(tmp_path) == ["x.h5", "x.manifest.json"]
    assert poisonkit("verify", tmp_path / "x.h5").succeeded()


def test_a_cache_that_was_damaged_is_noticed_and_made_again(poisonkit, tmp_path):
    cache = tmp_path / "cache"
    asked = ("make", *poisonkit.small, "--cache", cache, "--trigger", "square", "--rate", "0.1")
    poisonkit(*asked, "-o", tmp_path / "good.h5").succeeded()
    (images,) = cache.glob("entries/*/train_images")
    data = np.fromfile(images, "u1")
    data[12345] ^= 1
    data.tofile(images)
    poisonkit(*asked, "-o", tmp_path / "x.h5").failed(1, "train/images", "removed from the cache")
    assert not (tmp_path / "x.h5").exists() and not list(tmp_path.glob(".*.tmp"))
    poisonkit(*asked, "-o", tmp_path / "x.h5").succeeded()
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "good.h5").read_bytes()
