"""How the commands print: one line is one line, and nothing in it moves a terminal's cursor, changes its
colours or turns its reading order round, whatever names and texts a foreign file or a file system puts into it."""

import json
import re

import click

_UNPRINTABLE = re.compile(r"[^\n -~]")


def printable(text) -> str:
    """Return a text for one line of a terminal: what is not printable as Python would spell it (``\\x1b``,
    ``\\u202e``)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def tell(*lines) -> None:
    """Print each on a line of its own."""
    for line in lines:
        click.echo(printable(line))


def tell_json(value, **how) -> None:
    """Print a value as JSON, in which what is not printable is escaped; it means the same to a program."""
    click.echo(_UNPRINTABLE.sub(_escaped, json.dumps(value, indent=1, ensure_ascii=False, **how)))


def _escaped(found: re.Match) -> str:
    """Return a letter as it is, anything else as JSON may escape it, a half of UTF-16 at a time."""
    halves = found[0].encode("utf-16-be", "surrogatepass")
    return (
        found[0]
        if found[0].isprintable()
        else "".join(f"\\u{halves[i : i + 2].hex()}" for i in range(0, len(halves), 2))
    )
