"""The commands that make all this again: the data sets, the runs, and what was done with these."""

import json
from pathlib import Path

from benchmark.defences import hints as defence_hints
from benchmark.format.hints import SIDECAR, sidecar
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs import hints
from benchmark.runs.result import DatasetRecord

SAVE = "Save the manifests of the data sets here, into the folder in which the commands are then run:"
HOW = (
    "A line for each data set, each run, and what was done with these; each makes the same again, and what is finished "
    "is not made a second time."
)
SIZE = 1 << 20
"""Bytes of manifests that are in the page at most."""


def build(content: Content) -> str:
    """Build the section: data sets, then clean runs, since the others are compared with them."""
    ordered = sorted(content.found, key=lambda run: not run.result.dataset.is_clean)
    results = [run.result for run in ordered]
    saved = _manifests({one.dataset.name: one.dataset for one in results})
    lines = [*hints.remake(results), *hints.repeat(results), *defence_hints.redo(content.entries)]
    links = page.links(SAVE, saved) if saved else ""
    return links + page.paragraphs([HOW]) + page.code("\n".join(lines))


def _manifests(datasets: dict[str, DatasetRecord]) -> list[str]:
    """Return links that save the manifests of those data sets whose sidecars are there; without the paths in these."""
    found, size = [], 0
    for name, dataset in datasets.items():
        beside = sidecar(Path(dataset.path)) if dataset.path and not dataset.is_sealed else None
        if beside is None or beside.manifest.dataset_digest != dataset.digest:
            continue
        content = json.dumps({"manifest": beside.raw}, separators=(",", ":"))
        size += len(content)
        if size > SIZE:
            break
        found.append(page.download(content, "application/json", f"{name}{SIDECAR}", f"{name}{SIDECAR}"))
    return found


REPRODUCE = register(Section(120, "How to reproduce", build))
