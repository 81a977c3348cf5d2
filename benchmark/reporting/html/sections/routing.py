"""Which patches the experts take."""

from benchmark.core import files
from benchmark.reporting.html import page, png
from benchmark.reporting.html.registry import Content, Section, register


def build(content: Content) -> str:
    """Build the section of the pictures of `benchmark routing`, a run's own and those of its defences."""
    parts: list[str] = []
    for run in content.found:
        content.errors.update(files.links(run.folder, "routing"))
        for inside in (run.folder, *files.folders(run.folder, "*")):
            folder = inside / "routing"
            if files.is_folder(folder) and files.is_file(folder / "routing.json"):
                pictures = png.inside(folder, content.errors)
                parts += [page.figure(page.png(data, name), f"{run.folder.name}: {name}") for name, data in pictures]
    return page.row(parts)


ROUTING = register(Section(80, "Expert routing", build))
