"""Our figures beside published ones."""

from dataclasses import replace

from benchmark.reporting import published
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    shown = [spec for spec in content.sources.specs if published.has_figures(content.cells, spec)]
    sources = replace(content.sources, specs=tuple(shown), every=True)
    columns = published.columns(content.cells, sources, with_absent=False)
    if not columns[0].cells:
        return ""
    lines = [
        f"From {', '.join(source.label for source in shown)}. Only runs at the published settings can reproduce a "
        "figure; cells at other settings are shown to compare.",
        *(f"{line[0].upper()}{line[1:]}." for line in published.remarks(content.cells, sources)),
    ]
    return page.paragraphs(lines) + page.layout(columns)


PUBLISHED = register(Section(40, "Comparison with published results", build))
