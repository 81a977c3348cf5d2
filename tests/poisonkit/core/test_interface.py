"""Messages that name options, as the command line and as Python has them."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest

import poisonkit as pk
from poisonkit.build import api
from poisonkit.core import interface

PACKAGE = Path(pk.__file__).parent
NOT_MESSAGES = ("backdoorbench_script.py", "hints.py", "listing.py", "show.py")
"""Modules whose options are those of another program, or of commands and lines that only the command line shows."""
COMMAND_LINE_ALONE = ("paper",)
"""Options of commands that no function of the interface stands for."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--cover-rate: expected a rate", "cover_rate: expected a rate"),
        ("x.h5: exists: use --force, or choose another -o", "x.h5: exists: use force=True, or choose another out"),
        ("requires --trigger blend", "requires trigger blend"),
        ("--blend-image: a picture - or none", "blend_image: a picture - or none"),
        ("ok (`poisonkit make --rate 0`), --rate", "ok (`poisonkit make --rate 0`), rate"),
        ("a-b --source-class c--d", "a-b source_classes c--d"),
        ("--seed $(python3 -c 'import secrets; print(secrets.randbits(62))')", "seed=secrets.randbits(62)"),
    ],
)  # fmt: skip
def test_the_spelling(text, words):
    assert interface.in_python(text) == words == interface.in_python(words)


def options_in_messages():
    """Every option in a text of the package that is no docstring and belongs to no command line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "cli" in path.parts or path.name in NOT_MESSAGES:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        plain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain:
                for part in interface.COMMAND.split(node.value):
                    if not part.startswith("`"):
                        yield from interface.OPTION.findall(part)


def test_every_option_that_a_message_names_is_an_argument_in_python():
    functions = [getattr(pk, name) for name in pk.__all__ if inspect.isfunction(getattr(pk, name))]
    known = {name for function in functions for name in inspect.signature(function).parameters}
    known |= {"truth", "creator", "url", *COMMAND_LINE_ALONE}
    known |= set(api._known_options())
    found = set(options_in_messages())
    spelled = {interface.in_python(option).partition("=")[0] for option in found}
    assert len(found) > 20 and {one for one in spelled if not one.startswith("`")} - known == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate": 2}, "rate: expected a fraction"),
        ({"rate": 0.1, "cover_rate": "x"}, "cover_rate: expected a rate, or a multiple of rate such as 2x"),
        ({"rate": 0.1, "source_classes": 3, "label_mode": "all-to-one"}, "source_classes: "),
        ({"rate": 0.1, "seed": -1}, "seed: expected"),
        ({"rate": 0.1, "patch_size": 7}, "patch_size: 7×7 does not divide"),
        ({"rate": 0.1, "camouflage": "light"}, "camouflage needs camouflage_seed N"),
    ],
)
def test_errors_of_make_name_arguments(arguments, words):
    with pytest.raises(pk.Usage) as raised:
        pk.make("signs", trigger="square", source_options={"train": 20, "test": 10}, **arguments)
    assert str(raised.value).startswith(words) and "--" not in str(raised.value)


@pytest.mark.parametrize("value", [np.array([1, 2]), np.array([]), np.array([True, False]), "no", 2, None, 0.5, [1]])
def test_what_is_no_flag_is_one_clear_usage(value):
    with pytest.raises(pk.Usage, match="^force: expected True or False, got ") as raised:
        pk.make("signs", trigger="square", rate=0.1, force=value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [True, 1, np.bool_(True), np.int64(1)])
def test_what_counts_as_a_flag(value):
    assert interface.flag(value, "force") is True and interface.flag(type(value)(0), "force") is False
