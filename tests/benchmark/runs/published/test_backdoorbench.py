"""BackdoorBench's figures beside ours: which there are, which runs may be held against them, and what tables say."""

import dataclasses
import hashlib
import json
import re
from fractions import Fraction

import click.testing
import fake_runs
import h5py
import pytest

from benchmark.cli import main
from benchmark.runs import groups, published, results
from benchmark.runs.published import backdoorbench, leaderboard, registry
from benchmark.training.settings import PRESETS, PRESETS_OF

NETWORK = backdoorbench.NETWORK
SQUARE = {"name": "square", "position": "lower-right", "size": 3, "value": [255]}
BLEND = {"name": "blend", "alpha": "0.2", "rounding": "truncate"}
SIG = {"name": "sig", "delta": "40", "frequency": "6", "orientation": "horizontal", "rounding": "truncate"}
CLEAN_LABEL = {"label_mode": "clean-label", "select": "target"}
KITTY = f"sha256:{hashlib.sha256(b'kitty').hexdigest()}"


def at_their_settings(source="cifar10", **changes):
    return dataclasses.replace(PRESETS_OF[NETWORK][f"backdoorbench-{source}"], **changes)


def write(runs, trigger=SQUARE, source="cifar10", settings=None, rate="0.1", **more):
    """One run on BackdoorBench's network, by default at its settings and with its BadNets."""
    settings = settings or at_their_settings(source)
    return fake_runs.write(runs, trigger=trigger, source=source, settings=settings, rate=rate, **more)


def command(name, *words):
    """`benchmark NAME WORDS` in this process, which must succeed."""
    done = click.testing.CliRunner().invoke(main.main, [name, *map(str, words)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def rows(runs, *words):
    """The records of our cells, and what is published beside them."""
    found = json.loads(command("table", runs, "--format", "json", *words))
    return [row for row in found if row["runs"]]


def verdicts(runs, *words, source="backdoorbench"):
    """Score → verdict of the only cell."""
    (row,) = rows(runs, *words)
    scores = row["scores"].items()
    return {name: score["published"][source]["verdict"] for name, score in scores if "published" in score}


def test_the_figures_that_come_with_the_program():
    found = published.PUBLISHED["backdoorbench"].attacks()
    assert len(found) == 44 and {key.network for key in found} == {NETWORK}
    golden = {
        ("cifar10", "square", "0.1"): (91.32, 95.03, 4.67),
        ("cifar10", "blend", "0.001"): (93.80, 56.11, 39.37),
        ("cifar10", "sig", "0.05"): (93.64, 97.09, 2.90),
        ("cifar10", "warped", "0.1"): (91.25, 89.73, 9.76),
        ("gtsrb", "square", "0.001"): (98.60, 12.69, 84.54),
        ("gtsrb", "sig", "0.005"): (98.55, 66.70, 22.97),
        ("gtsrb", "warped", "0.001"): (97.87, 0.00, 97.61),
    }
    for (dataset, trigger, rate), scores in golden.items():
        figures = found[registry.Key(dataset, NETWORK, trigger, "image", Fraction(rate))]
        assert figures == dict(zip(("ba", "asr", "still_right"), scores, strict=True))
    head = (registry.FOLDER / "backdoorbench.csv").read_text().splitlines()[:5]
    for words in (
        "results.csv",
        "a4ef038b2c202d29d679f9c449635676cfc44544",
        "1f5f604dbed5545981c749d7ea98f259e1a02d2dcab9066568ed34ca64796a46",
        "one run each (seed 0), no intervals",
        "states none, BackdoorBench's code is CC BY-NC 4.0",
    ):
        assert words in "\n".join(head)


def test_the_figures_are_those_of_the_leaderboard(root):
    whole = root.parent / "shared" / "paper" / "backdoorbench.csv"
    if not whole.is_file():
        pytest.skip("the leaderboard is not here")
    theirs = backdoorbench.of_file(whole)
    assert theirs.attacks() == published.PUBLISHED["backdoorbench"].attacks()


@pytest.mark.parametrize("seeds", [1, 3])
def test_at_their_settings_ours_is_judged(seeds, tmp_path):
    for seed in range(seeds):
        write(tmp_path, seed=seed, ba=91 + seed, asr=99)
    agreed = {"ba": "agrees", "asr": "undecided" if seeds == 1 else "differs", "still_right": "agrees"}
    assert verdicts(tmp_path, "--beside", "backdoorbench") == agreed
    (row,) = rows(tmp_path, "--beside", "backdoorbench")
    theirs = row["scores"]["asr"]["published"]["backdoorbench"]
    assert theirs["figure"] == 95.03 and theirs["note"] == "one run, no interval"
    assert theirs["difference"] == pytest.approx(99 - 95.03) and row["deviates_in"] == {"backdoorbench": []}
    text = command("table", tmp_path, "--beside", "backdoorbench", "--wide")
    assert re.search(r"ASR +99\.0.* +95\.0 +\+4\.0 +(undecided|differs)\n", text)
    assert "BackdoorBench: one run, no interval" in text.splitlines()
    assert "BackdoorBench: published cells not run at its settings: 16 of 17 (--all shows them)" in text


@pytest.mark.parametrize(
    ("change", "word", "deviation"),
    [
        ({"settings": {"epochs": 99}}, "other settings", "training"),
        ({"settings": {"hold_out": 2000}}, "other settings", "training"),
        ({"settings": {"learning_rate": 0.1}}, "other settings", "training"),
        ({"settings": {"width": 16}}, "other settings", "network"),
        ({"settings": {"precision": "bfloat16"}}, "other settings", "precision"),
        ({"trigger": SQUARE | {"value": [254]}}, "other trigger", "trigger"),
        ({"trigger": SQUARE | {"position": "upper-left"}}, "other trigger", "trigger"),
        ({"trigger": fake_runs.TRIGGERS["square"]}, "other trigger", "trigger"),
        ({"trigger": BLEND}, "other trigger", "trigger"),  # our picture
        ({"trigger": SIG}, "other attack", "attack"),  # of all rows
        ({"trigger": "warped", "cover_rate": "0.2", "cover_jitter": True}, "other trigger", "trigger"),
        ({"target": 1}, "other attack", "attack"),
        ({"select": "non-target"}, "other attack", "attack"),
        ({"cover_rate": "0.1"}, "other attack", "attack"),
        ({"label_mode": "all-to-all", "target": None}, "other attack", "attack"),
    ],
)  # fmt: skip
def test_everything_else_stands_beside_and_is_not_judged(change, word, deviation, tmp_path):
    settings = at_their_settings(**change.get("settings", {}))
    write(tmp_path, **change | {"settings": settings, "ba": 91.3, "asr": 95})
    assert set(verdicts(tmp_path, "--beside", "backdoorbench").values()) == {word}
    (row,) = rows(tmp_path, "--beside", "backdoorbench")
    assert deviation in row["deviates_in"]["backdoorbench"]


def test_other_rates_networks_data_sets_and_applications_have_nothing_beside(tmp_path):
    write(tmp_path, rate="0.02")
    write(tmp_path, application="patch")
    write(tmp_path, source="toy", settings=at_their_settings())
    write(tmp_path, settings=PRESETS["paper"])
    write(tmp_path, trigger={"name": "noise", "linf": "8"})
    write(tmp_path, trigger=None)
    found = rows(tmp_path, "--beside", "backdoorbench")
    assert len(found) == 6 and not any("published" in score for row in found for score in row["scores"].values())
    assert all(row["deviates_in"] == {} for row in found)


def test_the_settings_of_a_data_set_are_its_own(tmp_path):
    write(tmp_path, source="gtsrb", settings=at_their_settings("cifar10"), ba=97.2, asr=59)
    assert verdicts(tmp_path, "--beside", "backdoorbench")["ba"] == "other settings"
    write(tmp_path / "own", source="gtsrb", ba=97.2, asr=59)
    assert verdicts(tmp_path / "own", "--beside", "backdoorbench")["ba"] == "agrees"


def test_their_settings_are_those_of_their_code():
    """Width and epochs; the rest of the preset is tested where it is defined."""
    cifar10, gtsrb = at_their_settings("cifar10"), at_their_settings("gtsrb")
    assert (cifar10.width, cifar10.epochs, gtsrb.width, gtsrb.epochs) == (64, 100, 64, 50)
    assert cifar10.learning_rate == gtsrb.learning_rate == 0.01 and cifar10.batch_size == gtsrb.batch_size == 128


def test_sig_is_clean_label(tmp_path):
    write(tmp_path, trigger=SIG, rate="0.05", ba=93.6, asr=97, **CLEAN_LABEL)
    found = verdicts(tmp_path, "--beside", "backdoorbench")
    assert found == {"ba": "agrees", "asr": "agrees", "still_right": "undecided"}


def test_blended_is_judged_with_a_picture_that_the_file_says_is_theirs(tmp_path):
    folder = write(tmp_path / "runs", trigger=BLEND, ba=93.5, asr=99.9)
    result = json.loads((folder / "result.json").read_text())
    result["dataset"]["pictures"] = {"0": {"digest": KITTY, "shape": [32, 32, 3]}}
    (folder / "result.json").write_text(json.dumps(result))
    runs = tmp_path / "runs"
    assert set(verdicts(runs, "--beside", "backdoorbench").values()) == {"other trigger"}, "nobody says whose it is"
    file = tmp_path / "kitty.csv"
    lines = ["dataset,network,attack,defence,rate,BA,ASR,RA,picture",
             f"cifar10,preactresnet18,blended,no defense,0.1,93.47,99.92,0.08,{KITTY}"]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    assert verdicts(runs, "--beside", file, source="kitty.csv")["asr"] == "agrees"
    file.write_text("\n".join(lines).replace(KITTY, f"sha256:{'0' * 64}") + "\n")
    assert verdicts(runs, "--beside", file, source="kitty.csv")["asr"] == "other trigger"


def test_several_sources_stand_in_lines_of_their_own(tmp_path):
    write(tmp_path / "runs", ba=91.3, asr=95)
    fake_runs.write(tmp_path / "runs", ba=83.5, asr=90.7)
    file = tmp_path / "mine.csv"
    file.write_text("dataset,network,attack,defence,rate,BA,ASR,RA\n"
                    "cifar10,preactresnet18,badnet,no defense,0.1,80,50,40\n")  # fmt: skip
    words = [part for name in ("badpatches", "backdoorbench", file) for part in ("--beside", name)]
    text = command("table", tmp_path / "runs", *words, "--wide")
    head = next(line for line in text.splitlines() if line.startswith("data set"))
    assert "published by" in head and not text.startswith("all rows")
    cell = [line for line in text.splitlines() if re.search(r"BA .* (undecided|differs|agrees)$", line)]
    assert [re.findall(r"badpatches|backdoorbench|mine\.csv", line) for line in cell] == [
        ["badpatches"], ["backdoorbench", "backdoorbench"], ["backdoorbench", "mine.csv"],
    ]  # fmt: skip
    ours = {row["dataset"] + row["settings"]: row for row in rows(tmp_path / "runs", *words)}
    theirs = [row["scores"]["ba"]["published"] for row in ours.values()]
    assert sorted(map(sorted, theirs)) == [["backdoorbench", "mine.csv"], ["badpatches"]]


def test_csv_has_columns_of_each_source_and_no_formula(tmp_path):
    write(tmp_path / "runs", ba=91.3, asr=95)
    file = tmp_path / "=1+1.csv"
    file.write_text("dataset,network,attack,defence,rate,BA,ASR,RA\n"
                    "cifar10,preactresnet18,badnet,no defense,0.1,80,50,40\n")  # fmt: skip
    text = command("table", tmp_path / "runs", "--beside", "backdoorbench", "--beside", file, "--format", "csv")
    head = text.splitlines()[0].split(",")
    assert "published_figure_backdoorbench" in head and "published_verdict_=1+1.csv" in head
    assert not any(cell[:1] in "=+-@" for cell in head)


def test_what_was_not_run_has_the_settings_of_its_data_set(tmp_path):
    write(tmp_path, source="gtsrb", ba=97.2, asr=59)
    text = command("table", tmp_path, "--beside", "backdoorbench", "--format", "markdown")
    assert "| cifar10" not in text and "| not run" not in text
    text = command("table", tmp_path, "--beside", "backdoorbench", "--all", "--format", "markdown")
    assert "| cifar10" in text and text.count("| not run") == 16 * 3
    found = json.loads(command("table", tmp_path, "--beside", "backdoorbench", "--format", "json"))
    missing = [row for row in found if not row["runs"]]
    assert len(missing) == 16 and {row["settings"] for row in missing} == {
        groups.label(at_their_settings("gtsrb")), groups.label(at_their_settings("cifar10")),
    }  # fmt: skip


def test_runs_without_any_of_it_are_a_sentence_not_a_failure(tmp_path):
    fake_runs.write(tmp_path, source="toy")
    text = command("table", tmp_path, "--beside", "backdoorbench")
    assert "BackdoorBench: published cells not run at its settings: 17 of 17 (--all shows them)" in text
    assert len(text.splitlines()) < 15


def test_the_caption_of_latex_names_the_source(tmp_path):
    write(tmp_path)
    caption = command("table", tmp_path, "--beside", "backdoorbench", "--format", "latex").splitlines()[2]
    assert "compared with published figures: BackdoorBench (one run, no interval)" in caption


def test_the_report_shows_both_sources_or_none(tmp_path):
    write(tmp_path / "runs", ba=91.3, asr=95)
    fake_runs.write(tmp_path / "runs", ba=83.5, asr=90.7)
    command("report", tmp_path / "runs", "-o", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "BackdoorBench (one run, no interval)" in page and "From BackdoorBench" in page and "BadPatches" in page
    command("report", tmp_path / "runs", "-o", tmp_path / "none", "--beside", "none")
    bare = (tmp_path / "none" / "report.html").read_text()
    assert "BackdoorBench" not in bare and "Comparison with published results" not in bare


@pytest.mark.parametrize(
    ("words", "attack"),
    [
        (("square", "--preset", "backdoorbench"), "badnet"),
        (("blend", "--preset", "backdoorbench"), "blended"),
        (("sig", "--preset", "backdoorbench", "--label-mode", "clean-label"), "sig"),
    ],
)
def test_the_options_of_the_docs_make_what_is_judged(words, attack, tmp_path, poisonkit, root):
    """The recipe of a file that is made as docs/published.md says is the one that counts as theirs."""
    trigger, *options = words
    poisonkit(
        "make", "--dataset", "signs", "--rate", "0.02", "-o", tmp_path, "--trigger", trigger, *options
    ).succeeded()
    (file,) = tmp_path.glob("*.h5")
    with h5py.File(file) as data:
        recipe = json.loads(data.attrs["manifest"])["recipe"]
    known = backdoorbench.ATTACKS[attack]
    (step,) = recipe["triggers"]
    assert step == {"name": known.trigger} | known.parameters
    assert (recipe["label_mode"], recipe["select"], recipe["target"]) == (known.label_mode, known.select, 0)
    page = (root / "docs" / "published.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| `{attack}` \|.*$", page, re.M)
    assert f"`--trigger {' '.join(words)}`" in line


def test_the_docs_name_every_attack_that_comes_with_the_program(root):
    page = (root / "docs" / "published.md").read_text(encoding="utf-8")
    shipped = {row.attack for row in leaderboard.read(registry.FOLDER / "backdoorbench.csv")}
    assert shipped == set(backdoorbench.ATTACKS)
    assert {name for name in re.findall(r"^\| `([a-z]+)` \|", page, re.M)} >= shipped


def test_a_cell_has_no_deviations_from_what_has_no_figure_for_it(tmp_path):
    fake_runs.write(tmp_path)
    (cell,) = groups.group(results.gather([tmp_path]))
    found = cell.beside(published.PUBLISHED["backdoorbench"])
    assert not found.figures and not found.judged and found.verdict("asr") == ""


# ---------------------------------------------------------------- figures


def _panels(runs, *names):
    """Title of a panel → label → (x, y, look) of what is drawn in the figure of ASR."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `report`)")
    from benchmark.reporting import figures

    drawn = dict(figures.drawn(groups.group(results.gather([runs])), published.chosen(names)))
    (name,) = [name for name in drawn if name.startswith("asr-")]
    found = {}
    for panel in drawn[name].axes:
        named = {bar.get_label(): bar.lines[0] for bar in panel.containers}
        named |= {line.get_label(): line for line in panel.get_lines() if not line.get_label().startswith("_")}
        found[panel.get_title()] = {
            " ".join(label.split()): (list(line.get_xdata()), list(line.get_ydata()), line)
            for label, line in named.items()
        }
    return found


def test_published_points_look_like_our_line_of_the_same_attack(tmp_path):
    for rate in ("0.001", "0.1"):
        write(tmp_path, rate=rate, asr=50)
        write(tmp_path, rate=rate, asr=40, trigger="square")  # another trigger, which takes the usual look
    write(tmp_path, trigger=BLEND, asr=99)
    found = _panels(tmp_path, "backdoorbench")
    x, y, theirs = found["square"]["BackdoorBench, whole image (one run, no interval)"]
    assert x == [0.1, 0.5, 1, 5, 10] and y == [1.23, 50.06, 74.73, 88.74, 95.03]
    ours = found["square"]["whole image (position lower-right, size 3, value 255)"][2]
    assert (theirs.get_markeredgecolor(), theirs.get_marker()) == (ours.get_color(), ours.get_marker())
    assert theirs.get_markerfacecolor() == "none" and ours.get_markerfacecolor() != "none"
    (other,) = [label for label in found["blend"] if label.startswith("BackdoorBench")]
    assert other == "BackdoorBench, whole image (one run, no interval; other trigger)"
    assert found["blend"][other][2].get_markeredgecolor() != theirs.get_markeredgecolor()


def test_points_of_several_sources_differ_in_their_markers(tmp_path):
    write(tmp_path / "runs", asr=50)
    file = tmp_path / "mine.csv"
    file.write_text("dataset,network,attack,defence,rate,BA,ASR,RA\n"
                    "cifar10,preactresnet18,badnet,no defense,0.02,80,50,40\n")  # fmt: skip
    panel = _panels(tmp_path / "runs", "backdoorbench", str(file))["square"]
    x, y, mine = panel["mine.csv, whole image (one run, no interval)"]
    assert (x, y) == ([2.0], [50.0])
    assert mine.get_marker() != panel["BackdoorBench, whole image (one run, no interval)"][2].get_marker()


def test_another_network_has_no_points(tmp_path):
    fake_runs.write(tmp_path, trigger=SQUARE, settings=PRESETS["small"])
    assert not any(label.startswith("BackdoorBench") for label in _panels(tmp_path, "backdoorbench")["square"])
    write(tmp_path / "theirs")
    assert not any(label.startswith("BadPatches") for label in _panels(tmp_path / "theirs", "badpatches")["square"])


def test_points_that_were_made_otherwise_say_how(tmp_path):
    from benchmark.reporting import figures

    write(tmp_path, settings=at_their_settings(epochs=8))
    drawn = dict(figures.drawn(groups.group(results.gather([tmp_path])), published.chosen(["backdoorbench"])))
    assert all("BackdoorBench: 100 epochs on CIFAR-10" in figure.get_suptitle() for figure in drawn.values())
