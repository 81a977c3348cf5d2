"""The documentation against the code."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _generator(name="generate_cli"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cli_reference_is_up_to_date():
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == _generator().text(), "run `make docs`"


def test_the_tables_of_the_format_are_up_to_date():
    page = (ROOT / "data" / "FORMAT.md").read_text(encoding="utf-8")
    schema = json.loads((ROOT / "data" / "schema.json").read_text(encoding="utf-8"))
    generator = _generator("generate_format")
    assert set(re.findall(r"<!-- table ([\w-]+) -->", page)) == set(generator.TABLES)
    assert generator.text(page, schema) == page, "run `make docs`"
    for field in schema["fields"]:
        assert f"`{field['key'].split('.')[-1]}`" in page, field
    assert all(rule["what"] in page for rule in schema["rules"])


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


def _attacks() -> str:
    return (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^poisonkit make .*$", _attacks(), re.M))
def test_every_command_of_the_page_of_attacks_runs(poisonkit, tmp_path, line):
    small = ("--source-option", "train=200", "--source-option", "test=100", "-o", tmp_path)
    poisonkit(*shlex.split(line)[1:], *small).succeeded()
    (made,) = tmp_path.glob("*.h5")
    poisonkit("verify", made).succeeded()


def test_the_page_of_attacks_shows_each_with_a_small_picture():
    from poisonkit.core import label_modes, modality
    from poisonkit.triggers import registry as triggers

    page = _attacks()
    shown = re.findall(r"!\[[^]]+\]\((attacks/[\w-]+\.png)\)", page)
    assert all(f"**{name}**" in page for name in triggers.names(modality.TEXT))
    for name in (*triggers.names(modality.IMAGE), *label_modes.SELECTIONS, "wanet"):
        assert f"attacks/{name}.png" in shown and f"**{name}**" in page or name == "wanet"
    there = {f"attacks/{path.name}" for path in (ROOT / "docs" / "attacks").iterdir()}
    assert there == set(shown), "a picture that is missing, or that no one sees"
    assert sum((ROOT / "docs" / name).stat().st_size for name in shown) < 150_000
    for preset in triggers.presets():
        assert f"`{preset}`" in page
    for option in ("--label-mode", "--source-class", "--select", "--cover-rate", "--cover-jitter"):
        assert option in page


def test_the_pictures_can_be_drawn_again(tmp_path, monkeypatch):
    """The script runs, and draws pictures of the sizes that lie there (OpenCV's letters differ by version)."""
    import cv2

    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "docs" / "make_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    module.main()
    for path in (*tmp_path.glob("*.png"), *tmp_path.glob("attacks/*.png")):
        assert cv2.imread(str(path)).shape == cv2.imread(str(ROOT / "docs" / path.relative_to(tmp_path))).shape
