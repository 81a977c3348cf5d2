"""HTML: every text that comes from outside is escaped here, and nowhere else is there any mark-up."""

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape as escaped
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmark.core.text_tables import printable
from benchmark.reporting.columns import Column, concise

STYLE = Path(__file__).with_name("page.css").read_text("utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text("utf-8")
"""The one script of the page. It makes nothing that could not be read without it, and no other is allowed to run."""


_LAST = ("settings", "seeds")
"""Keys of columns that stand behind the scores."""


def escape(text: str) -> str:
    """Return a text for the page, without what cannot be seen or turns others round."""
    return escaped(printable(text))


def whole(title: str, body: str) -> str:
    """Return the document. `body` is made of `section`s."""
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name in _sections(body))
    own = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{own}'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _sections(body: str) -> list[tuple[str, str]]:
    return [(key, unescape(name)) for key, name in re.findall(r'<h2 id="([\w-]+)">([^<]*)</h2>', body)]


def section(title: str, inside: str) -> str:
    """Return a heading and what is under it; nothing at all where there is nothing."""
    key = "-".join(title.lower().split())
    return f'<h2 id="{key}">{escape(title)}</h2>\n{inside}\n' if inside else ""


def heading(text: str) -> str:
    """Return a heading inside a section."""
    return f"<h3>{escape(text)}</h3>\n"


def paragraphs(lines: list[str]) -> str:
    """Each text as a paragraph."""
    return "".join(f"<p>{escape(line)}</p>\n" for line in lines)


def findings(lines: Sequence[tuple[str, str]]) -> str:
    """Each text as a paragraph that is read first, with what it rests on in small."""
    texts = (f"{escape(line)} <small>({escape(basis)})</small>" for line, basis in lines)
    return "".join(f'<p class="finding">{text.replace(" %", "&nbsp;%")}</p>\n' for text in texts)


def change(before: str, after: str) -> str:
    """Return the words of a text, those that another version of it did not have marked."""
    old, new = before.split(), after.split()
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    words = [(escape(" ".join(new[start:end])), kind) for kind, _, _, start, end in steps if end > start]
    return "<p>" + " ".join(text if kind == "equal" else f"<mark>{text}</mark>" for text, kind in words) + "</p>\n"


def note(text: str) -> str:
    """Return a paragraph that is set off."""
    return f'<p class="note">{escape(text)}</p>\n'


def layout(columns: Sequence[Column], keys: Sequence[str] = (), last: tuple[str, Sequence[str]] | None = None) -> str:
    """Return a table of cells: what is the same in all rows stands above it, intervals in small under their means, and
    scores before settings.

    `keys`: what links to a row lead to, one a row. `last`: title and cells of a last column, made by this module.
    """
    shown = concise([*(one for one in columns if one.key not in _LAST), *(one for one in columns if one.key in _LAST)])
    above = paragraphs([" ".join(f"{line[0].upper()}{line[1:]}." for line in shown.headings)]) if shown.common else ""
    kinds = ["left name" if one.label and not one.right else "left" if one.left else "" for one in shown.columns]
    return above + _table([column.title for column in shown.columns], shown.rows, kinds, keys, last)


def dense(table: str) -> str:
    """Return a table that takes less room."""
    return f'<div class="dense">{table}</div>\n'


def table(columns: list[str], rows: list[list[str]], left: int) -> str:
    """Return a table whose first `left` columns are set flush left."""
    return _table(columns, rows, ["left" if number < left else "" for number in range(len(columns))])


def _small_interval(cell: str) -> str:
    """Return a cell whose interval, if it has one, stands under the mean."""
    mean, bracket, rest = cell.partition(" [")
    interval = bracket and re.fullmatch(r"[-+0-9.]+, [-+0-9.]+\]", rest)
    return f"{escape(mean)}<small>[{escape(rest)}</small>" if interval else escape(cell)


def _table(
    columns: list[str],
    rows: list[list[str]],
    kinds: list[str],
    keys: Sequence[str] = (),
    last: tuple[str, Sequence[str]] | None = None,
) -> str:

    def line(tag: str, cells: list[str]) -> str:
        opened = [f'<{tag} class="{kind}">' if kind else f"<{tag}>" for kind in kinds]
        return "".join(f"{start}{_small_interval(cell)}</{tag}>" for start, cell in zip(opened, cells, strict=True))

    title, more = last or ("", ())
    ids = [f' id="{escape(key)}"' for key in keys] or [""] * len(rows)
    ends = [f'<td class="left">{cell}</td>' for cell in more] or [""] * len(rows)
    body = "".join(f"<tr{key}>{line('td', row)}{end}</tr>\n" for key, row, end in zip(ids, rows, ends, strict=True))
    head = f"<thead><tr>{line('th', columns)}{f'<th class=left>{escape(title)}</th>' if last else ''}</tr></thead>"
    return f'<div class="wide"><table>\n{head}\n<tbody>\n{body}</tbody></table></div>\n'


def figure(inside: str, caption: str) -> str:
    """Return a picture and the words under it."""
    return f"<figure>{inside}<figcaption>{escape(caption)}</figcaption></figure>\n"


def row(parts: list[str], sharp: bool = False) -> str:
    """Pictures beside one another, as far as there is room; `sharp`: small ones, whose pixels are to be seen."""
    kind = "row sharp" if sharp else "row"
    return f'<div class="{kind}">{"".join(parts)}</div>\n' if parts else ""


def png(content: bytes, words: str) -> str:
    """Return a picture, in the page itself."""
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def svg(text: str, words: str) -> str:
    """Return a drawing as an image of its own, so that what it calls its parts cannot clash with another's; it is dark
    where the page is."""
    content = base64.b64encode(text.encode()).decode()
    return f'<img class="drawn" alt="{escape(words)}" src="data:image/svg+xml;base64,{content}">'


def details(summary: str, inside: str, key: str = "") -> str:
    """Something to open; `key`: what links to it lead to."""
    place = f' id="{escape(key)}"' if key else ""
    return f"<details{place}><summary>{escape(summary)}</summary>\n{inside}</details>\n"


def link(key: str, words: str) -> str:
    """Return a link to what has that key on this page."""
    return f'<a href="#{escape(key)}">{escape(words)}</a>'


def links(words: str, links: Sequence[str]) -> str:
    """Return links that this module has made, after some words."""
    return f"<p>{escape(words)}</p>\n<ul>{''.join(f'<li>{one}</li>' for one in links)}</ul>\n"


def download(content: str, kind: str, name: str, words: str) -> str:
    """Return a link that saves a file which is in the page itself. `kind`: its media type, such as `text/csv`."""
    return f'<a download="{escape(name)}" href="data:{kind};charset=utf-8,{quote(content)}">{escape(words)}</a>'


def data(key: str, value: Any) -> str:
    """Return JSON for the page's script, in which nothing ends the element that it is in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f'<script type="application/json" id="{escape(key)}">{text}</script>\n'


def pairs(values: dict[str, str]) -> str:
    """Return a list of names and values."""
    return (
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in values.items()) + "</dl>\n"
    )


def code(text: str) -> str:
    """Lines as they are."""
    return "<pre>" + "\n".join(map(escape, text.split("\n"))) + "</pre>\n"
