"""The sections of the page: one file each, and one more is one more file."""

import re

import clone
import fake_runs
import pytest

from benchmark.core import environment
from benchmark.reporting.html import page, registry, report, words
from benchmark.reporting.html.sections import SECTIONS

SECTION = """
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Section, register


def build(content):
    return page.paragraphs([f"{len(content.found)} runs were counted"])


COUNT = register(Section(35, "Count of runs", build))
"""


def test_sections_stand_in_their_order():
    titles = [section.title for section in sorted(SECTIONS.values(), key=lambda section: section.order)]
    assert titles[:4] == ["What works", "Overview", "Files that could not be read", "Results"]
    assert titles[-2:] == ["All runs", "How to reproduce"]
    assert [title for title, section in SECTIONS.items() if section.last] == ["Files that could not be read"]


def test_the_overview_is_in_words_for_people(tmp_path, monkeypatch):
    for seed in range(2):
        fake_runs.write(tmp_path / "runs", seed=seed)
    monkeypatch.setattr(words, "seconds", lambda result: 65)
    monkeypatch.setattr(environment, "now", lambda: "2026-11-27T13:41:15+00:00")
    text = report.write([tmp_path / "runs"], tmp_path / "out").read_text()
    assert "; 2 min of training in all." in text and "Written 2026-11-27 13:41 UTC." in text


def test_examples_of_attacks_are_drawn_larger_than_their_pixels():
    """Four images of 32 pixels side by side would be 128 pixels wide."""
    (rule,) = re.findall(r"^\.sharp img \{(.*)\}$", page.STYLE, re.MULTILINE)
    assert "image-rendering: pixelated" in rule and "width: 100%" in rule
    assert "grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr))" in page.STYLE


@pytest.mark.parametrize(
    ("order", "title", "line"),
    [(10, "Another", "section 'Another': 'Overview' has order 10; free beside it: 9 .above. and 11 .below."),
     (11, "Results", "two sections 'Results'")],
)  # fmt: skip
def test_two_of_one_place_or_title_are_refused(order, title, line):
    with pytest.raises(ValueError, match=line):
        registry.register(registry.Section(order, title, lambda content: ""))
    assert "Another" not in SECTIONS


def test_one_more_file_is_one_more_section(tmp_path, root):
    clone.with_file(root, tmp_path, "reporting/html/sections/count.py", SECTION)
    fake_runs.write(tmp_path / "runs")
    done = clone.benchmark(tmp_path, "report", tmp_path / "runs", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.html").read_text()
    assert "1 runs were counted" in text
    assert text.index(">Results</h2>") < text.index(">Count of runs</h2>") < text.index(">All runs</h2>")
