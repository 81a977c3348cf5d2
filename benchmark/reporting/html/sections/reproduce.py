"""The commands that train all these runs again."""

from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register
from benchmark.runs import hints


def build(content: Content) -> str:
    """Build the section: clean runs first, since the others are compared with them."""
    ordered = sorted(content.found, key=lambda run: not run.result.dataset.is_clean)
    words = "One line per run; a finished run is not trained again. Generate the data sets from their manifests: "
    lines = hints.repeat([run.result for run in ordered])
    return page.paragraphs([f"{words}{hints.regenerate()}."]) + page.code("\n".join(lines))


REPRODUCE = register(Section(120, "How to reproduce", build))
