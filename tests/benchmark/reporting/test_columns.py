"""Tables that fit a window: what goes into the heading, what is left out and in which order, and what is never cut."""

import dataclasses
import json
import os
import re

import click.testing
import fake_runs
import pytest

from benchmark.cli import main
from benchmark.core.errors import Usage
from benchmark.reporting import cells, columns
from benchmark.reporting.columns import Column
from benchmark.reporting.html import page
from benchmark.runs import groups, results
from benchmark.training.settings import PRESETS

SMALL = PRESETS["small"]


def invoke(*arguments):
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])


def shown(*arguments):
    done = invoke(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.mark.parametrize("folder", ["signs", "width-1", "heads"])
@pytest.mark.parametrize("command", [("table",), ("table", "--beside", "badpatches"), ("show",)])
def test_what_is_committed_fits_a_window(folder, command, root):
    lines = shown(*command, root / "results" / folder).splitlines()
    assert max(map(len, lines)) <= columns.WIDTH and len(lines) > 5


def test_what_all_rows_have_in_common_stands_above(tmp_path):
    for rate in ("0.005", "0.02"):
        fake_runs.write(tmp_path, rate=rate, settings=SMALL)
    heading, blank, titles, *rows = shown("table", tmp_path).splitlines()
    assert heading == "all rows: cifar10; square; applied to image; settings: small; 1 seed" and not blank
    assert titles.split() == ["rate", "BA", "ASR", "RA"] and [row.split()[0] for row in rows[:2]] == ["0.5", "2"]


def test_what_poisoned_rows_have_in_common_is_not_said_of_the_clean_one(tmp_path):
    fake_runs.write(tmp_path, trigger=None, settings=SMALL)
    fake_runs.write(tmp_path, settings=SMALL)
    first, second, blank, titles, *_ = shown("table", tmp_path).splitlines()
    assert first == "all rows: cifar10; settings: small; 1 seed" and not blank and titles.split()[0] == "trigger"
    assert second == "all poisoned rows: applied to image; rate 0.5 %"
    heading = shown("table", tmp_path, "--format", "markdown").splitlines()[0]
    assert heading == "cifar10; settings: small; 1 seed; all poisoned rows: applied to image; rate 0.5 %"
    found = columns.concise(cells.columns(groups.group(results.gather([tmp_path]))))
    assert "<p>All rows: cifar10; settings: small; 1 seed. All poisoned rows: applied to image; rate 0.5 %.</p>" in (
        page.layout(cells.columns(groups.group(results.gather([tmp_path]))))
    ), found.headings


@pytest.mark.parametrize(("words", "training"), [
    ("CAD against the clean run of the same seed", 0), ("CAD against clean runs: mean of 1 other seed", 4),
])  # fmt: skip
def test_the_heading_says_in_words_what_cad_is_against(words, training, tmp_path):
    fake_runs.write(tmp_path, trigger=None, training_seed=training)
    fake_runs.write(tmp_path)
    assert shown("show", tmp_path).splitlines()[0] == f"all rows: {'seed 0; ' * (training == 0)}{words}"


def test_one_row_still_says_what_it_is_of(tmp_path):
    fake_runs.write(tmp_path)
    lines = shown("table", tmp_path).splitlines()
    assert lines[2].startswith("trigger") and lines[3].startswith("square")


@pytest.mark.parametrize("command", ["show", "table"])
def test_names_that_are_too_long_even_so_are_cut_in_the_middle(command, tmp_path):
    name = f"first{'x' * 117}last9"
    for seed in (0, 1):
        named = fake_runs.TRIGGERS["square"] | {"name": name}
        fake_runs.write(tmp_path, trigger=named, seed=seed)
        fake_runs.write(tmp_path, trigger="blend", seed=seed)
    text = shown(command, tmp_path).split("no CAD yet")[0]  # what follows are commands
    assert "…" in text and name not in text and max(map(len, text.splitlines())) <= columns.WIDTH
    assert "names cut with … (--wide shows them whole)" in text
    assert name in shown(command, tmp_path, "--wide")


@pytest.mark.parametrize("width", [3, 4, 9, 10, 12])
def test_a_name_keeps_its_two_ends(width):
    assert columns.shortened("abc", width) == "abc"
    cut = columns.shortened("abcdefghijklm", width)
    assert len(cut) == width and cut[0] == "a" and cut[-1] == "m" and "…" in cut


def test_long_names_stand_below_and_are_not_cut(tmp_path):
    for size in (1, 2):
        trigger = fake_runs.TRIGGERS["square"] | {"size": size, "value": [7, 8, 9], "position": "lower-right"}
        fake_runs.write(tmp_path, trigger=trigger, settings=dataclasses.replace(SMALL, learning_rate=0.05 * size))
    text = shown("table", tmp_path)
    assert "square [b]" in text and "[b] position lower-right, size 1, value 7,8,9\n" in text
    assert "[c] small, learning rate 0.05" in text and max(map(len, text.splitlines())) <= columns.WIDTH


def test_wide_and_chosen_columns(tmp_path):
    fake_runs.write(tmp_path)
    wide = shown("table", tmp_path, "--wide").splitlines()
    assert re.split("  +", wide[0]) == [
        "data set", "trigger", "application", "rate", "settings", "seeds", "BA", "ASR", "CAD", "clean ASR", "RA",
    ]  # fmt: skip
    assert shown("table", tmp_path, "--columns", "asr, rate").splitlines()[0].split() == ["ASR", "rate"]
    assert shown("show", tmp_path, "--columns", "run,ra").splitlines()[0].split() == ["run", "RA"]
    assert shown("table", tmp_path, "--columns", "trigger,ba", "--format", "markdown").startswith("| trigger |")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--columns", "asr,lr"), "there is no column 'lr'; expected some of dataset,trigger,"),
        (("--columns", "ba", "--format", "csv"), "--format csv has all columns"),
        (("--wide", "--format", "json"), "--format json has all columns"),
    ],
)
def test_columns_that_cannot_be_shown(words, problem, tmp_path):
    fake_runs.write(tmp_path)
    done = invoke("table", tmp_path, *words)
    assert done.exit_code == 2 and problem in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_json_and_csv_are_what_they_were_whatever_is_shown(tmp_path):
    fake_runs.write(tmp_path)
    (record,) = json.loads(shown("table", tmp_path, "--format", "json"))
    assert set(record["scores"]) == {"ba", "asr", "still_right"}
    head, *lines = shown("table", tmp_path, "--format", "csv").splitlines()
    assert head.startswith("dataset,trigger,application,rate,variant,settings,runs,varying,collapsed,score,mean")
    assert [line.split(",")[9] for line in lines] == ["ba", "asr", "still_right"]


def test_the_best_of_a_data_set_is_bold_in_latex_alone(tmp_path):
    fake_runs.write(tmp_path, trigger=None, ba=99)
    for rate, asr in (("0.005", 90), ("0.02", 97), ("0.06", 97)):
        fake_runs.write(tmp_path, rate=rate, asr=asr, ba=80)
    text = shown("table", tmp_path, "--format", "latex", "--columns", "rate,asr,ba")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")][1:]
    assert [row.count(r"\textbf{97.0") for row in rows] == [0, 0, 1, 1], "ties are all bold"
    assert [row.count(r"\textbf{80.0") for row in rows] == [0, 1, 1, 1], "the clean model is not an attack"
    assert "textbf" not in shown("table", tmp_path, "--format", "markdown")
    assert "bold: best of a data set (ASR highest, BA highest)" in text


def test_steps_are_taken_only_while_it_is_too_wide():
    names, scores = ("a", "b"), ("50.0 ± 1.0 [40.0, 60.0]", "-")
    found = [
        Column("trigger", "trigger", names, label=True, anchor=True),
        Column("asr", "ASR", scores, short=("50.0 ± 1.0", "-")),
        Column("clean-asr", "clean ASR", scores, short=("50.0 ± 1.0", "-"), secondary=True),
    ]
    widths = {width: columns.fit(found, width) for width in (100, 50, 35, 25)}
    cells_of = {width: [column.cells[0] for column in layout.columns[1:]] for width, layout in widths.items()}
    short = "50.0 ± 1.0"
    assert cells_of == {100: [scores[0]] * 2, 50: [scores[0], short], 35: [short, short], 25: [short]}
    assert widths[25].left_out == ("clean-asr",) and not widths[35].left_out
    with pytest.raises(Usage, match="no column 'ba'"):
        columns.choose(found, "ba")


def test_without_any_cell_there_are_only_titles():
    assert [column.title for column in cells.columns([])][:2] == ["data set", "trigger"]
    assert groups.group(results.Found()) == []


def test_a_table_of_which_nothing_may_be_left_out_has_its_names_cut():
    rows = [["own-" + "m" * 60, "1.000", "9" * 30], ["anp", "0.5", "9" * 30]]
    lines = columns.narrow(["method", "AUROC", "cut"], rows, {"method"}, width=70).split("\n")
    assert [len(line) for line in lines] == [70, 70, 70] and "…" in lines[1] and lines[2].startswith("anp ")
    assert columns.narrow(["method", "AUROC"], [["anp", "1"]], {"method"}) == "method  AUROC\nanp         1"
    assert columns.narrow(["method"], [], {"method"}) == "method"
