"""The committed results and the tables that are made from them."""

import json
import re
from fractions import Fraction
from pathlib import Path

import click.testing
import pytest

pytest.importorskip("h5py")
from benchmark.cli import main
from benchmark.runs import results  # noqa: E402
from benchmark.runs.published.badpatches import BADPATCHES  # noqa: E402
from benchmark.runs.published.registry import Key  # noqa: E402

RESULTS = Path(__file__).resolve().parents[2] / "results"
PAGE = (RESULTS / "README.md").read_text(encoding="utf-8")
HEADS = RESULTS.parent / "docs" / "heads.md"
SHOWN = re.findall(r"benchmark table results/([\w-]+) --format markdown\n```\n\n((?:[^|\n].*\n\n)?(?:\|.*\n)+)", PAGE)


def test_every_folder_of_runs_has_its_table():
    folders = {path.parents[1].name for path in RESULTS.glob("*/*/result.json")}
    assert folders and folders == {name for name, _ in SHOWN}


@pytest.mark.parametrize(("name", "table"), SHOWN)
def test_the_tables_are_those_of_the_results(name, table):
    done = click.testing.CliRunner().invoke(main.main, ["table", str(RESULTS / name), "--format", "markdown"])
    assert done.exit_code == 0, done.output
    made = "".join(re.match(r"((?:[^|\n].*\n\n)?)((?:\|.*\n)+)", done.stdout).groups())
    assert made == table, "the page is not what the command makes of the results"


@pytest.mark.parametrize("name", [name for name, _ in SHOWN])
def test_the_results_say_what_they_are_of_and_where_nothing_lies(name):
    for run in results.gather([RESULTS / name]):
        said = run.result.raw["dataset"]
        assert run.folder.name == run.result.name and said["recipe"] and run.result.raw["environment"]["versions"]
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


# ---------------------------------------------------------------- the tables of README.md and docs/results.md


def _lines(page: str, heading: str) -> list[list[str]]:
    """The cells of the lines of the one table on this page whose first heading is this."""
    text = (RESULTS.parent / page).read_text(encoding="utf-8")
    (table,) = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def _scores(folder: str, **wanted) -> list[dict]:
    """What the runs of this attack in this folder of results scored, one for each seed."""
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob(f"{folder}/*/result.json"))]
    return [run for run in runs if wanted.items() <= _attack(run).items()]


def _attack(run: dict) -> dict:
    """What of a run the tables name."""
    recipe, (trigger, *_) = run["dataset"]["recipe"], (*run["dataset"]["recipe"].get("triggers", ()), {})
    height = (recipe.get("patch") or [None])[0]
    return {"source": run["dataset"]["source"], "rate": recipe["rate"], "patch": height} | trigger


def _one(run: dict, name: str) -> str:
    return f"{run['scores'][name]['percent']:.1f}"


def _cad(run: dict) -> str:
    return f"{round(run['baseline']['cad'], 1) + 0.0:+.1f}".replace("-", "−")


@pytest.mark.parametrize(
    ("page", "columns"),
    [("README.md", "ba asr cad clean ba asr"), ("docs/results.md", "ba asr cad clean still_right ba asr")],
)
def test_the_cells_at_the_paper_s_settings_are_those_of_the_results(page, columns):
    """Each row is of one run, which no other row is of; the last two columns are BadPatches' own."""
    rows = {(name, rate): cells for name, rate, *cells in _lines(page, "CIFAR-10, width 10")}
    named = {_named(run): run for run in _scores("paper")}
    assert len(named) == 12 and (page == "README.md" or len(rows) == 12)
    for name, cells in rows.items():
        shown = {"ba": _one(named[name], "ba")}
        if name[0] == "clean":
            assert cells == [shown["ba"], *[""] * (len(cells) - 3), "85.0", ""]
            continue
        shown |= {"asr": _one(named[name], "asr"), "still_right": _one(named[name], "still_right")}
        shown |= {"cad": _cad(named[name]), "clean": f"{named[name]['baseline']['asr']['percent']:.1f}"}
        assert cells == [*(shown[one] for one in columns.split()[:-2]), *_published(named[name])]


def _named(run: dict) -> tuple[str, str]:
    """What a table calls a run's attack, and its rate."""
    attack = _attack(run)
    if attack["rate"] == "0":
        return "clean", ""
    name, patch = attack["name"], attack["patch"]
    name += f" of {attack['size']}×{attack['size']}" if attack.get("size", 4) != 4 else ""
    name += ", the notebooks'" if attack.get("sampling") == "truncate" else ""
    return f"{name}, {f'every {patch}×{patch} patch' if patch else 'whole image'}", f"{float(attack['rate']) * 100:g} %"


def _published(run: dict) -> list[str]:
    """BA and ASR that BadPatches has for this trigger, place and rate, whatever the patches' size."""
    attack = _attack(run)
    key = Key("cifar10", "pmoe", attack["name"], "patch" if attack["patch"] else "image", Fraction(attack["rate"]))
    return [f"{BADPATCHES.attacks()[key][score]:.1f}" for score in ("ba", "asr")]


@pytest.mark.parametrize("heading", ["GTSRB", "CIFAR-10"])
def test_the_contrast_is_that_of_the_results(heading):
    rows = {name: cells for name, *cells in _lines("docs/results.md", heading)}
    source = heading.lower().replace("-", "")
    clean = _scores("width-1", source=source, rate="0")
    assert len(clean) == 2
    assert rows.pop("clean") == [" / ".join(_one(run, "ba") for run in clean), "", "", "", ""]
    for name, patch in (("square, whole image", None), ("square, every 8×8 patch", 8)):
        runs = _scores("width-1", source=source, rate="0.005", patch=patch, name="square", size=4)
        assert len(runs) == 2 and all(run["baseline"]["how"] == "same seed" for run in runs)
        columns = [[_one(run, score) for run in runs] for score in ("ba", "asr")]
        columns.append([_cad(run) for run in runs])
        columns.append([f"{run['baseline']['asr']['percent']:.1f}" for run in runs])
        columns.append([_one(run, "still_right") for run in runs])
        assert rows.pop(name) == [" / ".join(column) for column in columns]
    assert not rows


def test_the_small_table_is_that_of_the_results():
    rows = {name: cells for name, *cells in _lines("docs/results.md", "signs, tiny")}
    for trigger in ("square", "blend", "warped"):
        for application, patch in (("whole image", None), ("every patch", 8)):
            expected = []
            for rate in ("0.005", "0.02", "0.1"):
                (run,) = _scores("signs", name=trigger, patch=patch, rate=rate)
                expected.append(f"{_one(run, 'asr')} ({_one(run, 'ba')})")
            assert rows.pop(f"{trigger}, {application}") == expected
    assert not rows


def test_the_table_of_geometry_and_warp_is_that_of_the_results():
    rows = [cells for _, *cells in _lines("docs/results.md", "CIFAR-10, width 1")]
    attacks = [
        {"name": "square", "size": 4, "patch": 8, "rate": "0.0005"},
        {"name": "square", "size": 2, "patch": 4, "rate": "0.0005"},
        {"name": "square", "size": 1, "patch": 4, "rate": "0.0005"},
        {"name": "warped", "sampling": "bilinear", "rate": "0.1"},
        {"name": "warped", "sampling": "truncate", "rate": "0.1"},
    ]
    for row, attack in zip(rows, attacks, strict=True):
        (run,) = _scores("width-1", source="cifar10", **attack)
        assert row[:2] == [_one(run, "ba"), _one(run, "asr")]
