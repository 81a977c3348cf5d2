"""What the help of `benchmark` says, and what each command prints for programs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import click.testing
import fake_runs
import pytest
import writer

from benchmark.cli.main import main

LONGEST = 45


def commands(group=main, words=("benchmark",)):
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands())
OPTIONAL_RUNS = {("show",), ("table",), ("figures",), ("report",), ("heads", "table")}
EVERY = {**COMMANDS, ("benchmark", "heads"): main.commands["heads"]}


def invoke(*words, code=0):
    done = click.testing.CliRunner().invoke(main, [os.fspath(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_a_summary_fits_the_list_of_commands(words):
    summary = EVERY[words].help.strip().split("\n")[0]
    assert summary.endswith(".") and len(summary) <= LONGEST and summary[0].isupper(), summary
    with click.Context(main) as context:
        listed = main.commands[words[1]].get_short_help_str(80)
        assert len(listed) <= LONGEST and listed in main.get_help(context)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_runs_that_need_not_be_named_are_in_brackets(words):
    """Commands that take the folder `runs` where none is named say so."""
    paths = [one for one in COMMANDS[words].params if isinstance(one, click.Argument) and one.nargs == -1]
    optional = any(not one.required for one in paths)
    assert optional == (words[1:] in OPTIONAL_RUNS)
    shown = " ".join(invoke(*words[1:], "--help").output.split())
    assert ("[RUN]..." in shown and "[default: runs]" in shown.split("Options:")[0]) == optional
    assert ".;" not in shown


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_example_a_command(words):
    command = COMMANDS[words]
    with click.Context(command, info_name=" ".join(words), max_content_width=110) as context:
        text = command.get_help(context)
        known = {option for parameter in command.params for option in parameter.opts}
    (example, *_) = text[re.search("Examples?:\n", text).start() :].split("\n\n")
    lines = [line.strip() for line in example.split("\n")[1:]]
    assert lines
    for line in lines:
        spelled = shlex.split(line)
        assert tuple(spelled[: len(words)]) == words, line
        assert {word for word in spelled if word.startswith("-")} <= known, line


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_values_have_names_for_people(words):
    """click's own for a number is INTEGER RANGE."""
    options = [one for one in COMMANDS[words].params if isinstance(one, click.Option)]
    unnamed = [one for one in options if not (one.metavar or one.is_flag or isinstance(one.type, click.Choice))]
    assert not unnamed
    with click.Context(COMMANDS[words], max_content_width=110) as context:
        text = COMMANDS[words].get_help(context)
    assert not {"INTEGER", "FLOAT", "RANGE"} & set(text.replace("[", " ").replace("]", " ").split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_json_wherever_something_is_printed(words):
    assert "--json" in {option for parameter in COMMANDS[words].params for option in parameter.opts} or any(
        "json" in getattr(parameter.type, "choices", ()) for parameter in COMMANDS[words].params
    )


def test_json_of_what_is_drawn_and_written(tmp_path):
    pytest.importorskip("matplotlib")
    for seed in (0, 1):
        fake_runs.write(tmp_path / "runs", seed=seed)
    figures = json.loads(invoke("figures", tmp_path / "runs", "-o", tmp_path / "f", "--format", "svg", "--json").stdout)
    assert figures["figures"] and all(path.endswith(".svg") and os.path.isfile(path) for path in figures["figures"])
    page = json.loads(invoke("report", tmp_path / "runs", "-o", tmp_path / "r", "--json").stdout)
    assert page == {"page": str(tmp_path / "r" / "report.html")} and os.path.isfile(page["page"])


def test_json_of_the_results_on_heads(tmp_path):
    shutil.copytree(Path(__file__).parents[3] / "results" / "heads-more", tmp_path / "runs")
    (first, *_) = json.loads(invoke("heads", "table", tmp_path / "runs", "--json").stdout)
    assert first["title"].startswith("Detection: ") and first["results"][0]["defence"] == "heads-detect"


def test_globs_that_meet_sidecars(tmp_path):
    """`benchmark train data/*` names NAME.manifest.json beside NAME.h5: passed over with a note."""
    clean, poisoned = writer.toy(tmp_path)
    sidecars = [path.with_name(path.name.removesuffix(".h5") + ".manifest.json") for path in (clean, poisoned)]
    for path in sidecars:
        path.write_text("{}")
    words = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "40", "--runs", tmp_path / "runs")
    done = invoke("sweep", clean, *sidecars, poisoned, *words, "-n", "--json")
    assert done.stderr == "benchmark: skipped 2 sidecars (*.manifest.json)\n"
    assert [row["state"] for row in json.loads(done.stdout)] == ["to do", "to do"]
    done = invoke("train", clean, sidecars[0], *words, "-q", "--json")
    assert done.stderr == "benchmark: skipped 1 sidecar (*.manifest.json)\n"
    assert json.loads(done.stdout)[0]["dataset"]["name"] == "toy-clean"
    done = invoke("train", sidecars[0], code=2)
    assert "a sidecar, expected the data set file beside it (.h5)" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train",), "missing argument 'FILE...'; see benchmark train --help"),
        (("score", "run"), "missing argument 'FILE'; see benchmark score --help"),
        (("train", "--preset"), "option '--preset' requires an argument"),
        (("train", "x.h5", "--epochs", "0"), "invalid value for '--epochs': 0 is not in the range x>=1; see"),
        (("train", "x.h5", "--epochs", "x"), "invalid value for '--epochs': 'x' is not a valid integer"),
        (("train", "x.h5", "--preset", "huge"), "invalid value for '--preset': 'huge' is not one of"),
        (("table", "--no-such-option"), "no such option"),
        (("heads", "table", "--no-such\nlines"), "no such option"),
        (("no-such-command",), "no such command 'no-such-command'; see benchmark --help"),
        (("heads", "no-such-command"), "no such command 'no-such-command'; see benchmark heads --help"),
        (("--no-such-option",), "no such option"),
    ],
    ids=lambda value: " ".join(value).replace("\n", " ") if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_one_line_and_exit_2(words, line):
    done = click.testing.CliRunner().invoke(main, list(words), prog_name="benchmark")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert done.stderr.startswith(f"benchmark: {line}"), done.stderr


@pytest.mark.parametrize("words", [(), ("heads",)])
def test_no_command_at_all_is_the_whole_help(words):
    done = click.testing.CliRunner().invoke(main, list(words), prog_name="benchmark")
    assert done.exit_code == 2 and done.output.startswith("Usage: benchmark") and "Commands:" in done.output


def test_a_shell_may_ask_what_comes_after_an_option_given_twice():
    words = "benchmark train --backend jax --backend torch --preset "
    asked = {"_BENCHMARK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "7"}
    done = click.testing.CliRunner().invoke(main, [], prog_name="benchmark", env=asked)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "plain,tiny" in done.output


def test_the_help_makes_no_classes_of_settings():
    """They, and what they are computed with, take as long as Python's own start."""
    heavy = ("benchmark.training.settings", "benchmark.training.common", "benchmark.runs.result", "numpy", "keras")
    code = f"import sys, benchmark.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
