"""Tables that fit a window: columns that know what may be left out of them, and in which order that is done.

What is the same in all rows goes into the heading. Then, step by step until it fits: intervals of secondary scores are
left out, long names become footnotes, seeds are abbreviated, all intervals and at last whole secondary columns go; if
that is not enough, the longest names are cut in the middle.
"""

import string
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.core import naming, text_tables
from benchmark.core.errors import Usage

WIDTH = text_tables.WIDTH
NAME = 16  # characters that are left of a name, at least
_NOTHING = ("", "-")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    key : str
        As `--columns` names it.
    title : str
        Its heading.
    cells : tuple of str
        One a row; blank and `-` are nothing.
    label : bool
        It says what a row is of, and is set flush left.
    short : tuple of str, optional
        The same in less room.
    short_title : str
        The title in less room.
    secondary : bool
        It may be left out.
    anchor : bool
        It stays in the table where all labels are the same in all rows.
    right, left : bool
        A label that is set flush right; another column that is set flush left.
    phrase : str
        How its value is written in the heading: `{}` is the value.
    blanks : bool
        A blank is a value too, that of the usual: a column that has one says nothing of all rows.
    having : str
        The rows that have a value (`-` stands in the others), as the heading calls them: `poisoned rows`.
    best : str
        `highest` or `lowest`: its best value is set in bold, where a form has bold; by `values`.
    values : tuple of float or None
        What is compared.
    groups : tuple of str
        One a row: values are compared within a group, a data set.
    """

    key: str
    title: str
    cells: tuple[str, ...]
    label: bool = False
    short: tuple[str, ...] | None = None
    short_title: str = ""
    secondary: bool = False
    anchor: bool = False
    right: bool = False
    left: bool = False
    phrase: str = "{}"
    blanks: bool = False
    having: str = ""
    best: str = ""
    values: tuple[float | None, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """In characters."""
        return max(len(text_tables.printable(cell)) for cell in (self.title, *self.cells))

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return all(cell in _NOTHING for cell in self.cells)

    def best_rows(self) -> list[int]:
        """Return the rows of the best values in groups of two values or more, as they are rounded."""
        rows: dict[str, list[tuple[float, int]]] = {}
        if self.best:
            for row, (value, group) in enumerate(zip(self.values, self.groups, strict=True)):
                if value is not None:
                    rows.setdefault(group, []).append((round(value, 1), row))
        choose_best = max if self.best == "highest" else min
        several = [group for group in rows.values() if len(group) > 1]
        return [row for group in several for value, row in group if value == choose_best(group)[0]]

    @property
    def rows(self) -> str:
        """The rows that its one value holds of, as the heading calls them."""
        return f"all {self.having}" if self.having and "-" in self.cells else "all rows"

    @property
    def constant(self) -> str | None:
        """The one value of all rows that have one, else None."""
        values = {cell for cell in self.cells if self.blanks or cell not in _NOTHING}
        return values.pop() if len(values) == 1 else None


@dataclass(frozen=True)
class Layout:
    """A table as it is shown: what holds of all rows, its columns, what its footnotes say, and what it leaves out."""

    common: tuple[tuple[str, str], ...]
    """Rows, as `all rows` or `all poisoned rows`, and what they have in common."""
    columns: tuple[Column, ...]
    footnotes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    cut: bool = False
    """Whether names in it are cut in the middle."""

    @property
    def headings(self) -> list[str]:
        """One line for each kind of rows: `all rows: cifar10; settings: small`."""
        return [f"{rows}: {values}" for rows, values in self.common]

    @property
    def heading(self) -> str:
        """All of them in one line; that of all rows goes without saying so."""
        return "; ".join(self.headings).removeprefix("all rows: ")

    @property
    def width(self) -> int:
        """In characters, two spaces between the columns."""
        return sum(column.width for column in self.columns) + 2 * (len(self.columns) - 1)

    @property
    def has_intervals(self) -> bool:
        """Whether any cell has an interval."""
        return any(cell.endswith("]") for column in self.columns if not column.label for cell in column.cells)

    @property
    def rows(self) -> list[list[str]]:
        """The cells, row by row."""
        return [list(row) for row in zip(*(column.cells for column in self.columns), strict=True)]

    def render(self, form: str) -> str:
        """Return the table alone, in one of `text_tables.FORMS`."""
        titles = [column.title for column in self.columns]
        left = {column.title for column in self.columns if column.left or (column.label and not column.right)}
        return text_tables.render(form, titles, self.rows, left, bold=self.bold())

    def bold(self) -> frozenset[tuple[int, int]]:
        """Return the best values of the columns that have some, (row, column); ties all."""
        return frozenset((row, number) for number, column in enumerate(self.columns) for row in column.best_rows())


def everything(columns: Iterable[Column]) -> Layout:
    """Show all columns, as they are."""
    return Layout((), tuple(columns))


def choose(columns: Sequence[Column], names: str) -> Layout:
    """Show the columns of a list of keys, ``trigger,rate,asr``, in that order. `Usage` where one is unknown."""
    known = {column.key: column for column in columns}
    chosen = []
    for typed in (part.strip() for part in names.split(",")):
        name = naming.understood(typed, known)
        if name is None:
            near = naming.hint(typed, known)
            raise Usage(f"--columns: there is no column {typed!r:.40}; expected some of {','.join(known)}{near}")
        chosen.append(known[name])
    return Layout((), tuple(chosen))


def concise(columns: Sequence[Column]) -> Layout:
    """Move what is the same in all rows into the heading, and leave out empty columns."""
    columns = [column for column in columns if not column.empty or column.anchor]
    labels = [column for column in columns if column.label]
    constant = [column for column in labels if column.constant is not None]
    if len(constant) == len(labels):  # something has to say what a row is of
        constant = [column for column in constant if not column.anchor]
    common: dict[str, list[str]] = {"all rows": []}
    for column in constant:
        value = text_tables.printable(column.phrase.format(column.constant))
        common.setdefault(column.rows, []).append(value)
    headings = tuple((rows, "; ".join(values)) for rows, values in common.items() if values)
    return Layout(headings, tuple(column for column in columns if column not in constant))


def with_footnotes(columns: Sequence[Column]) -> Layout:
    """Be concise, with long names below the table."""
    return _footnotes(concise(columns))


def fit(columns: Sequence[Column], width: int = WIDTH) -> Layout:
    """Make a table as narrow as `width`; its names are the last to be cut, and not below NAME characters."""
    layout = concise(columns)
    for step in _STEPS:
        if layout.width <= width:
            return layout
        layout = step(layout)
    return _with_shorter_names(layout, width)


def narrow(titles: Sequence[str], rows: Sequence[Sequence[str]], names: set[str], width: int = WIDTH) -> str:
    """Return a table as text, none of whose columns may be left out; the columns in `names`, set flush left, are cut
    where it would be wider than `width`."""
    cells = zip(*rows, strict=True) if rows else [()] * len(titles)
    columns = [Column(title, title, tuple(of), label=title in names) for title, of in zip(titles, cells, strict=True)]
    return _with_shorter_names(everything(columns), width).render("text")


def _shorten(choice: Callable[[Column], bool]) -> Callable[[Layout], Layout]:
    def step(layout: Layout) -> Layout:
        shortened = [
            replace(column, cells=column.short or column.cells, title=column.short_title or column.title)
            if choice(column)
            else column
            for column in layout.columns
        ]
        return replace(layout, columns=tuple(shortened))

    return step


def _footnotes(layout: Layout) -> Layout:
    """Let long names stand below the table, under letters."""
    marks: dict[str, str] = {}
    columns = []
    for column in layout.columns:
        cells = []
        for cell in column.cells:
            name, _, rest = cell.partition(" (") if column.key == "trigger" else ("", "", cell)
            if column.label and column.key in ("trigger", "settings") and len(rest) > 12:
                mark = marks.setdefault(rest.removesuffix(")") if name else rest, _letter(len(marks)))
                cells.append(f"{name} [{mark}]".strip())
            else:
                cells.append(cell)
        columns.append(replace(column, cells=tuple(cells)))
    below = tuple(text_tables.printable(f"[{mark}] {words}") for words, mark in marks.items())
    return replace(layout, columns=tuple(columns), footnotes=below)


def _letter(number: int) -> str:
    """Return a, b … z, aa, ab …"""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + string.ascii_lowercase[last]


def _without_first_secondary(layout: Layout) -> Layout:
    first = next((column for column in layout.columns if column.secondary), None)
    kept = tuple(column for column in layout.columns if column is not first)
    return replace(layout, columns=kept, left_out=(*layout.left_out, *([first.key] if first else [])))


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` characters: of a longer one its two ends."""
    text = text_tables.printable(text)
    return text if len(text) <= width else f"{text[: width // 2]}…{text[len(text) - (width - 1) // 2 :]}"


def _with_shorter_names(layout: Layout, width: int) -> Layout:
    """Cut the names of the widest columns of labels, as far as need be."""
    while layout.width > width:
        names = [column for column in layout.columns if column.label and column.width > NAME]
        if not names:
            break
        widest = max(names, key=lambda column: column.width)
        most = max(NAME, widest.width - (layout.width - width))
        shorter = replace(
            widest, cells=tuple(shortened(cell, most) for cell in widest.cells), title=widest.title[:most]
        )
        changed = tuple(shorter if column is widest else column for column in layout.columns)
        layout = replace(layout, columns=changed, cut=True)
    return layout


_STEPS: tuple[Callable[[Layout], Layout], ...] = (
    _shorten(lambda column: column.secondary),
    _footnotes,
    _shorten(lambda column: column.label),
    _shorten(lambda column: True),
    *[_without_first_secondary] * 6,
)


def wrap(line: str, width: int = WIDTH) -> str:
    """Break a line of prose between its words; a word that is longer is cut in the middle."""
    words = " ".join(shortened(word, width) if len(word) > width else word for word in line.split(" "))
    return "\n".join(textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)) or line


def text_page(layout: Layout, notes: Iterable[str] = (), width: int = WIDTH) -> str:
    """Return a table as text: its heading, the table, then its footnotes and notes in lines of `width` characters."""
    above = [*(wrap(line, width) for line in layout.headings), *([""] if layout.common else [])]
    below = [*layout.footnotes, *notes]
    if layout.left_out:
        below.append(f"left out to fit {WIDTH} columns: {', '.join(layout.left_out)} (--wide shows them)")
    if layout.cut:
        below.append("names cut with … (--wide shows them whole)")
    return "\n".join([*above, layout.render("text"), *([""] if below else []), *(wrap(line, width) for line in below)])


def markdown_page(layout: Layout, notes: Iterable[str] = ()) -> str:
    """Return the same as Markdown; nothing is cut, since it is not read in a window."""
    above = [f"{text_tables.escape('markdown', layout.heading)}", ""] if layout.heading else []
    below = [*layout.footnotes, *notes]
    return "\n".join([*above, layout.render("markdown"), *([""] if below else []), *below])


def latex_page(layout: Layout, caption: str, label: str, notes: Iterable[str] = ()) -> str:
    """Return a floating table with caption and label; needs the package booktabs. Notes are comments behind it."""
    best = ", ".join(f"{column.title} {column.best}" for column in layout.columns if column.best)
    bold = f"bold: best of a data set ({best})" if layout.bold() else ""
    words = "; ".join(filter(None, [caption, layout.heading, bold, *layout.footnotes]))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{text_tables.escape('latex', words)}.}}",
        rf"\label{{{label}}}",
        layout.render("latex"),
        r"\end{table}",
    ]
    return "\n".join([*lines, *(f"% {line}" for line in notes)])
