"""Names that come out of results of strangers: printable text, quoted for where it goes."""

import csv
import io
import json
import os
import shlex
import subprocess

import click.testing
import fake_runs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.core import text_tables
from benchmark.reporting.html import page
from benchmark.runs import hints
from benchmark.runs.progress import Progress
from benchmark.runs.result import RunResult
from benchmark.training.settings import ENCODERS

EVIL = "\x1b[2J\x9b31m\r\nBA 99.9\u202e\u2066\x00\x7f\u200b|`<img src=x>](http://x)$x^2$\\end{tabular}"
FORMULA = '=HYPERLINK("http://x")'
TOUCH = "a; touch X $(touch Y) `touch Z` 'q"


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


def named(runs, name, source="cifar10", **more):
    """A run whose every name that need not be a plain one is this one."""
    folder = fake_runs.write(runs, application="image", **more)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["dataset"]["recipe"]["triggers"] = [{"name": name, name: name}]
    result["dataset"] |= {"source": source, "classes": [name, "b"]}
    result |= {
        "name": f"{source}-{result['name']}",
        "device": name,
        "environment": {"versions": {name: name}},
        "finished": name,
    }
    result["scores"] |= {"asr_others": result["scores"]["asr"]}
    path.write_text(json.dumps(result))
    return folder


@pytest.fixture
def runs(tmp_path):
    for seed in (0, 1):
        named(tmp_path / "runs", EVIL, seed=seed, history=[(1, 70, 40), (0.5, 80, 50)])
    return tmp_path / "runs"


def harmless(text):
    assert not [line for line in text.split("\n") if not line.isprintable()]
    assert "\nBA 99.9" not in text


@pytest.mark.parametrize(
    "words", [("table",), ("table", "--beside", "badpatches"), ("table", "--format", "markdown"),
              ("table", "--format", "latex"), ("table", "--format", "csv"), ("table", "--format", "json"), ("show",),
              ("show", "--json"), ("heads", "table")],
)  # fmt: skip
def test_what_is_printed_is_printable(words, runs):
    broken = named(runs, EVIL, seed=2)
    broken = broken.rename(runs / EVIL.replace("\x00", "").replace("/", ""))
    (broken / "heads-detect-1").mkdir()
    (broken / "heads-detect-1" / "result.json").write_text(json.dumps({"defence": EVIL}))
    done = invoke(*words, runs)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    harmless(done.stdout)
    harmless(done.stderr)
    if "json" in "".join(words):
        assert json.loads(done.stdout), "and says the same as before"
    if "markdown" in words:
        row = next(line for line in done.stdout.splitlines() if "img src" in line)
        titles = next(line for line in done.stdout.splitlines() if line.startswith("| "))
        rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
        assert "<img" not in row and "](http" not in row and len(rows) > 2
        assert {line.count(" | ") for line in rows} == {titles.count(" | ")}
    if "latex" in words:
        assert r"\end{tabular}" not in done.stdout.replace("\n\\end{tabular}", "", 1)


def test_json_says_what_the_file_says(runs):
    (one, _) = json.loads(invoke("show", runs, "--json").stdout)
    assert one["device"] == EVIL


def test_the_page_is_the_same(runs, tmp_path):
    pytest.importorskip("matplotlib")
    done = invoke("report", runs, "-o", tmp_path / "out")
    assert done.exit_code == 0, (done.output, done.exception)
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    harmless(text)
    assert "<img src=x>" not in text and "&lt;img src=x&gt;" in text
    done = invoke("figures", runs, "-o", tmp_path / "figures")
    assert done.exit_code == 0, (done.output, done.exception)
    assert all(len(path.name) < 200 and "/" not in path.name for path in (tmp_path / "figures").iterdir())
    for path in (tmp_path / "figures").glob("*.svg"):
        subprocess.run(["python3", "-c", "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])", path], check=True)
        harmless(path.read_text("utf-8"))


def test_names_that_give_the_same_file_name_are_files_of_their_own(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a b", "a-b", "A b"):
        named(tmp_path / "runs" / name, name, source=name)
    done = invoke("figures", *(tmp_path / "runs").iterdir(), "-o", tmp_path / "out", "--format", "svg")
    assert len(set(done.stdout.splitlines())) == 6 == len(list((tmp_path / "out").iterdir())), done.output


@pytest.mark.parametrize("cell", ["=1+1", FORMULA, "+1+1", "-1+1", "@SUM(A1)", "-x", "+x", "=", "==", "-1;=1"])
def test_names_that_are_formulas_get_an_apostrophe(cell):
    ((_,), (found,)) = csv.reader(io.StringIO(text_tables.render("csv", ["a"], [[cell]], set())))
    assert found == (cell if cell == "=" else "'" + cell)


@pytest.mark.parametrize("cell", ["-", "-1", "+0.5", "-1.25", "1e-05", "-1e-05", "-1.0;2.5;-3.0", "a=b", "1 - 2"])
def test_numbers_do_not(cell):
    assert list(csv.reader(io.StringIO(text_tables.render("csv", ["a"], [[cell]], set())))) == [["a"], [cell]]


def test_a_table_of_results_keeps_its_numbers(tmp_path):
    named(tmp_path, FORMULA, seed=0, ba=90)
    fake_runs.write(tmp_path, trigger=None, ba=85)
    lines = list(csv.DictReader(io.StringIO(invoke("table", tmp_path, "--format", "csv").stdout)))
    assert {line["trigger"] for line in lines} == {"clean", "'" + FORMULA}
    assert all(
        not str(value).startswith("'") for line in lines for key, value in line.items() if key in ("mean", "values")
    )


@pytest.mark.parametrize("name", [TOUCH, "-rf", "a\nb; touch X", "~/x", "$(id)"])
def test_commands_that_are_printed_do_what_they_say(name, tmp_path):
    """The shell itself reads them: every word is one, and nothing else happens."""
    folder = named(tmp_path / "runs", name, settings=ENCODERS["minilm"])
    result = json.loads((folder / "result.json").read_text())
    result["config"]["model"] = {"name": "encoder", "encoder": name, "weights": None}
    result["dataset"] |= {"path": str(tmp_path / "sets" / text_tables.printable(name).replace("/", "-")) + ".h5"}
    run = RunResult(result)
    for line in (*hints.repeat([run]), hints.clean_run(run, tmp_path / name)):
        assert line.isprintable()
        command = line.split(" (")[0]  # what follows says what its words in capitals stand for
        script = f"poisonkit() {{ printf '%s\\0' \"$@\"; }}; benchmark() {{ printf '%s\\0' \"$@\"; }}; {command}"
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split("\0")[0] in ("train", "make"), done
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    done = invoke("show", tmp_path / "runs")
    harmless(done.stdout)
    harmless(done.stderr)


def test_what_is_said_on_the_way_is_printable(capsys):
    Progress().say("a\x1b[2J\nb\u202e")
    assert capsys.readouterr().err == "a\\x1b[2J\\nb\\u202e\n"


def test_a_failure_is_one_printable_line(tmp_path):
    done = invoke("table", tmp_path / "no\x1b[2J\nrun\u202e")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    harmless(done.stderr)


@given(st.text())
def test_printable(text):
    found = text_tables.printable(text)
    assert found.isprintable() and (found == text) == text.isprintable()
    assert page.escape(text).isprintable() and shlex.split(shlex.quote(found)) == [found]
