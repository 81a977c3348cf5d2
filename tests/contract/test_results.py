"""The committed results and the tables that are made from them."""

import re
from pathlib import Path

import click.testing
import pytest

pytest.importorskip("h5py")
from benchmark.cli import main
from benchmark.runs import results  # noqa: E402

RESULTS = Path(__file__).resolve().parents[2] / "results"
PAGE = (RESULTS / "README.md").read_text(encoding="utf-8")
HEADS = RESULTS.parent / "docs" / "heads.md"
SHOWN = re.findall(r"benchmark table results/([\w-]+) --format markdown\n```\n\n((?:\|.*\n)+)", PAGE)


def test_every_folder_of_runs_has_its_table():
    folders = {path.parents[1].name for path in RESULTS.glob("*/*/result.json")}
    assert folders and folders == {name for name, _ in SHOWN}


@pytest.mark.parametrize(("name", "table"), SHOWN)
def test_the_tables_are_those_of_the_results(name, table):
    done = click.testing.CliRunner().invoke(main.main, ["table", str(RESULTS / name), "--format", "markdown"])
    assert done.exit_code == 0, done.output
    assert done.stdout.split("\n\n")[0] == table.rstrip("\n"), "the page is not what the command makes of the results"


@pytest.mark.parametrize("name", [name for name, _ in SHOWN])
def test_the_results_say_what_they_are_of_and_where_nothing_lies(name):
    for run in results.gather([RESULTS / name]):
        said = run.result["dataset"]
        assert run.folder.name == run.result["name"] and said["recipe"] and run.result["environment"]["versions"]
        assert "/" not in (said.get("path") or "") + (said.get("base") or "")


@pytest.mark.parametrize("path", sorted((RESULTS / "grids").glob("*.toml")), ids=lambda path: path.stem)
def test_the_grids_are_grids(path):
    from poisonkit.build import grid

    asked = grid.read(path).recipes()
    assert len(asked) == 2 and not any(request.clean for request in asked)


def test_the_tables_on_heads_are_those_of_the_results():
    done = click.testing.CliRunner().invoke(
        main.main, ["heads", "table", str(RESULTS / "heads"), "--format", "markdown"]
    )
    assert done.exit_code == 0, done.output
    made = re.findall(r"(?:^\|.*(?:\n|$))+", done.stdout, re.MULTILINE)
    page = HEADS.read_text(encoding="utf-8")
    assert made and all(table.rstrip("\n") in page for table in made), "run it again, and put its tables into the page"
