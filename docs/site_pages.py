"""Pages that live outside docs/ become pages of the site and of the installed documentation, and links lead to them.

Links in the sources are relative to the file, so that they also work in a checkout and on a code host. In the site
(of which this is a hook of MkDocs) and in the wheel (`setup.py`) all these pages are in one folder.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "README.md": "overview.md",
    "data/FORMAT.md": "FORMAT.md",
    "data/schema.json": "schema.json",
    "results/README.md": "runs.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CITATION.cff": "CITATION.cff",
    "LICENSE": "LICENSE.txt",
    "examples/poison_and_look.ipynb": "examples/poison_and_look.ipynb",
    "examples/train_and_compare.ipynb": "examples/train_and_compare.ipynb",
}
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(#[^)\s]*)?(?=\))")  # a relative target, and its anchor


def on_files(files, config):
    """Add the pages from outside docs/."""
    from mkdocs.structure.files import File  # here: setup.py uses this module where there is no MkDocs

    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def source_of(name: str) -> str:
    """Return the path in the repository of a page of the site."""
    return next((source for source, page in OUTSIDE.items() if page == name), f"docs/{name}")


def link_in_site(link: str, page: str) -> str:
    """Return where a link of a page leads in the site, if it is relative to the page's file in the repository."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(page)), link))
    if target in OUTSIDE:
        return OUTSIDE[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return link


def with_links(markdown: str, page: str) -> str:
    """Return the text of a page of the site with its relative links leading to where their targets are in the site."""
    return LINK.sub(lambda link: link_in_site(link[1], page) + (link[2] or ""), markdown)


def with_bars(line: str) -> str:
    """Return a row of a table with the bars in its code as MkDocs has them: a code host needs ``\\|`` there."""
    return CODE.sub(lambda code: code[0].replace(r"\|", "|"), line) if line.startswith("|") else line


def on_page_markdown(markdown, page, **_):
    """Rewrite relative links, so that MkDocs finds and checks them, and bars in the code of tables."""
    return with_links("\n".join(map(with_bars, markdown.split("\n"))), page.file.src_uri)
