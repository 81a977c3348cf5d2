"""The wheel and the source distribution hold what the programs and their help texts point to."""

import configparser
import os
import posixpath
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it, as an installation from it would."""
    folder = tmp_path_factory.mktemp("built")
    clone = folder / "clone"
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    hook = "import sys, setuptools.build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", hook, "sdist", folder], cwd=clone, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (unpacked,) = (folder / "unpacked").iterdir()
    subprocess.run([sys.executable, "-c", hook, "wheel", folder], cwd=unpacked, check=True, capture_output=True)
    return folder


def _wheel(built: Path) -> set[str]:
    (path,) = built.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


def _sdist(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    return {name.partition("/")[2] for name in tarfile.open(path).getnames()}


def _named_pages() -> set[str]:
    """The pages that texts of the packages name: docs/NAME.md, and the file format."""
    text = "".join(
        path.read_text("utf-8") for path in (*ROOT.glob("poisonkit/**/*.py"), *ROOT.glob("benchmark/**/*.py"))
    )
    return set(re.findall(r"docs/(?!croissant-)([\w-]+\.md)", text)) | {
        "FORMAT.md",
        "schema.json",
    }  # Croissant's own are elsewhere


@pytest.mark.slow
def test_the_wheel_holds_every_page_that_a_text_of_the_packages_names(built):
    names = _wheel(built)
    assert {f"poisonkit/docs/{name}" for name in _named_pages()} <= names
    assert all(f"poisonkit/docs/{path.name}" in names for path in ROOT.glob("docs/*.md"))


@pytest.mark.slow
def test_every_relative_link_of_an_installed_page_leads_to_a_file_of_the_wheel(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        pages = [name for name in names if name.startswith("poisonkit/docs/") and name.endswith(".md")]
        links = {
            (page, link)
            for page in pages
            for link in re.findall(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)", archive.read(page).decode("utf-8"))
        }
    assert len(pages) > 20 and any(link.endswith(".png") for _, link in links)
    dead = [
        (page, link)
        for page, link in sorted(links)
        if posixpath.normpath(posixpath.join(posixpath.dirname(page), link)) not in names
    ]
    assert not dead


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_table_and_no_test(built):
    names = _wheel(built)
    for package in ("poisonkit", "benchmark"):
        tracked = subprocess.run(["git", "-C", ROOT, "ls-files", package], check=True, capture_output=True, text=True)
        assert set(tracked.stdout.split()) <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "results/", "examples/"))]


@pytest.mark.slow
def test_the_source_distribution_is_enough_to_work_on(built):
    names = _sdist(built)
    wanted = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "Makefile", "data/FORMAT.md"}
    wanted |= {"mkdocs.yml", "docs/sealing.md", "tests/conftest.py", "tests/golden/files.json", "setup.cfg", "setup.py"}
    assert wanted <= names and any(name.endswith(".ipynb") for name in names)


@pytest.mark.slow
def test_an_installed_wheel_finds_its_pages_and_runs(built, tmp_path):
    """In a fresh environment, that borrows this one's libraries, away from the checkout."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        env=clean,
    ).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(where)
    libraries = {
        str(Path(__import__(name).__file__).resolve().parents[1]) for name in ("numpy", "h5py", "cv2", "click")
    }
    Path(where, "borrowed.pth").write_text("\n".join(sorted(libraries)))
    code = "import pathlib, poisonkit; print(pathlib.Path(poisonkit.__file__).parent / 'docs')"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True, check=True)
    pages = Path(done.stdout.strip())
    assert (
        pages.is_relative_to(tmp_path) and (pages / "FORMAT.md").read_bytes() == (ROOT / "data/FORMAT.md").read_bytes()
    )
    made = subprocess.run(
        [python, "-m", "poisonkit", "make", "--dataset", "signs", "--rate", "0", "--source-option", "train=50"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0 and (tmp_path / "data").exists(), made.stderr


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    keys = dict(re.findall(r"^([\w-]+): ?(.*)$", text, re.M))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(keys)
    version = re.search(r'^__version__ = "(.+)"$', (ROOT / "poisonkit" / "__init__.py").read_text("utf-8"), re.M)[1]
    assert keys["version"] == version and keys["license"] == "Apache-2.0"


def test_the_citation_and_the_page_of_attacks_name_the_same_publications():
    page = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    numbers = set(re.findall(r"arxiv\.org/abs/([\d.]+\d)", page))
    assert len(numbers) > 5 and numbers == set(re.findall(r"(?:arXiv:|arxiv\.org/abs/)([\d.]+\d)", citation))


def test_the_makefile_describes_each_of_its_targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", text, re.M)) - {"clean"}
    described = set(re.findall(r"make ([a-z][\w-]*)", "".join(re.findall(r"^# make.*\n", text, re.M))))
    assert described == targets
    named = re.findall(
        r"`make ([a-z][\w-]*)", "".join(p.read_text("utf-8") for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
    )
    assert named and set(named) <= targets | {"clean"}


def test_every_extra_is_described():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    table = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.M))))
    assert table == set(setup["options.extras_require"])
