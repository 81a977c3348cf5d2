"""Tables of detectors and repairs: what is in them, in every form, and that they fit a window."""

import csv
import io
import json
import os

import click.testing
import fake_defences
import fake_runs
import pytest

from benchmark.cli import main


def table(*arguments, code=0):
    done = click.testing.CliRunner().invoke(main.main, ["table", *map(os.fspath, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two attacks of two seeds each with long names, two detectors and two repairs on each."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        clean = fake_runs.write(folder, trigger=None, seed=seed, ba=85)
        for trigger in ("square", "warped"):
            attack = {"trigger": trigger, "application": "patch", "cover_rate": "0.1"}
            run = fake_runs.write(folder, **attack, seed=seed, asr=95 + seed)
            for number, method in enumerate(("activation-clustering", "own-a-long-name-of-a-file")):
                fake_defences.detected(clean, method, tpr=None) if trigger == "square" else None
                tpr = 0.4 * (number + 1) + seed / 10
                fake_defences.detected(run, method, tpr=tpr, covers=0.3, clean_run=clean.name)
            for method, left in (("fine-tuning", 60), ("anp", 4)):
                fake_defences.repaired(clean, method, ((83, None),), before=(85, None)) if trigger == "square" else None
                fake_defences.repaired(run, method, ((82, left + seed),), clean_run=clean.name)
    return folder


def test_a_table_has_what_detectors_found_and_what_repairs_left(runs):
    text = table(runs)
    assert max(map(len, text.splitlines())) <= 100
    assert "activation-clustering" in text and "45.0 ± 7.1" in text and "clean twin" in text
    assert "4.5 ± 0.7" in text and "DER" not in text, "left out, and so not explained"
    assert text.index("CAD") < text.index("TPR 1%") < text.index("Repairs:")
    wide = table(runs, "--wide", "--of", "repairs")
    assert "control ASR" in wide and "60.5 ± 0.7" in wide and "TPR" not in wide and "CAD" not in wide


def test_one_part_with_columns_of_its_own(runs):
    lines = table(runs, "--of", "detectors", "--columns", "trigger,method,tpr-at-1").splitlines()
    assert lines[0].split() == ["trigger", "method", "TPR", "1%"] and len(lines) > 4
    assert "no column 'der'" in table(runs, "--of", "detectors", "--columns", "der", code=2)
    assert "TPR" not in table(runs, "--columns", "trigger,asr"), "columns of the attacks"


@pytest.mark.parametrize("wide", [(), ("--wide",)])
def test_what_is_explained_is_what_is_shown(runs, wide):
    """By the titles that it has there, which are shorter in a narrow table."""
    some = table(runs, "--of", "detectors", "--columns", "trigger,method,auroc,tpr-at-1", *wide)
    assert some.endswith("Detectors: AUROC and TPR at 1 % FPR: of the poisoned rows against clean ones.\n")
    some = table(runs, "--of", "repairs", "--columns", "trigger,method,asr,twin-ba-lost", *wide)
    assert "Repairs: ASR: after the repair; " in some and "DER" not in some and "RA" not in some
    for part in ("detectors", "repairs"):
        text = table(runs, "--of", part, *wide)
        legend = " ".join(text[text.rindex(f"{part.title()}: ") :].split("left out to")[0].split())
        titles = text.splitlines()
        for clause in legend.removeprefix(f"{part.title()}: ").split("; ")[1:]:
            assert any(clause.partition(": ")[0].split()[0] in line.split() for line in titles[:12]), clause


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_other_forms_have_both_tables(runs, form):
    text = table(runs, "--format", form)
    assert text.count(r"\begin{tabular}" if form == "latex" else "| :--") >= 3
    assert form != "latex" or (r"\label{tab:repairs}" in text and r"\textbf{" in text)


def test_json_has_everything_and_csv_a_line_for_each_score(runs):
    rows = json.loads(table(runs, "--format", "json"))
    kinds = [row.get("kind") for row in rows]
    assert kinds.count("detector") == 4 and kinds.count("repair") == 4 and kinds.count(None) == 3
    row = next(row for row in rows if row.get("defence") == "anp")
    assert row["last"] and row["stage"] == "repaired" and row["scores"]["asr"]["mean"] == pytest.approx(4.5, abs=0.01)
    assert row["scores"]["twin_ba_lost"]["mean"] == pytest.approx(2) and len(row["folders"]) == 2
    found = next(row for row in rows if row.get("defence") == "activation-clustering")
    assert found["scores"]["auroc"]["mean"] == pytest.approx(0.95), "areas from 0 to 1"
    lines = list(csv.DictReader(io.StringIO(table(runs, "--format", "csv"))))
    assert {line["kind"] for line in lines} == {"", "detector", "repair"}
    (ours,) = (line for line in lines if (line["defence"], line["score"], line["trigger"]) == ("anp", "asr", "square"))
    assert float(ours["mean"]) == pytest.approx(4.5, abs=0.01) and ours["seconds"] == "12.0"


def test_without_results_there_is_no_such_table(tmp_path):
    fake_runs.write(tmp_path)
    assert "DER" not in table(tmp_path) and "AUROC" not in table(tmp_path)
    assert "no results of detectors in these runs" in table(tmp_path, "--of", "detectors", code=1)


def test_what_cannot_be_read_is_said_once_and_ends_with_1(tmp_path):
    run = fake_runs.write(tmp_path)
    (fake_defences.detected(run) / "result.json").write_text("{")
    line = table(tmp_path, code=1)
    assert line.count("detect-spectral-00000000/result.json") == 1


@pytest.mark.parametrize("words", [("defences",), ("defences", "--method", "anp", "--method", "flare")])
def test_the_lists_of_methods_fit_a_window_and_cut_nothing(words):
    done = click.testing.CliRunner().invoke(main.main, list(words))
    assert done.exit_code == 0 and max(map(len, done.stdout.splitlines())) <= 100 and "…" not in done.stdout


def test_a_mean_over_some_of_the_seeds_says_so(tmp_path):
    """A cut that flags nothing has no precision: the mean is of those runs where it flags something."""
    for seed, cut in enumerate([(None, 0.0, 0.0), (0.5, 0.8, 0.004), (None, 0.0, 0.0)]):
        run = fake_runs.write(tmp_path, seed=seed)
        fake_defences.detected(run, "spectral", cut=cut)
    text = table(tmp_path, "--of", "detectors", "--wide")
    assert "50.0 (1 of 3 seeds)" in text and "26.7 ± 46.2 [" in text


def test_the_options_of_some_rows_are_not_said_of_all(tmp_path):
    """Blank is what goes without saying: the heading of a table holds of all its rows."""
    run = fake_runs.write(tmp_path)
    fake_defences.detected(run, "spectral", settings={"expected": 0.02})
    fake_defences.detected(run, "scan", settings={})
    text = table(tmp_path, "--of", "detectors")
    above, below = text.split("\n\n", 1)
    assert "expected 0.02" not in above and "expected 0.02" in below
    line = next(line for line in below.splitlines() if "spectral" in line)
    assert "expected 0.02" in line
