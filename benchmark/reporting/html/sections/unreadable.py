"""What is in none of the figures and tables below, though it was found."""

from benchmark.reporting import tables
from benchmark.reporting.html import page
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section."""
    if not content.errors:
        return ""
    lines = [line.replace(str(path), tables.short(path)) for path, line in content.errors.items()]
    return page.note("These files are omitted from all tables and means below.") + page.code("\n".join(lines))


UNREADABLE = register(Section(20, "Files that could not be read", build, last=True))
