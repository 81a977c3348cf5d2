"""Printed commands, followed as a user would: copied into a shell, each then carried out in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click.testing
import running

STUB = """#!{python}
import json, sys
with open({record!r}, "a") as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
"""
PROGRAMS = ("poisonkit", "benchmark", "pip")


def words(line: str, folder: Path, **given) -> list[list[str]]:
    """The commands of a printed line as a shell understands them: what they are called with. `given` are words in
    capitals and what the user puts there. What stands behind in brackets is said, not typed."""
    for word, value in given.items():
        assert word in line, (word, line)
        line = line.replace(f" {word}", f" '{value}'")
    line = line.split(" (")[0]
    stubs, record = folder / "stubs", folder / "record.txt"
    stubs.mkdir(exist_ok=True)
    record.write_text("")
    for name in PROGRAMS:
        (stubs / name).write_text(STUB.format(python=sys.executable, record=str(record), name=name))
        (stubs / name).chmod(0o755)
    before = set(folder.iterdir())
    env = os.environ | {"PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    subprocess.run(["sh", "-eu", "-c", line], check=True, env=env, cwd=folder, timeout=60)
    assert set(folder.iterdir()) == before, "a word of the line was taken for a command"
    return [json.loads(one) for one in record.read_text().splitlines()]


def follow(line: str, folder: Path, **given) -> list[list[str]]:
    """Carry out a printed line; each of its commands ends well. `folder` is one for scratch files."""
    commands = words(line, folder, **given)
    assert commands, line
    for program, *arguments in commands:
        done(program, *arguments)
    return commands


def done(program: str, *arguments, code: int = 0):
    """`poisonkit` or `benchmark` in this process, with the exit code that is expected."""
    if program == "poisonkit":
        result = running.run(*arguments)
        assert result.code == code, result
        return result
    from benchmark.cli import main

    result = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])
    assert result.exit_code == code, (arguments, result.output, result.exception)
    return result
