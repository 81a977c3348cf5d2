"""Folders of runs whose config.json or result.json is JSON of another kind: one line by whatever opens one."""

import json
import os

import click.testing
import fake_runs
import pytest
import writer

from benchmark.cli import main

OTHERS = (
    "[]",
    "3",
    "null",
    "{}",
    '"text"',
    '{"model": null, "dataset": null}',
    "",
    "{",
    '{"dataset": {}, "model": {}}',
)
COMMANDS = (
    ("repair", "--method", "fine-pruning"),
    ("score", "FILE"),
    ("routing", "FILE"),
    ("detect", "--method", "heads"),
    ("repair", "--method", "heads"),
)
COMMANDS += (("heads", "ablate"), ("show",))


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_other_json(name, command, tmp_path):
    file = writer.toy(tmp_path)[1]
    folder = fake_runs.write(tmp_path / "runs")
    other = "result.json" if name == "config.json" else "config.json"
    for number, text in enumerate(OTHERS):
        run = tmp_path / f"{number}"
        run.mkdir()
        (run / other).write_text((folder / other).read_text())
        (run / name).write_text(text)
        if name == "config.json" and command == ("show",):
            continue  # it reads the result alone
        words = [run if word == "RUN" else file if word == "FILE" else word for word in command]
        words.insert(2 if command[0] == "heads" else 1, run)
        done = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, (text, done.output, done.exception)
        assert name in done.stderr or "not finished" in done.stderr or "is for" in done.stderr, done.stderr
        assert json.dumps(str(run))[1:-1] in done.stderr or run.name in done.stderr


def test_an_unfinished_run_whose_configuration_is_none_is_one_line(tmp_path):
    """The command that would finish it is spelled as far as it is known."""
    for number, text in enumerate((*OTHERS, '"ab"', '["a"]', "[[1, 2, 3]]", '[["model", 1]]', '{"model": []}')):
        run = tmp_path / f"{number}"
        run.mkdir()
        (run / "config.json").write_text(text)
        done = click.testing.CliRunner().invoke(main.main, ["show", os.fspath(run)])
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, (text, done.output, done.exception)
        assert "not finished" in done.stderr or "config.json: cannot be read" in done.stderr
