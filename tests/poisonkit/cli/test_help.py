"""What the help of `poisonkit` says, and what each command prints for programs."""

import inspect
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from poisonkit.cli.main import cli
from poisonkit.cli.make_options import GROUPS
from poisonkit.triggers import registry as triggers

COMMANDS = sorted(cli.commands)
LONGEST = 45


def shown(name: str) -> str:
    command = cli.commands[name]
    with click.Context(command, info_name=f"poisonkit {name}", max_content_width=110) as context:
        command.get_params(context)
        return command.get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_fits_the_list_of_commands(name):
    summary = cli.commands[name].help.strip().split("\n")[0]
    assert summary.endswith(".") and len(summary) <= LONGEST and summary[0].isupper(), summary
    assert "lies" not in summary and "anew" not in summary


@pytest.mark.parametrize("name", COMMANDS)
def test_paragraphs_are_not_indented(name):
    """On a page an indented paragraph would be code. (After a line with \\b it is meant to be.)"""
    command = cli.commands[name]
    with click.Context(command) as context:
        command.get_params(context)
    for paragraph in inspect.cleandoc(command.help).split("\n\n"):
        assert paragraph.startswith("\b") or not re.search(r"^\s+\S", paragraph, re.MULTILINE), paragraph


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_a_command(name):
    text = shown(name)
    example = text[text.rindex("Example:\n") :].split("\n")[1:]
    for line in filter(None, map(str.strip, example)):
        words = shlex.split(line)
        assert words[:2] == ["poisonkit", name], line
        command = cli.commands[name]
        with click.Context(command) as context:
            known = {option for p in command.get_params(context) for option in p.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize("name", COMMANDS)
def test_values_have_names_for_people(name):
    """click's own for a number is INTEGER RANGE."""
    command = cli.commands[name]
    with click.Context(command) as context:
        options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    named = [one for one in options if one.metavar or one.is_flag or isinstance(one.type, click.Choice)]
    assert options == named and not {"INTEGER", "FLOAT", "RANGE"} & set(shown(name).split())


def test_the_options_of_make_are_in_groups():
    text = shown("make")
    headings = [line.removesuffix(":") for line in text.split("\n") if line.endswith(":") and not line.startswith(" ")]
    assert headings[: len(GROUPS)] == list(GROUPS)
    assert {"Trigger square", "Trigger blend", "Trigger word"} <= set(headings) and "Options" not in headings
    command = cli.commands["make"]
    with click.Context(command) as context:
        options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
        assert len(options) > 50
        grouped = [p for parameters in command.groups(context).values() for p in parameters]
        assert sorted(p.name for p in grouped) == sorted(p.name for p in command.get_params(context))
    for option in options:
        assert option.opts[0] in text, option.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_json_wherever_something_is_printed(name):
    with click.Context(cli.commands[name]) as context:
        assert "--json" in {option for p in cli.commands[name].get_params(context) for option in p.opts}


def said(result):
    assert result.code in (0, 3) and not result.err, result
    return json.loads(result.out)


def test_what_json_says(poisonkit, library, tmp_path):
    file, clean, other = library("square"), library("clean"), library("blend")
    made = ("make", *poisonkit.small, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "x.h5", "--json")
    (planned,) = said(poisonkit(*made, "--dry-run"))
    (written,), (existing,) = said(poisonkit(*made)), said(poisonkit(*made))
    assert [one["state"] for one in (planned, written, existing)] == ["planned", "written", "existing"]
    assert written["path"] == str(tmp_path / "x.h5") and written["manifest"] == existing["manifest"]
    assert said(poisonkit("verify", file, clean, "--json")) == [
        {"file": str(one), "ok": True, "differences": [], "unknown": None, "notes": []} for one in (file, clean)
    ]
    assert said(poisonkit("diff", file, file, "--json")) == {"differences": []}
    assert said(poisonkit("diff", file, other, "--json"))["differences"]
    assert {one["name"] for one in said(poisonkit("triggers", "--json"))} >= {"square", "word"}
    assert {one["name"] for one in said(poisonkit("sources", "--json"))} >= {"signs", "phrases"}
    assert said(poisonkit("cache", "--json"))["size"] > 0
    assert said(poisonkit("preview", file, "-o", tmp_path / "x.png", "--json"))["path"].endswith("x.png")
    assert said(poisonkit("preview", library("text-word"), "--json"))["lines"]
    applied = poisonkit("apply", file, tmp_path / "x.png", "-o", tmp_path / "y.png", "--json")
    assert said(applied)[0]["path"] == str(tmp_path / "y.png") and len(said(applied)[0]["resized_from"]) == 2
    delta = said(poisonkit("pack", file, "-o", tmp_path, "--json"))["path"]
    assert said(poisonkit("unpack", delta, "--base", clean, "--json"))["state"] == "written"
    sealed = said(poisonkit("seal", file, "-o", tmp_path / "c.h5", "--key", tmp_path / "k.h5", "--json"))
    assert sealed["commitment"].startswith("sha256:")
    back = poisonkit("unseal", sealed["challenge"], "--key", sealed["key"], "-o", tmp_path / "b.h5", "--json")
    assert said(back)["path"] == str(tmp_path / "b.h5")
    assert said(poisonkit("export", file, "--format", "npz", "-o", tmp_path / "x.npz", "--json"))["format"] == "npz"
    grid = said(poisonkit("grid", "--paper", "small", "-o", tmp_path / "grid", "--dry-run", "--json"))
    assert len(grid["files"]) == len(grid["missing"]) == 18 and grid["written"] == []


def test_json_says_what_was_made_before_an_error(poisonkit, tmp_path):
    asked = (
        "make",
        *poisonkit.small,
        "--trigger",
        "square",
        "--rate",
        "0.1",
        "--rate",
        "0.2",
        "-o",
        tmp_path,
        "--json",
    )
    first, second = said(poisonkit(*asked, "--dry-run"))
    Path(second["path"]).write_text("precious")
    result = poisonkit(*asked).failed(1, "already exists")
    assert [one["path"] for one in json.loads(result.out)] == [first["path"]]


def test_quiet(poisonkit, tmp_path):
    asked = ("make", *poisonkit.small, "--rate", "0", "-q", "-o", tmp_path / "x.h5")
    assert poisonkit(*asked).succeeded().out == "" and (tmp_path / "x.h5").is_file()
    assert poisonkit(*asked).succeeded().out == ""
    assert poisonkit("make", "--from", tmp_path / "x.h5", "-q", "-o", tmp_path / "y.h5").succeeded().out == ""


def test_a_pattern_that_meets_sidecars(poisonkit, tmp_path):
    poisonkit("make", *poisonkit.small, "--rate", "0", "-o", tmp_path).succeeded()
    result = poisonkit("verify", *sorted(tmp_path.glob("*")))
    assert result.code == 0 and len(result.lines) == 1 and result.lines[0].endswith(".h5: OK")
    assert result.errors == ["poisonkit: skipped 1 sidecar (*.manifest.json): each is checked with its file"]
    (sidecar,) = tmp_path.glob("*.manifest.json")
    poisonkit("verify", sidecar).failed(2, "got sidecars alone")


def test_a_preview_has_the_files_name(poisonkit, library, tmp_path):
    file = tmp_path / "some.h5"
    file.write_bytes(library("square").read_bytes())
    assert poisonkit("preview", file).succeeded().lines == [f"wrote {tmp_path / 'some.png'}"]
    before = (tmp_path / "some.png").read_bytes()
    poisonkit("preview", file, "--rows", "1").failed(1, "some.png: already exists", "-o")
    assert (tmp_path / "some.png").read_bytes() == before
    poisonkit("preview", file, "--rows", "1", "--force").succeeded()
    assert (tmp_path / "some.png").read_bytes() != before


def test_the_help_says_where_the_pages_are(poisonkit, root):
    """The help of commands names docs/sealing.md, say: in an installation these are beside the code."""
    shown = poisonkit("--help").succeeded().out
    assert f"The pages named docs/… are in this folder:\n  {root / 'docs'}\n" in shown, "in one piece, to be copied"
    assert (root / "docs" / "sealing.md").is_file()


def test_the_help_of_make_names_every_preset():
    said = next(parameter.help for parameter in cli.commands["make"].params if parameter.name == "preset")
    assert set(triggers.presets()) <= set(re.findall(r"[\w-]+", said))
