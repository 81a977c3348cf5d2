#!/usr/bin/env python3
"""Write docs/cli.md, the reference of every command and option, from the code. A test checks that it is up to date.

    python docs/generate_cli.py

The page is laid out here and not by click, whose layout changes from version to version.
"""

import inspect
import textwrap
from pathlib import Path

import click

TARGET = Path(__file__).with_name("cli.md")


def contexts(command: click.Command, name: str, parent: click.Context | None = None):
    """Yield a context for a command and for all below it. (Click keeps what it finds out, so they must be the real
    ones.)"""
    context = command.context_class(command, parent=parent, info_name=name, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from contexts(command.get_command(context, child), child, context)


def argument(parameter: click.Argument) -> str:
    """FILE, or FILE… where several may be given, in brackets where none need be; as the help has it, if it names it."""
    if parameter.metavar and " " in parameter.metavar:  # several in one, such as `[RUN] FILE`
        return parameter.metavar
    text = (parameter.metavar or parameter.name.upper()).removesuffix("...").strip("[]")
    text = text if parameter.metavar or parameter.nargs != -1 else text.rstrip("S")
    text += "…" if parameter.nargs == -1 else ""
    return text if parameter.required else f"[{text}]"


def option(parameter: click.Option) -> str:
    """One item of the list of options."""
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    value = "" if parameter.is_flag or parameter.count else " " + (parameter.metavar or value_name(parameter.type))
    notes = " (required)" if parameter.required else ""  # not in square brackets: after others these make a link
    if parameter.show_default and not parameter.is_flag:
        shown = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
        notes += f" [default: {shown}]"
    line = f"- `{names}{value}`: {' '.join((parameter.help or '').split())}{notes}"
    return textwrap.fill(line, 116, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def value_name(kind: click.ParamType) -> str:
    """Return what stands for an option's value."""
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return {"integer": "N", "integer range": "N", "float": "X", "float range": "X"}.get(kind.name, kind.name.upper())


def section(context: click.Context) -> list[str]:
    """Return the part of the page for one command."""
    command, path = context.command, context.command_path
    parameters = command.get_params(context)
    arguments = [argument(p) for p in parameters if isinstance(p, click.Argument)]
    usage = " ".join([path, "[OPTIONS]", *arguments, *(["COMMAND"] if isinstance(command, click.Group) else [])])
    lines = [f"## {path}", "", f"`{usage}`", "", *prose(command.help), *options(command, context)]
    return [*lines, *prose(command.epilog)]


def options(command: click.Command, context: click.Context) -> list[str]:
    """Return the list of options, under headings where the command's help has them."""
    groups = command.groups(context) if hasattr(command, "groups") else {"": command.get_params(context)}
    lines = []
    for heading, parameters in groups.items():
        listed = [option(p) for p in parameters if isinstance(p, click.Option) and shown(p)]
        if listed:
            lines += [*([f"**{heading}**", ""] if heading else []), *listed, ""]
    return lines


def shown(parameter: click.Option) -> bool:
    """Whether an option is listed: all but those that every command has."""
    return not {"--help", "--version"} & set(parameter.opts)


def prose(text: str | None) -> list[str]:
    """Return the paragraphs of a help text; what click is told to leave as it is (after a line with \\b) becomes
    code."""
    lines = []
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        if not paragraph.startswith("\b"):
            lines += [paragraph, ""] if paragraph.strip() else []
            continue
        title, *code = paragraph.removeprefix("\b").strip("\n").split("\n")
        lines += [title, "", "```", *textwrap.dedent("\n".join(code)).split("\n"), "```", ""]
    return lines


def text() -> str:
    """Return the whole page."""
    from benchmark.cli.main import main as benchmark
    from poisonkit.cli.main import cli as poisonkit

    lines = ["# Command-line reference", "", "Generated from the code by `docs/generate_cli.py` (`make docs`).", ""]
    for program, root in (("poisonkit", poisonkit), ("benchmark", benchmark)):
        for context in contexts(root, program):
            lines += section(context)
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
