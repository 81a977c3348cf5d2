"""HTML: every text that comes from outside is escaped here, and nowhere else is there any mark-up."""

import base64
import difflib
import re
from collections.abc import Sequence
from html import escape as escaped
from html import unescape

from benchmark.core.text_tables import printable
from benchmark.reporting.columns import Column, concise

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #5d5d5d; --paper: #fff; --line: #d9d9d9; --tint: #f4f4f4;
  --mark: #0b5ea8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e9e9e9; --soft: #a9a9a9; --paper: #161616; --line: #3a3a3a; --tint: #212121; --mark: #7db8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0 1rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { max-width: 50rem; margin: .3rem 0; } nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .9rem; }
a { color: var(--mark); } .note { border-left: 3px solid var(--mark); padding: .3rem .8rem; background: var(--tint); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; margin: .6rem 0; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th, td.name { white-space: normal; } td small { display: block; color: var(--soft); font-size: .75rem; }
th { background: var(--paper); font-weight: 600; } .left { text-align: left; }
tbody tr:nth-child(even) { background: var(--tint); }
figure { margin: .8rem 0; overflow-x: auto; } figcaption { color: var(--soft); font-size: .85rem; }
figure svg, figure img { background: #fff; max-width: 100%; height: auto; border-radius: 4px; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row figure { flex: 0 1 auto; max-width: 100%; }
.sharp img { image-rendering: pixelated; min-width: min(24rem, 100%); }
details { border-bottom: 1px solid var(--line); padding: .25rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .85rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--tint); padding: .7rem; font-size: .8rem; border-radius: 4px; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { details { display: none; } }
"""


def escape(text: str) -> str:
    """Return a text for the page, without what cannot be seen or turns others round."""
    return escaped(printable(text))


def whole(title: str, body: str) -> str:
    """Return the document. `body` is made of `section`s."""
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name in _sections(body))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{body}</body>\n</html>\n"
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


def change(before: str, after: str) -> str:
    """Return the words of a text, those that another version of it did not have marked."""
    old, new = before.split(), after.split()
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    words = [(escape(" ".join(new[start:end])), kind) for kind, _, _, start, end in steps if end > start]
    return "<p>" + " ".join(text if kind == "equal" else f"<mark>{text}</mark>" for text, kind in words) + "</p>\n"


def note(text: str) -> str:
    """Return a paragraph that is set off."""
    return f'<p class="note">{escape(text)}</p>\n'


def layout(columns: Sequence[Column]) -> str:
    """Return a table of cells: what is the same in all rows stands above it, intervals in small under their means."""
    shown = concise(columns)
    above = paragraphs([" ".join(f"{line[0].upper()}{line[1:]}." for line in shown.headings)]) if shown.common else ""
    kinds = ["left name" if one.label and not one.right else "left" if one.left else "" for one in shown.columns]
    return above + _table([column.title for column in shown.columns], shown.rows, kinds)


def table(columns: list[str], rows: list[list[str]], left: int) -> str:
    """Return a table whose first `left` columns are set flush left."""
    return _table(columns, rows, ["left" if number < left else "" for number in range(len(columns))])


def _small_interval(cell: str) -> str:
    """Return a cell whose interval, if it has one, stands under the mean."""
    mean, bracket, rest = cell.partition(" [")
    interval = bracket and re.fullmatch(r"[-+0-9.]+, [-+0-9.]+\]", rest)
    return f"{escape(mean)}<small>[{escape(rest)}</small>" if interval else escape(cell)


def _table(columns: list[str], rows: list[list[str]], kinds: list[str]) -> str:

    def line(tag: str, cells: list[str]) -> str:
        opened = [f'<{tag} class="{kind}">' if kind else f"<{tag}>" for kind in kinds]
        return "".join(f"{start}{_small_interval(cell)}</{tag}>" for start, cell in zip(opened, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>\n" for row in rows)
    head = f"<thead><tr>{line('th', columns)}</tr></thead>"
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
    """Return a drawing as an image of its own, so that what it calls its parts cannot clash with another's."""
    content = base64.b64encode(text.encode()).decode()
    return f'<img alt="{escape(words)}" src="data:image/svg+xml;base64,{content}">'


def details(summary: str, inside: str) -> str:
    """Something to open."""
    return f"<details><summary>{escape(summary)}</summary>\n{inside}</details>\n"


def pairs(values: dict[str, str]) -> str:
    """Return a list of names and values."""
    return (
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in values.items()) + "</dl>\n"
    )


def code(text: str) -> str:
    """Lines as they are."""
    return "<pre>" + "\n".join(map(escape, text.split("\n"))) + "</pre>\n"
