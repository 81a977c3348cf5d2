"""Runs that have begun and have no result, with the end of their log."""

from pathlib import Path

from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs import results
from benchmark.sweep import processes


def build(content: Content) -> str:
    """Build the section."""
    parts = []
    folders = [folder for path in content.paths if Path(path).is_dir() for folder in sorted(Path(path).iterdir())]
    for folder in folders:
        if results.is_unfinished(folder):
            tail = "\n".join(processes.tail(folder)) or "no log"
            parts.append(page.details(folder.name, page.code(tail)))
    return "".join(parts)


UNFINISHED = register(Section(100, "Unfinished runs", build))
