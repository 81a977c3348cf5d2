#!/usr/bin/env python3
"""Write docs/cli.md, the reference of every command and option, from the code. A test checks that it is up to date.

    python docs/generate_cli.py

The page is laid out here and not by click, whose layout changes from version to version.
"""

import inspect
from pathlib import Path

import click

TARGET = Path(__file__).with_name("cli.md")


def commands(command: click.Command, path: list[str]):
    """(path, command) of a command and of all below it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), [*path, name])


def argument(parameter: click.Argument) -> str:
    """FILE, or FILE… where several may be given, in brackets where none need be."""
    text = parameter.name.upper().rstrip("S") if parameter.nargs == -1 else parameter.name.upper()
    text += "…" if parameter.nargs == -1 else ""
    return text if parameter.required else f"[{text}]"


def option(parameter: click.Option) -> str:
    """One line of the list of options."""
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag or parameter.count else " " + (parameter.metavar or value_name(parameter.type))
    notes = " [required]" if parameter.required else ""
    if parameter.show_default and not parameter.is_flag:
        shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
        notes += f" [default: {shown}]"
    return f"- `{names}{value}`: {' '.join((parameter.help or '').split())}{notes}"


def value_name(kind: click.ParamType) -> str:
    """What stands for an option's value."""
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return {"integer": "N", "integer range": "N", "float": "X", "float range": "X"}.get(kind.name, kind.name.upper())


def section(path: list[str], command: click.Command) -> list[str]:
    """The part of the page for one command."""
    parameters = command.get_params(click.Context(command))
    arguments = [argument(p) for p in parameters if isinstance(p, click.Argument)]
    usage = " ".join([*path, "[OPTIONS]", *arguments, *(["COMMAND"] if isinstance(command, click.Group) else [])])
    lines = [f"## {' '.join(path)}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""), ""]
    options = [
        option(p) for p in parameters if isinstance(p, click.Option) and not {"--help", "--version"} & set(p.opts)
    ]
    return [*lines, *options, ""] if options else lines


def text() -> str:
    """The whole page."""
    from benchmark.cli import main as benchmark
    from poisonkit.cli import cli as poisonkit

    lines = ["# Command-line reference", "", "Generated from the code by `docs/generate_cli.py` (`make docs`).", ""]
    for program, root in (("poisonkit", poisonkit), ("benchmark", benchmark)):
        for path, command in commands(root, [program]):
            lines += section(path, command)
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
