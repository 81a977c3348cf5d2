"""ASR and BA against the poisoning rate, and training curves."""

import tempfile
from pathlib import Path

from benchmark.core.errors import Failure
from benchmark.reporting import figures
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register

CAPTIONS = {
    "asr": "How ASR grows with the poisoning rate, a panel for each trigger. Bars and bands are 95 % intervals over "
    "the seeds; hollow markers are published figures.",
    "ba": "What the poisoning costs: BA against the rate, a panel for each trigger. The dotted line is the clean "
    "model.",
    "curves": "How the backdoor is learned: ASR, BA and loss after each epoch. Lines are means over the seeds, bands "
    "go from the least to the greatest.",
}


def build(content: Content) -> str:
    """Build the section."""
    if all(cell.clean for cell in content.cells):
        return ""
    if content.no_pictures:
        return page.paragraphs([f"{content.no_pictures[0].upper()}{content.no_pictures[1:]}."])
    with tempfile.TemporaryDirectory() as folder:
        try:
            paths = figures.write(content.cells, Path(folder), ("svg",), content.sources.specs, content.errors)
        except Failure as error:
            return page.paragraphs([f"{error}."])
        drawn = [(path.stem, path.read_text("utf-8")) for path in paths]
    return page.row([page.figure(page.svg(text, name), CAPTIONS[name.split("-")[0]]) for name, text in drawn])


FIGURES = register(Section(50, "Figures", build))
