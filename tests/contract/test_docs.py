"""The documentation against the code."""

import html
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poisonkit.build import grid

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


def test_the_pages_on_defences_are_up_to_date():
    generator = _generator("generate_defences")
    page = (ROOT / "docs" / "defences.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "published-code.md").read_text(encoding="utf-8") == generator.published(), "run `make docs`"
    assert generator.defences(page) == page and page.count("<!-- table of methods -->") == 1, "run `make docs`"


def test_the_page_on_published_code_has_every_remark_with_its_place():
    from benchmark.defences.catalogue import DETECTORS, REPAIRS

    page = " ".join((ROOT / "docs" / "published-code.md").read_text(encoding="utf-8").split())
    for spec in (*DETECTORS.values(), *REPAIRS.values()):
        assert f"`{spec.name}`" in page or f"### {spec.name} " in page
        for remark in spec.remarks:
            assert re.search(r"[0-9a-f]{7}", remark.where) or "published" in remark.where, remark
            line = f"**{remark.how}**, "
            assert any(remark.where in part[:200] for part in page.split(line)[1:]), remark


def _pages() -> dict[str, str]:
    """The README and the pages of docs/ that are written by hand."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.name != "cli.md"}


PAGES = _pages()
OUTSIDE = ("results/README.md", "data/FORMAT.md")
REFERENCE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
KNOWN = set(re.findall(r"^## (poisonkit|benchmark) (\w+)$", REFERENCE, re.M))


def _code(page: str) -> str:
    """The blocks of code of a page."""
    return "".join(re.findall(r"^ *```\w*\n(.*?)^ *```$", page, re.M | re.S))


def _named(page: str) -> set[tuple[str, str]]:
    """The commands in a page's blocks of code."""
    return set(re.findall(r"^ *(?:\$ )?(poisonkit|benchmark) (\w+)", _code(page), re.M))


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_a_page_names_exists(name):
    assert _named(PAGES[name]) <= KNOWN
    assert name not in ("README.md", "commands.md", "quickstart.md", "sharing.md", "sweeps.md") or _named(PAGES[name])


def test_the_page_of_commands_shows_every_command():
    assert KNOWN - _named(PAGES["commands.md"]) == set()


@pytest.mark.parametrize("name", PAGES)
def test_every_option_that_a_page_uses_exists(name):
    lines = [
        line.split(" #")[0]
        for line in _code(PAGES[name]).splitlines()
        if re.match(r"[ $]*(poisonkit|benchmark) \w", line)
    ]
    for line in lines:
        for option in re.findall(r"(?<=\s)(--?[a-z][\w-]*)", line):
            assert f"`{option}" in REFERENCE or f", {option}" in REFERENCE, f"{option} in: {line}"


@pytest.mark.parametrize("name", PAGES)
def test_routing_is_told_which_image_to_draw_beside_others(name):
    """Which the command refuses otherwise."""
    for line in re.findall(r"^benchmark routing .*", _code(PAGES[name]), re.M):
        assert "--image" in line or not re.search(r"--(beside|by-epoch)", line), line


GRIDS = [block for page in PAGES.values() for block in re.findall(r"^```toml\n(.*?)^```$", page, re.M | re.S)]


def test_every_grid_that_a_page_shows_is_read(tmp_path):
    assert GRIDS
    for block in GRIDS:
        (tmp_path / "grid.toml").write_text(block, encoding="utf-8")
        shown = grid.read(tmp_path / "grid.toml")
        said = re.search(r"^seeds = .*# seeds (.+)$", block, re.M)
        assert shown.recipes()
        assert not said or said[1] == " and ".join(map(str, sorted({one.seed for one in shown.recipes()})))


def test_the_readme_is_short_and_fits_a_window():
    lines = PAGES["README.md"].splitlines()
    assert len(lines) <= 150 and max(len(line) for line in lines if not line.startswith(("|", "!"))) < 110


@pytest.mark.parametrize("name", [*PAGES, "cli.md"])
def test_the_lines_of_a_page_fit_a_window(name):
    """Tables apart: 120 characters of text, and 110 of code, which is what the site shows at 1280 pixels."""
    code = False
    for line in PAGES.get(name, REFERENCE).splitlines():
        code ^= line.startswith("```")
        assert line.startswith(("|", "![")) or len(line) <= (110 if code else 120), line


def _targets(page: str) -> list[str]:
    """The relative targets of a page's links and pictures, without anchors."""
    return [target for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)", page)]


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_to_a_file(name):
    folder = ROOT if name in ("README.md", "CONTRIBUTING.md") else ROOT / "docs"
    for target in _targets(PAGES[name]):
        assert (folder / target).exists(), target


def test_every_link_to_a_heading_leads_to_one():
    """By how a code host names headings; the site names them nearly alike, and its build is checked besides."""
    pages = {ROOT / ("" if name in ("README.md", "CONTRIBUTING.md") else "docs") / name for name in PAGES}
    anchors = {path.resolve(): _anchors(path) for path in pages | {ROOT / name for name in OUTSIDE}}
    for page in pages:
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path = (page.parent / target if target else page).resolve()
            assert path not in anchors or anchor in anchors[path], f"{page.name}: {target}#{anchor}"


def _anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}


def test_every_page_is_in_the_table_of_contents():
    listed = _targets(PAGES["index.md"])
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"} == {
        target for target in listed if not target.startswith("..")
    }
    nav = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert set(listed) <= {name if (ROOT / "docs" / name).exists() else _outside(name) for name in nav} | {"index.md"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "development.md"])
def test_every_path_that_a_page_for_contributors_names_exists(name):
    text = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.M | re.S)
    paths = re.findall(r"`((?:poisonkit|benchmark|tests|docs)/[\w./-]*)`", text)
    short = re.findall(r"`((?:core|exporters|triggers|sources|networks|defences)/[\w./-]+)`", text)
    assert paths
    for path in paths:
        assert (ROOT / path).exists() or "NAME" in path, path
    for path in short:
        assert list(ROOT.glob(f"poisonkit/{path}")) + list(ROOT.glob(f"benchmark/**/{path}")), path


def test_the_trigger_of_contributing_works(tmp_path):
    """Its code, in a file of its own in a copy of the package, and nothing else."""
    (code, *_) = re.findall(r"^```python\n(.*?)^```", PAGES["CONTRIBUTING.md"], re.M | re.S)
    shutil.copytree(ROOT / "poisonkit", tmp_path / "poisonkit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "poisonkit" / "triggers" / "image" / "stripe_pair.py").write_text(code, encoding="utf-8")
    small = ("--source-option", "train=100", "--source-option", "test=50")
    make = ("make", "--dataset", "signs", *small, "--trigger", "stripe-pair", "--rate", "0.1", "-o", "x.h5")
    environment = os.environ | {"PYTHONPATH": os.fspath(tmp_path)}
    for command in (make, ("verify", "x.h5")):
        done = subprocess.run(
            [sys.executable, "-m", "poisonkit", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md", "python.md"])
def test_every_name_of_the_python_interface_exists(name):
    import benchmark as bm
    import poisonkit as pk

    used = set(re.findall(r"\b(pk|bm)\.(\w+)", _code(PAGES[name])))
    assert len(used) > 4
    assert used <= {("pk", one) for one in pk.__all__} | {("bm", one) for one in bm.__all__}


def test_what_the_readme_and_the_contents_count_and_list_is_all_there_is():
    """A new trigger, export format, network or preset is added to these sentences."""
    from benchmark.nn.networks.registry import NETWORKS
    from benchmark.training.recipes import RECIPES
    from poisonkit.core import modality
    from poisonkit.exporters.registry import FORMATS
    from poisonkit.triggers import registry as triggers

    counts = [f"{len(triggers.names(rows))} {rows.name}" for rows in (modality.IMAGE, modality.TEXT)]
    assert f"| attacks | {counts[0]}, {counts[1]} triggers |" in PAGES["README.md"]
    (listed,) = re.findall(r"^- \[Other formats\]\(export\.md\): (.*)$", PAGES["index.md"], re.M)
    assert sorted(listed.lower().split(", ")) == sorted(FORMATS.names())
    (named,) = re.findall(r"--format ([\w|-]+)", PAGES["export.md"])
    assert sorted(named.split("|")) == sorted(FORMATS.names())
    (shown,) = re.findall(r"^\| networks \| (.*?) \|", PAGES["README.md"], re.M)
    assert len(shown.split(", ")) == len(NETWORKS)
    (table,) = re.findall(r"^\| `--network` \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGES["training.md"], re.M)
    presets = {name for one in NETWORKS.values() if one.of_images for name in one.presets} | set(RECIPES)
    assert set(re.findall(r"^\|[^|]*\| `([\w-]+)`", table, re.M)) == presets


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "python.md"])
def test_the_python_of_the_page_runs(tmp_path, name):
    """All of it, one block after the other, on fewer rows and for one epoch."""
    pytest.importorskip("tensorflow")
    code = "".join(re.findall(r"^```python\n(.*?)^```", PAGES[name], re.M | re.S))
    small = 'source_options={"train": 200, "test": 100}'
    code = code.replace("rate=0.05,", f"rate=0.05, {small},").replace("rate=0)", f"rate=0, {small})")
    code = code.replace("seed=0)", "seed=0, epochs=1)")
    if not importlib.util.find_spec("torch"):
        code = "".join(line for line in code.splitlines(True) if "torch" not in line)
    (network,) = re.findall(r"^```python\n(.*?def build.*?)^```", PAGES["networks.md"], re.M | re.S)
    (tmp_path / "my_network.py").write_text(network, encoding="utf-8")  # which python.md names, and predictions
    sets = ", ".join(f'{name}=file["{name}/labels"][:]' for name in ("test", "triggered"))
    made = f"import h5py, numpy\nwith h5py.File(path) as file: numpy.savez('p.npz', {sets})\n"
    code = code.replace("bm.score_predictions(", f"{made}bm.score_predictions(")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/result.json"))
    printed = done.stdout.splitlines()
    assert name != "README.md" or ("None" not in printed[1] and "signs-square-patch8" in done.stdout)  # scores, a table


def _outside(name: str) -> str:
    """The source of a page of the site that lives outside docs/, as seen from there."""
    return "../" + next(source for source, page in _hook().OUTSIDE.items() if page == name)


def _hook():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["README.md", "quickstart.md"])
def test_the_shown_output_of_make_is_the_real_one(poisonkit, tmp_path, monkeypatch, name):
    """Each `$ poisonkit make --dataset signs …` of these pages, and the lines below it."""
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"^\$ poisonkit (make --dataset signs .*)\n((?:(?!\$|```).*\n)+)", PAGES[name], re.M)
    assert shown
    for command, output in shown:
        done = poisonkit(*shlex.split(command)).succeeded()
        assert done.out.split() == output.split(), command


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_without_the_net(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    for page in tmp_path.glob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)[^>]* (?:src|href)=\"?(https?://[^\s\">]+)", page.read_text("utf-8"))
        assert not loaded, f"{page.name} loads {loaded}"
    assert (tmp_path / "FORMAT.html").exists() and (tmp_path / "gtsrb-curves.png").exists()
    assert "<code>|u1</code>" in (tmp_path / "FORMAT.html").read_text("utf-8")
    _the_reference_describes_every_name((tmp_path / "python.html").read_text("utf-8"))


def _the_reference_describes_every_name(page: str):
    import benchmark as bm
    import poisonkit as pk

    text = " ".join(re.sub(r"[^\w]+", " ", re.sub(r"<[^>]+>", "", html.unescape(page))).split())
    for package in (pk, bm):
        for name in package.__all__:
            first = inspect.getdoc(getattr(package, name)).split(".")[0]
            assert " ".join(re.sub(r"[^\w]+", " ", first).split()) in text, f"{package.__name__}.{name}: {first}"


def _attacks() -> str:
    return (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")


@pytest.fixture
def files_of_attacks(tmp_path, monkeypatch):
    """The files of the user's that the page makes, in the folder in which its commands run."""
    monkeypatch.chdir(tmp_path)
    code = re.compile(r"^(?:`(\w+\.py)`:\n\n)?```python\n(.*?)^```", re.M | re.S)
    for name, block in code.findall(_attacks()):
        if name:
            (tmp_path / name).write_text(block, encoding="utf-8")
        else:
            exec(block, {})


@pytest.mark.parametrize("line", re.findall(r"^poisonkit make .*$", _attacks(), re.M))
def test_every_command_of_the_page_of_attacks_runs(poisonkit, files_of_attacks, tmp_path, line):
    small = ("--source-option", "train=200", "--source-option", "test=100", "-o", tmp_path)
    poisonkit(*shlex.split(line)[1:], *small).succeeded()
    (made,) = tmp_path.glob("*.h5")
    named = re.findall(r"--trigger (\S+\.py:\S+)", line)
    poisonkit("verify", made, *(word for one in named for word in ("--trigger", one))).succeeded()


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
    assert sum((ROOT / "docs" / name).stat().st_size for name in shown) < 600_000
    for preset in triggers.presets():
        assert f"`{preset}`" in page
    for option in (
        "--label-mode",
        "--source-class",
        "--select",
        "--cover-rate",
        "--cover-class",
        "--cover-jitter",
        "--one-of",
    ):
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
