"""The help of `benchmark`: a short summary of every command, and an example that can be typed."""

import inspect

import click
import pytest

from benchmark.cli.main import main


def commands(group=main, name="benchmark"):
    for word, command in sorted(group.commands.items()):
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_summary_fits_beside_the_name_and_there_is_an_example(name, command):
    summary = command.get_short_help_str(200)
    assert 10 < len(summary) <= 45 and summary.endswith("."), summary
    assert not summary.endswith("..."), summary
    lines = inspect.cleandoc(command.help).splitlines()
    examples = [line.strip() for line in lines[lines.index("Example:") + 1 :] if line.strip()]
    assert examples and examples[0].startswith(name), examples
