"""The documentation against the code."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _generator():
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cli_reference_is_up_to_date():
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == _generator().text(), "run `make docs`"


def test_every_command_that_the_readme_names_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^## (poisonkit|benchmark) (\w+)$", reference, re.M))
    named = set(re.findall(r"^(?:\$ )?(poisonkit|benchmark) (\w+)", readme, re.M))
    assert named and named <= known
    assert {command for command in known if command not in named} == set(), "a command that the README does not show"


def test_every_option_that_the_readme_uses_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    lines = [line.split("#")[0] for line in readme.splitlines() if re.match(r"(poisonkit|benchmark) \w", line)]
    for line in lines:
        for option in re.findall(r"(?<=\s)(--?[a-z][\w-]*)", line):
            assert f"`{option}" in reference or f", {option}" in reference, f"{option} in: {line}"
