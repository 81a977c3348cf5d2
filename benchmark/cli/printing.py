"""Print lines and JSON that no name from a stranger's file can turn into anything else."""

import json

import click

from benchmark.core.text_tables import printable


def say(text="", err: bool = False) -> None:
    """Print lines, on standard error with `err`: what names of strangers bring along that steers a terminal, or cannot
    be seen, as escapes."""
    click.echo("\n".join(map(printable, str(text).split("\n"))), err=err)


def complain(line) -> None:
    """One line on standard error, after the program's name, whatever is in it."""
    click.echo(printable(f"benchmark: {line}"), err=True)


def say_json(value) -> None:
    """Print JSON, every character that cannot be seen as its escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def end(wrong) -> None:
    """Name what could not be read (path: line), each once, and end the command with exit code 1; nothing of nothing."""
    for line in dict.fromkeys(wrong.values()):
        complain(line)
    if wrong:
        click.get_current_context().exit(1)
