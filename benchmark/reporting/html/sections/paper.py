"""Our figures beside the published ones."""

from benchmark.reporting import published
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    columns = published.columns(content.cells)
    if not columns[0].cells:
        return ""
    lines = (
        "Only runs at the paper's settings can reproduce its figures; cells at other settings are shown to compare. "
        f"Published cells not run at the paper's settings: {len(published.not_run(content.cells))}."
    )
    return page.paragraphs([lines]) + page.layout(columns)


PAPER = register(Section(40, "Comparison with the paper", build))
