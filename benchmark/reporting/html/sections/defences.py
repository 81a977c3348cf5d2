"""What fine-pruning left of the attacks."""

from benchmark.defences import results
from benchmark.reporting import pruning
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    points = results.collect(content.found, content.errors)
    if not points:
        return ""
    notes = "".join(map(page.note, pruning.notes(points)))
    return page.paragraphs([pruning.WORDS]) + notes + page.layout(pruning.columns(points))


PRUNING = register(Section(70, "Fine-pruning", build))
