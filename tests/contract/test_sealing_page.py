"""docs/sealing.md: its figures are those of the committed measurements."""

import json
import re
from pathlib import Path

import measure_sealing
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "sealing.md").read_text(encoding="utf-8")
DRAWS = ("sealing", "sealing-seed-1", "sealing-seed-2")


@pytest.fixture(scope="module")
def tables():
    """What the script prints of each draw's measurements, its lines."""
    measured = [json.loads((DOCS / f"{name}.json").read_text("utf-8"))["cells"] for name in DRAWS]
    return [measure_sealing.table(cells) for cells in measured]


def test_the_tables_are_those_that_the_script_prints(tables):
    assert "\n".join(tables[0]) in PAGE


def test_the_draws_are_compared_by_the_same_figures(tables):
    """The AUROC of `strong` with unchanged labels, of each team; whoever has the source has the file as well."""
    shown = re.findall(r"^\| (\w+) \| (image|patch) \| ([\d., ]+) \| ([\d., ]+) \|$", PAGE, re.M)
    assert len(shown) == 4
    for trigger, place, *teams in shown:
        begins = f"| {trigger} | {place} | clean-label |"
        measured = [[line.split("|")[6].split()[0] for line in lines if line.startswith(begins)] for lines in tables]
        assert [said.split(", ") for said in teams] == [list(team) for team in zip(*measured, strict=True)], begins
