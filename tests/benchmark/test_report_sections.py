"""The sections of the page: one file each, and one more is one more file."""

import subprocess
import sys

import fake_runs
import pytest

from benchmark.reporting.html import registry
from benchmark.reporting.html.sections import SECTIONS

SECTION = """
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Section, register


def build(content):
    return page.paragraphs([f"{len(content.found)} runs were counted"])


COUNT = register(Section(35, "Count of runs", build))
"""
ADDED = """
import sys
import benchmark.reporting.html

folder, runs, target = sys.argv[1:]
import importlib.util

sections = importlib.util.find_spec("benchmark.reporting.html.sections")
sections.submodule_search_locations.append(folder)
package = importlib.util.module_from_spec(sections)
sys.modules[package.__name__] = package
sections.loader.exec_module(package)

from benchmark.cli.main import main

main(["report", runs, "-o", target])
"""


def test_sections_stand_in_their_order():
    titles = [section.title for section in sorted(SECTIONS.values(), key=lambda section: section.order)]
    assert titles[:4] == ["Overview", "Files that could not be read", "Results", "Comparison with the paper"]
    assert titles[-2:] == ["All runs", "How to reproduce"]
    assert [title for title, section in SECTIONS.items() if section.last] == ["Files that could not be read"]


@pytest.mark.parametrize(("order", "title"), [(10, "Another"), (11, "Results")])
def test_two_of_one_place_or_title_are_refused(order, title):
    with pytest.raises(ValueError, match="two sections"):
        registry.register(registry.Section(order, title, lambda content: ""))
    assert "Another" not in SECTIONS


def test_one_more_file_is_one_more_section(tmp_path):
    """In a folder that is searched like the package's own."""
    folder = tmp_path / "sections"
    folder.mkdir()
    (folder / "count.py").write_text(SECTION)
    fake_runs.write(tmp_path / "runs")
    words = [sys.executable, "-c", ADDED, str(folder), str(tmp_path / "runs"), str(tmp_path / "out")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    text = (tmp_path / "out" / "report.html").read_text()
    assert "1 runs were counted" in text
    assert text.index(">Results</h2>") < text.index(">Count of runs</h2>") < text.index(">All runs</h2>")
