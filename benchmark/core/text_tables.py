"""Rows of words as a table: aligned text, Markdown, LaTeX, CSV."""

import csv
import io
import re
import textwrap
from collections.abc import Container

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "−": r"$-$", "†": r"\dag{}",
}  # fmt: skip


WIDTH = 100
"""Characters of a line at most."""
MOST_NAMED = 5
_NUMBERS = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?(;[+-]?[0-9.]+(e[+-]?[0-9]+)?)*")


def filled(line: str, indent: str = "") -> str:
    """Break a line of more than WIDTH characters between its words, none of which is cut: a path may be among them.
    `indent`: what the lines after the first begin with."""
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def printable(text: str) -> str:
    """Return a text for one line of a terminal, a table or a page: what cannot be seen, or turns others round, as an
    escape.

    Names come from files of strangers: control characters steer terminals, line ends forge lines, bidirectional marks
    make a name look like another.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def some(names: list[str]) -> str:
    """Names one after the other, at most MOST_NAMED of them."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def render(
    form: str,
    columns: list[str],
    rows: list[list[str]],
    left: set[str],
    bold: frozenset[tuple[int, int]] = frozenset(),
) -> str:
    """Return the table in one of FORMS, without a line end at its end.

    The columns in `left` are set flush left, the others right. `bold`: cells (row, column) to be set in bold, by LaTeX.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    flush = [name in left for name in columns]
    return latex(columns, rows, flush, bold) if form == "latex" else FORMS[form](columns, rows, flush)


def escape(form: str, cell: str) -> str:
    """Return a text for use in Markdown or LaTeX, in which nothing is mark-up."""
    return {"markdown": _markdown, "latex": _latex}[form](printable(cell))


def without_empty(
    columns: list[str], rows: list[list[str]], some: Container[str] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Return the table without those columns that are blank or `-` in every row; of `some` names alone, if these are
    given."""
    kept = [
        at
        for at, name in enumerate(columns)
        if (some is not None and name not in some) or any(row[at] not in ("", "-") for row in rows)
    ]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def text(columns: list[str], rows: list[list[str]], left: list[bool]) -> str:
    """Columns of equal width, two spaces between them."""
    return "\n".join(line.rstrip() for line in _aligned([columns, *rows], left, "  "))


def markdown(columns: list[str], rows: list[list[str]], left: list[bool]) -> str:
    """Return a table of GitHub's Markdown, aligned to be read as text too."""
    marks = [":--" if flush else "--:" for flush in left]
    escaped = [[_markdown(cell) for cell in row] for row in (columns, *rows)]
    head, *body = _aligned([escaped[0], marks, *escaped[1:]], left, " | ")
    return "\n".join(f"| {line} |" for line in (head, *body))


def latex(
    columns: list[str], rows: list[list[str]], left: list[bool], bold: frozenset[tuple[int, int]] = frozenset()
) -> str:
    r"""Return a `tabular` with the rules of the package booktabs."""
    escaped = [[_latex(cell) for cell in row] for row in rows]
    for row, column in bold:
        escaped[row][column] = rf"\textbf{{{escaped[row][column]}}}"
    lines = [" & ".join(row) + r" \\" for row in (list(map(_latex, columns)), *escaped)]
    kinds = "".join("l" if flush else "r" for flush in left)
    frame = (rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", lines[0], r"\midrule")
    return "\n".join([*frame, *lines[1:], r"\bottomrule", r"\end{tabular}"])


def comma(columns: list[str], rows: list[list[str]], left: list[bool]) -> str:
    """CSV (RFC 4180, but for the line ends), in which nothing is a formula: an apostrophe stands before a name that
    begins as one does."""
    out = io.StringIO()
    named = [[f"'{cell}" if _is_formula(cell) else cell for cell in row] for row in rows]
    csv.writer(out, lineterminator="\n").writerows([columns, *named])
    return out.getvalue().rstrip("\n")


FORMS = {"text": text, "markdown": markdown, "latex": latex, "csv": comma}


def _is_formula(cell: str) -> bool:
    """Would a spreadsheet compute it? Numbers, and lists of them, are none."""
    return cell[:1] in ("=", "+", "-", "@", "\t", "\r") and len(cell) > 1 and not _NUMBERS.fullmatch(cell)


def _markdown(cell: str) -> str:
    """Return a cell in which nothing is mark-up, a link or the end of the cell."""
    for mark, escaped in (("\\", "\\\\"), ("|", "\\|"), ("`", "\\`"), ("<", "&lt;"), ("](", "]\\(")):
        cell = cell.replace(mark, escaped)
    return cell


def _aligned(rows: list[list[str]], left: list[bool], between: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        between.join(
            cell.ljust(width) if flush else cell.rjust(width)
            for cell, width, flush in zip(row, widths, left, strict=True)
        )
        for row in rows
    ]


def _latex(cell: str) -> str:
    cell = "".join(_LATEX.get(letter, letter) for letter in cell)
    return "{}" + cell if cell.startswith("[") else cell  # after \\ a bracket would be an option
