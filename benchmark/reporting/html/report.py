"""`benchmark report`: one self-contained HTML page about runs. It needs no network, and its script is a convenience."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.core import extras, files
from benchmark.reporting.html import page, words
from benchmark.reporting.html.sections import SECTIONS, Content
from benchmark.reporting.published import Sources
from benchmark.runs import results
from benchmark.runs.groups import group
from benchmark.runs.published import PUBLISHED, PublishedSpec


def write(paths: Iterable[Path], output: Path) -> Path:
    """Write the page of all runs in some folders; return its path, `report.html` in the folder `output`.

    Raises `Failure` where nothing is finished there.
    """
    paths = list(paths)
    target = output / "report.html"
    write_of(results.gather(paths), paths, target)
    return target


def write_of(
    found: results.Found,
    paths: Iterable[Path],
    target: Path,
    sources: Sequence[PublishedSpec] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Write the page of runs that were gathered, with the published figures of some sources, by default of all that
    come with the program. What cannot be read is named on it, and in `found` afterwards. `log` is told which section is
    made: figures of many runs take a while."""
    chosen = tuple(PUBLISHED.values() if sources is None else sources)
    content = Content(found, group(found), list(paths), without_pictures(), Sources(chosen))
    in_order = sorted(SECTIONS.values(), key=lambda section: section.order)
    built = {}
    for section in sorted(in_order, key=lambda section: section.last):
        log(f"{section.title} …")
        built[section.title] = section.build(content)
    files.make_output(target.parent)
    files.refuse_link(target)
    names = ", ".join(sorted({cell.dataset for cell in content.cells}))
    body = "".join(page.section(section.title, built[section.title]) for section in in_order)
    files.write_bytes(target, page.whole(f"Backdoors in {words.networks(found)}: {names}", body).encode())


def without_pictures() -> str | None:
    """Return why pages made here have no figures and pictures, and how to get them; None where they have."""
    absent = extras.problem("matplotlib")
    return absent and f"no figures and no pictures of images: {absent}; then the same command makes the page with them"
