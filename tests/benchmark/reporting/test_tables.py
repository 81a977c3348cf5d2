"""Tables over runs that were written by hand: cells, formats, and what they say of the paper's figures."""

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from fractions import Fraction

import click.testing
import fake_runs
import pytest

from benchmark.cli import main
from benchmark.core import intervals, text_tables
from benchmark.runs import groups, published, results
from benchmark.runs.published import badpatches, registry
from benchmark.training.common import label
from benchmark.training.settings import PRESETS

SMALL = PRESETS["small"]


def invoke(*arguments):
    """`benchmark ARGUMENTS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])


def table(*arguments):
    done = invoke("table", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def records(*arguments):
    return json.loads(table(*arguments, "--format", "json"))


def beside(row, source="badpatches"):
    """Score → what a source says beside ours."""
    return {name: score["published"][source] for name, score in row["scores"].items() if "published" in score}


def grouped(runs):
    return groups.group(results.gather([runs]))


def test_replicates_are_one_cell_and_cad_is_paired_by_seed(tmp_path):
    for seed, (clean, ba) in enumerate([(85, 84), (86, 83), (84, 82)]):
        fake_runs.write(tmp_path, trigger=None, seed=seed, ba=clean)
        fake_runs.write(tmp_path, seed=seed, ba=ba, asr=90 + seed)
    clean, square = grouped(tmp_path)
    assert clean.trigger == "clean" and clean.varying == ["training"]
    assert square.varying == ["poisoning", "training"] and square.seeds["poisoning"] == [0, 1, 2]
    cad = square.scores["cad"].summary
    assert cad.values == pytest.approx((1, 3, 2)) and square.paired
    assert cad.deviation == pytest.approx(1), "of the differences, not of the BAs"
    assert square.scores["asr"].count == 27 * 900 + 270 and square.scores["asr"].percent == pytest.approx(91)
    assert "3 poisoning and training seeds" in table(tmp_path, "--wide")


def test_cad_without_the_same_seed_is_marked(tmp_path):
    fake_runs.write(tmp_path, trigger=None, seed=0, training_seed=4, ba=85)
    fake_runs.write(tmp_path, seed=0, ba=83)
    text = table(tmp_path)
    assert "+2.0*" in text and "* against the mean of clean runs of other seeds" in text


def test_the_seeds_that_vary_are_named(tmp_path):
    for seed in range(2):
        fake_runs.write(tmp_path, rate="0.001", seed=7, training_seed=seed)
        fake_runs.write(tmp_path, rate="0.02", seed=seed, training_seed=7)
    names = [line for line in table(tmp_path, "--wide").splitlines() if line.startswith("cifar10")]
    assert "2 training seeds" in names[0] and "2 poisoning seeds" in names[1]


def test_crossed_seeds_count_as_many_as_the_poisoning_seeds(tmp_path):
    """Four runs of two files are two replicates: what one file has by chance, all its runs have."""
    for seed, asr in enumerate((40, 80)):
        for training in range(2):
            fake_runs.write(tmp_path, seed=seed, training_seed=training, asr=asr + training)
    (cell,) = grouped(tmp_path)
    assert cell.scores["asr"].summary.values == pytest.approx((40.5, 80.5), abs=0.01) and len(cell.runs) == 4
    assert "2 poisoning and training seeds, 4 runs" in table(tmp_path, "--wide")


def test_what_differs_in_anything_but_seeds_is_another_cell(tmp_path):
    fake_runs.write(tmp_path)
    fake_runs.write(tmp_path, application="patch")
    fake_runs.write(tmp_path, rate="0.02")
    fake_runs.write(tmp_path, settings=SMALL)
    fake_runs.write(tmp_path, settings=dataclasses.replace(SMALL, learning_rate=0.05, backend="jax"))
    fake_runs.write(tmp_path, trigger=fake_runs.TRIGGERS["square"] | {"value": [1]})
    fake_runs.write(tmp_path, rate="0.1", cover_rate="0.1")
    text = table(tmp_path, "--wide")
    assert len(grouped(tmp_path)) == 7
    assert "small, learning rate 0.05, backend jax" in text
    assert "square (value 1)" in text and "square (cover rate 0.1)" in text


def test_cells_of_other_images_are_told_apart(tmp_path):
    for name, digest in (("a", "1"), ("b", "2")):
        folder = fake_runs.write(tmp_path / name)
        result = json.loads((folder / "result.json").read_text())
        result["dataset"]["source_digest"] = f"sha256:{digest * 64}"
        result["name"] += name
        (folder / "result.json").write_text(json.dumps(result))
        folder.rename(folder.with_name(result["name"]))
    text = table(tmp_path / "a", tmp_path / "b")
    assert "square (data 11111111)" in text and "square (data 22222222)" in text


def test_a_run_that_is_named_twice_counts_once(tmp_path):
    folder = fake_runs.write(tmp_path)
    assert records(tmp_path, folder)[0]["runs"] == [folder.name]
    assert "found twice" not in invoke("table", tmp_path, folder).stderr
    fake_runs.write(tmp_path / "other", ba=50)
    done = invoke("table", folder, tmp_path / "other")
    assert "runs that were found twice (the first one counts): 1" in done.stderr and "83.5" in done.stdout


@pytest.mark.parametrize(
    ("values", "figure", "expected"),
    [
        ([90], 91.9, "agrees"),
        ([90], 92.04, "agrees"),  # 2.0, as it is printed
        ([90], 92.1, "undecided"),  # one seed says no more
        ([90, 91], 94, "undecided"),  # inside, but of two seeds
        ([50, 90], 80, "undecided"),
        ([90, 90.1], 95, "differs"),
        ([88, 90, 92], 93, "agrees"),  # 90 ± 4.97
        ([87, 90, 93], 93, "undecided"),  # 90 ± 7.45
        ([87, 90, 93], 98, "differs"),
        ([99, 99, 99], 96, "differs"),
        ([99, 99, 99], 97, "agrees"),
    ],
)
def test_verdicts(values, figure, expected):
    assert published.verdict(intervals.summary(values, values[0], 100), figure) == expected


def test_against_the_paper(tmp_path):
    for seed in range(3):
        fake_runs.write(tmp_path, trigger=None, seed=seed, ba=85)
        fake_runs.write(tmp_path, seed=seed, ba=83.2, asr=90 + seed)
        fake_runs.write(tmp_path, seed=seed, rate="0.02", settings=SMALL, ba=83.2, asr=96.6)
        fake_runs.write(tmp_path, seed=seed, application="patch", ba=70 + seed, asr=50)
    rows = [
        row
        for row in records(tmp_path, "--beside", "badpatches")
        if row["dataset"] == "cifar10" and "defence" not in row
    ]
    found = {(row["trigger"], row["application"], row["rate"], row["settings"]): row for row in rows}
    square = beside(found["square", "image", "0.005", "paper"])
    assert [square[name]["verdict"] for name in ("ba", "asr", "cad")] == ["agrees"] * 3
    assert square["asr"]["figure"] == 90.7 and square["asr"]["difference"] == pytest.approx(0.3)
    clean = beside(found["clean", None, "0", "paper"])["ba"]
    assert (clean["figure"], clean["verdict"]) == (85.0, "agrees")
    small = found["square", "image", "0.02", "small"]
    assert beside(small)["asr"]["verdict"] == "other settings"
    assert small["deviates_in"] == {"badpatches": ["network", "training"]}
    missing = found["square", "image", "0.02", "paper"]["scores"]["asr"]
    assert missing == {"published": {"badpatches": {"figure": 96.6, "verdict": "not run", "note": None}}}
    patch = beside(found["square", "patch", "0.005", "paper"])
    assert patch["ba"]["verdict"] == "differs" and patch["asr"]["verdict"] == "differs"
    text = table(tmp_path, "--beside", "badpatches", "--wide")
    assert "BadPatches: published cells not run at its settings: 71 of 74 (--all shows them)" in text.splitlines()
    assert re.search(r"ASR +91\.0 ± 1\.0 \[88\.5, 93\.5\] +90\.7 +\+0\.3 +agrees", text)
    assert (
        "gtsrb" not in text
        and table(tmp_path, "--beside", "badpatches", "--format", "csv").count("not run") == 70 * 3 + 1 + 14 * 2
    )


def test_published_cells_that_were_not_run_are_counted_and_shown_on_demand(tmp_path):
    fake_runs.write(tmp_path)
    text = table(tmp_path, "--beside", "badpatches")
    assert "not run at its settings: 73 of 74 (--all shows them)" in text and text.count("not run") == 1
    text = table(tmp_path, "--beside", "badpatches", "--all")
    assert "not run at its settings: 73 of 74\n" in text and text.count("not run") > 73


def test_json_is_the_format_json(tmp_path):
    fake_runs.write(tmp_path)
    assert table(tmp_path, "--json") == table(tmp_path, "--format", "json") == table(
        tmp_path, "--json", "--format", "json"
    )  # fmt: skip
    done = invoke("table", tmp_path, "--json", "--format", "csv")
    assert (done.exit_code, done.stderr) == (2, "benchmark: --json and --format csv: choose one of them\n")


def test_published_cells_of_data_sets_without_runs_are_counted_and_shown_on_demand(tmp_path):
    fake_runs.write(tmp_path, source="toy", trigger=None, settings=SMALL)
    fake_runs.write(tmp_path, source="toy", settings=SMALL)
    lines = table(tmp_path, "--beside", "badpatches").splitlines()
    assert "BadPatches: published cells not run at its settings: 74 of 74 (--all shows them)" in lines
    assert len(lines) < 12 and "cifar10" not in "".join(lines) and "Fine-pruning" not in "".join(lines)
    lines = table(tmp_path, "--beside", "badpatches", "--all").splitlines()
    assert "BadPatches: published cells not run at its settings: 74 of 74" in lines
    assert sum("not run" in line for line in lines) == 72 * 3 + 2 + 14 * 2 + 2, "with the two lines that count"
    done = invoke("table", tmp_path, "--all")
    assert (done.exit_code, done.stderr) == (2, "benchmark: --all is for --beside\n")


def test_what_was_not_run_has_no_seeds(tmp_path):
    fake_runs.write(tmp_path, rate="0.02")
    lines = table(tmp_path, "--beside", "badpatches", "--all").splitlines()
    assert lines[0] == "all rows: settings: paper" and lines[1] == "all rows that were run: 1 seed"


@pytest.mark.parametrize("hold_out", [0, 2000])
def test_fine_pruning_over_the_seeds_beside_table_3(hold_out, tmp_path):
    settings = dataclasses.replace(PRESETS["paper"], hold_out=hold_out)
    for seed in range(3):
        folder = fake_runs.write(tmp_path, seed=seed, rate="0.02", settings=settings, ba=83, asr=96)
        near = {("", "before"): (83, 96), ("0.1", "pruned"): (80 + seed / 10, 60 + seed), ("0.1", "masked"): (79, 50)}
        fake_runs.pruned(folder, near)
        fake_runs.pruned(folder, {("0.1", "fine-tuned"): (83.5, 2)}, mode="notebook", rows=50_000)
    rows = [row for row in records(tmp_path, "--beside", "badpatches") if row.get("defence")]
    found = {(row["rows"], row["channels"], row["stage"]): row for row in rows if row["runs"]}
    row = found["2,000 held-out, 5 epochs", "0.1", "pruned"]
    pruned, published_ = row["scores"], beside(row)
    assert published_["ba"]["verdict"] == "agrees" and published_["ba"]["figure"] == 80.1 and pruned["ba"]["seeds"] == 3
    assert published_["asr"]["verdict"] == "differs" and pruned["asr"]["values"] == pytest.approx([60, 61, 62])
    assert "published" not in found["2,000 held-out, 5 epochs", "0.1", "masked"]["scores"]["ba"]
    assert beside(found["50,000 notebook, 5 epochs", "0.1", "fine-tuned"])["asr"]["verdict"] == "agrees"
    assert len(rows) == len(found) + 14 - 3, "of the published points before, pruned and fine-tuned at 0.1 were run"
    text = table(tmp_path, "--beside", "badpatches", "--wide")
    assert re.search(r"0\.1 +pruned +\n? *BA", text)
    assert re.search(r"ASR +61\.0 ± 1\.0 \[58\.5, 63\.5\] +94\.2 +-33\.2 +differs", text)
    assert "points of fine-pruning not run at its settings: 11 of 14 (--all shows them)" in text
    text = table(tmp_path, "--beside", "badpatches", "--wide", "--all")
    assert re.search(r"0\.3 +fine-tuned +BA +- +83\.5 +- +not run", text)
    assert "61.0 ± 1.0" in table(tmp_path) and "held-out" in table(tmp_path, "--format", "csv")


def test_fine_pruning_at_other_settings_says_nothing_of_the_paper(tmp_path):
    fake_runs.pruned(fake_runs.write(tmp_path, rate="0.02", settings=SMALL), {("0.1", "pruned"): (80.1, 94.2)})
    (row,) = [row for row in records(tmp_path, "--beside", "badpatches") if row.get("defence") and row["runs"]]
    assert beside(row)["ba"]["verdict"] == "other settings" and "network" in row["deviates_in"]["badpatches"]
    assert "other settings" not in table(tmp_path) and "94.2" in table(tmp_path, "--format", "markdown")


def test_without_runs_of_a_published_data_set_everything_is_not_run(tmp_path):
    fake_runs.write(tmp_path, source="toy")
    text = table(tmp_path, "--beside", "badpatches", "--all")
    assert "74 of 74" in text and "gtsrb" in text and "cifar10" in text and "agrees" not in text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"settings": dataclasses.replace(PRESETS["paper"], precision="bfloat16")}, "precision"),
        ({"settings": dataclasses.replace(PRESETS["paper"], epochs=24)}, "training"),
        ({"settings": dataclasses.replace(PRESETS["paper"], hold_out=2000)}, "training"),
        ({"settings": dataclasses.replace(PRESETS["paper"], width=9)}, "network"),
        ({"trigger": fake_runs.TRIGGERS["square"] | {"size": 3}}, "trigger"),
        ({"application": "patch", "patch": [4, 4]}, "attack"),
        ({"target": 1}, "attack"),
        ({"cover_rate": "0.1"}, "attack"),
        ({"label_mode": "all-to-all", "target": None}, "attack"),
        ({"triggers": [fake_runs.TRIGGERS["square"], fake_runs.TRIGGERS["blend"]]}, "trigger"),
    ],
)
def test_nothing_but_the_paper_s_settings_is_held_against_the_paper(change, word, tmp_path):
    fake_runs.write(tmp_path, **change)
    (cell,) = grouped(tmp_path)
    assert badpatches.deviations(cell.first) == [word]
    words = {"trigger": "other trigger", "attack": "other attack"}.get(word, "other settings")
    assert cell.beside(badpatches.BADPATCHES).verdict("asr") in (words, "")


@pytest.mark.parametrize("settings", [{}, {"precision": "tf32", "backend": "jax"}])
@pytest.mark.parametrize("trigger", ["square", "warped", fake_runs.TRIGGERS["square"] | {"value": [1]}])
def test_the_text_s_and_the_notebooks_attacks_are_the_paper_s(settings, trigger, tmp_path):
    fake_runs.write(tmp_path, settings=dataclasses.replace(PRESETS["paper"], **settings), trigger=trigger)
    assert grouped(tmp_path)[0].beside(badpatches.BADPATCHES).deviations == []


def test_another_number_of_images_is_not_the_paper_s_data_set(tmp_path, monkeypatch):
    monkeypatch.setitem(fake_runs.ROWS, "cifar10", (5000, 10_000, 9_000))
    fake_runs.write(tmp_path)
    assert grouped(tmp_path)[0].beside(badpatches.BADPATCHES).deviations == ["data set"]


def test_the_published_tables():
    figures = badpatches.attacks()
    assert len(figures) == 72 + 2
    assert figures["cifar10", "pmoe", "square", "patch", Fraction("0.0001")] == {"ba": 83.8, "asr": 72.7, "cad": 1.2}
    for (dataset, _, trigger, *_), row in figures.items():
        clean = figures[dataset, "pmoe", "clean", "", Fraction(0)]["ba"]
        assert clean == {"cifar10": 85.0, "gtsrb": 98.0}[dataset]
        assert trigger == "clean" or round(row["ba"] + row["cad"], 1) == clean
    pruning = badpatches.rows("fine_pruning")
    assert len(pruning) == 14 and {row["stage"] for row in pruning} == {"before", "pruned", "finetuned"}


def test_the_published_tables_are_part_of_the_package():
    import configparser

    setup = configparser.ConfigParser()
    setup.read(registry.FOLDER.parents[3] / "setup.cfg")
    assert {"runs/published/figures/*.csv", "runs/published/figures/*.md"} <= set(
        setup["options.package_data"]["benchmark"].split()
    )


@pytest.mark.parametrize(("seeds", "words"), [
    ({"clean": 1, "square": 1}, "one seed [95 % interval: Wilson's over rows]"),
    ({"clean": 2, "square": 2}, "mean ± standard deviation over seeds [95 % interval: Student's over seeds]"),
    ({"clean": 2, "square": 1}, "mean ± standard deviation over seeds [95 % interval: Student's over seeds; of one "
                                "seed, Wilson's over rows]"),
])  # fmt: skip
def test_the_caption_and_the_legend_say_what_the_numbers_are(seeds, words, tmp_path):
    for trigger, count in seeds.items():
        for seed in range(count):
            fake_runs.write(
                tmp_path, trigger=None if trigger == "clean" else trigger, seed=seed, ba=80 + seed, asr=90 + seed
            )
    caption = table(tmp_path, "--format", "latex").splitlines()[2]
    escaped = words.replace("%", r"\%").replace("±", r"$\pm$")
    assert caption.startswith(rf"\caption{{Backdoor attacks on cifar10: {escaped}, percent;")
    assert words in " ".join(table(tmp_path, "--format", "markdown").split())
    chosen = table(tmp_path, "--format", "latex", "--columns", "rate").splitlines()[2]
    assert "interval" not in chosen


@pytest.mark.parametrize("paper", [(), ("--beside", "badpatches", "--all")])
def test_every_format_has_every_figure(paper, tmp_path):
    for seed in range(2):
        fake_runs.write(tmp_path, seed=seed, asr=80 + seed)
    markdown = table(tmp_path, "--format", "markdown", *paper)
    rows = [line.count(" | ") for line in markdown.split("\n\n")[0].splitlines()]
    assert len(set(rows)) == 1
    latex = table(tmp_path, "--format", "latex", *paper)
    assert latex.startswith(r"\begin{table}") and latex.endswith("\\end{table}\n") and r"0.5 \%" in latex
    for part in (r"\begin{tabular}", r"\end{tabular}", r"\caption{", r"\label{tab:"):
        assert latex.count(part) == (2 if paper else 1)
    lines = list(csv.DictReader(io.StringIO(table(tmp_path, "--format", "csv", *paper))))
    (asr,) = (line for line in lines if line["score"] == "asr" and line["mean"])
    (record, *_) = records(tmp_path, *paper)
    for name in ("mean", "low", "high", "deviation"):
        assert float(asr[name]) == record["scores"]["asr"][name]
    for text in (markdown, latex.replace(r"$\pm$", "±"), table(tmp_path, *paper)):
        assert "80.5 ± 0.7 [74.1, 86.9]" in text


def test_words_that_mean_something_to_a_format_are_escaped():
    rows = [["a|b & 50 %", "[1, 2] ± x_y"]]
    assert "a\\|b" in text_tables.render("markdown", ["one", "two"], rows, {"one"})
    assert r"a|b \& 50 \% & {}[1, 2] $\pm$ x\_y" in text_tables.render("latex", ["one", "two"], rows, set())
    assert text_tables.render("csv", ["one"], [['say "a, b"']], set()) == 'one\n"say ""a, b"""'


def test_a_result_alone_is_enough(tmp_path):
    """What is committed of a run is its result.json."""
    for seed in range(2):
        fake_runs.write(tmp_path, trigger=None, seed=seed)
        fake_runs.write(tmp_path, seed=seed)
    whole = table(tmp_path)
    for path in tmp_path.glob("*/config.json"):
        path.unlink()
    assert table(tmp_path) == whole and table(*tmp_path.iterdir()) == whole


def test_what_is_missing_is_said(tmp_path):
    fake_runs.write(tmp_path)
    folder = fake_runs.write(tmp_path, rate="0.02")
    (folder / "result.json").unlink()
    done = invoke("table", tmp_path)
    assert "unfinished runs: 1" in done.stderr and "no CAD yet" in done.stderr
    assert invoke("table", tmp_path / "absent").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "no finished run" in invoke("table", tmp_path / "empty").stderr


def paths_of(value, path=()):
    """The path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))


SLOW = [pytest.param(form, marks=pytest.mark.slow) for form in ("text", "csv")]


@pytest.mark.parametrize("form", ["json", *SLOW])
def test_whatever_stands_in_a_result_there_is_no_traceback(form, tmp_path):
    """Every value of a result replaced by others: it is read, or passed over, or refused in one line."""
    fake_runs.write(tmp_path, trigger=None)
    folder = fake_runs.write(tmp_path)
    whole = json.loads((folder / "result.json").read_text())
    whole["baseline"] = {"how": "given", "runs": ["x"], "ba": 1.0, "cad": 1.0, "asr": fake_runs.share(5, 100)}
    for path in [(), *paths_of(whole)]:
        for wrong in (None, [], {}, "x", -1, 1e400):
            changed = json.loads(json.dumps(whole))
            place = changed
            for key in path[:-1]:
                place = place[key]
            if path:
                place[path[-1]] = wrong
            (folder / "result.json").write_text(json.dumps(changed if path else wrong))
            for asked in (tmp_path, folder):
                done = invoke("table", asked, "--beside", "badpatches", "--format", form)
                assert done.exit_code in (0, 1), (path, wrong, done.output)
                assert isinstance(done.exception, SystemExit | None), (path, wrong, done.exception)


def test_settings_in_words():
    replace = dataclasses.replace
    assert [label(PRESETS[name]) for name in PRESETS] == list(PRESETS)
    assert label(replace(SMALL, seed=3, threads=1)) == "small, threads 1"
    assert label(replace(PRESETS["paper"], precision="bfloat16", hold_out=5)) == "paper, hold out 5, precision bfloat16"
    assert label(replace(PRESETS["tiny"], epochs=7, batch_size=8, learning_rate=0.03)) == (
        "width 1, epochs 7, batch size 8, learning rate 0.03"
    )
    assert label(replace(SMALL, hold_out=2000, epochs=2)) == "small, epochs 2, hold out 2000"
    assert label(replace(SMALL, epochs=25)) == "width 1, epochs 25, batch size 128, learning rate 0.1", (
        "near two presets"
    )
    assert label(replace(SMALL, experts=2, epochs=3, hold_out=9, threads=1)) == (
        "width 1, epochs 3, batch size 128, learning rate 0.1, experts 2, hold out 9, threads 1"
    )


def test_the_help_of_every_command_imports_nothing_heavy():
    heavy = "{'keras', 'tensorflow', 'jax', 'h5py', 'numpy', 'matplotlib', 'distributed', 'tqdm'}"
    for command in ("table", "figures", "sweep"):
        check = (
            f"import sys; from benchmark.cli.main import main\ntry: main(['{command}', '--help'])\n"
            f"finally: assert not {heavy} & set(sys.modules), sys.modules.keys()"
        )
        done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and command in done.stdout, done.stderr


def test_columns_without_anything_are_left_out():
    rows = [["a", "", "-", "1"], ["b", "", "-", "-"]]
    assert text_tables.without_empty(["x", "y", "z", "w"], rows) == (["x", "w"], [["a", "1"], ["b", "-"]])
    assert text_tables.without_empty(["x", "y", "z", "w"], rows, {"z", "w"})[0] == ["x", "y", "w"]
    assert text_tables.without_empty(["x"], []) == ([], [])
