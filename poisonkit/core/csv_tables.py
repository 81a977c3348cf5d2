"""Tables of texts: CSV files, and TSVs (which have no quoting), read record by record; each knows its line. Lines end
in LF, CR LF, or, where there is no LF in the whole file, CR.

Whatever is wrong with one is said in one line with the file and the line in it.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from poisonkit.core import texts as rows_of_text
from poisonkit.core.errors import Failure

LONGEST = 16 << 20  # bytes of one line
BOM = b"\xef\xbb\xbf"
_SHOWN = 12  # columns that a message lists


def opener(path: Path) -> Callable[[], IO[bytes]]:
    """Return what opens a file for its bytes, as `Table.open` needs it."""

    def opened() -> IO[bytes]:
        return open(path, "rb")

    return opened


@dataclass(frozen=True)
class Table:
    """A file whose first line names its columns. `open` gives its bytes, `where` is its name in messages, `quoted`
    whether its cells may stand in quotes, with `separator` between them; else it is a TSV, which has no quoting."""

    where: str
    open: Callable[[], IO[bytes]]
    quoted: bool
    separator: str = ","

    def header(self) -> list[str]:
        """Return the names of the columns."""
        with self.open() as file:
            _, header = next(self._csv(file) if self.quoted else self._tsv(file), (0, None))
        if header is None:
            raise Failure(f"{self.where} is empty: expected a first line that names its columns")
        return [cell.strip() for cell in header]

    def records(self, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield (line, cells of these columns) of each record, the line being the one where it begins."""
        header = self.header()
        places = self._places(header, columns)
        with self.open() as file:
            records = self._csv(file) if self.quoted else self._tsv(file)
            next(records)
            for line, cells in records:
                if len(cells) != len(header):
                    raise self.wrong(line, f"{_count(len(cells), 'cell')}, the first line has {len(header)}")
                yield line, tuple(cells[place] for place in places)

    def texts(self, column: str) -> Iterator[str]:
        """Yield every text of a column, stripped; one that is empty is refused."""
        for line, (cell,) in self.records((column,)):
            yield self.text(line, cell)

    def text(self, line: int, cell: str) -> str:
        """Return a text as it goes into a data set: stripped, not empty, not endless."""
        found = cell.strip()
        if wrong := rows_of_text.problem(found):
            raise Failure(f"{self.where}: line {line}: its text {wrong}")
        return found

    def wrong(self, line: int, what: str) -> Failure:
        """Return the error that says what a line has and should not."""
        return Failure(f"{self.where}: line {line} has {what}")

    def _places(self, header: list[str], columns: tuple[str, ...]) -> list[int]:
        twice = [name for name in columns if header.count(name) > 1]
        missing = [name for name in columns if name not in header]
        if twice or missing:
            there = ", ".join(repr(rows_of_text.printable(name)) for name in header[:_SHOWN])
            what = f"has two columns {twice[0]!r}" if twice else f"has no column {missing[0]!r}"
            raise Failure(f"{self.where} {what}: its first line names {there}{', …' if len(header) > _SHOWN else ''}")
        return [header.index(name) for name in columns]

    def _lines(self, file: IO[bytes]) -> Iterator[str]:
        """Yield the lines of the file with their ends, decoded."""
        for number, raw in enumerate(_raw_lines(file), 1):
            if len(raw) > LONGEST:
                raise self.wrong(number, f"over {LONGEST >> 20} MB")
            if b"\0" in raw:
                raise self.wrong(number, "a NUL byte: is this a text file?")
            try:
                yield raw.removeprefix(BOM if number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                raise self.wrong(number, f"bytes that are not UTF-8, from byte {error.start + 1} on") from None

    def _tsv(self, file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(self._lines(file), 1):
            if line := line.rstrip("\r\n"):
                yield number, line.split("\t")

    def _csv(self, file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._lines(file), strict=True, delimiter=self.separator)
        while True:
            line = reader.line_num + 1
            try:
                cells = _record(reader)
            except csv.Error as error:
                raise self.wrong(line, f"a record that is not valid CSV ({error})") from None
            if cells is None:
                return
            if cells:
                yield line, cells


def _raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, each cut off where it is too long."""
    first = file.readline(LONGEST + 1)
    if b"\r" in first and b"\n" not in first and len(first) <= LONGEST:
        yield from re.findall(rb"[^\r]*\r|[^\r]+", first)
        return
    while first:
        yield first
        first = file.readline(LONGEST + 1)


def in_quotes(text: str) -> bool:
    """Whether a text looks like a cell of a CSV with its quotes still on: in quotes, each one within it doubled."""
    return len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', "")


def watched(texts: Iterator[str], quoted: Counter[bool]) -> Iterator[str]:
    """Yield the same texts; how many of them stand `in_quotes` is counted on the way."""
    for text in texts:
        quoted[in_quotes(text)] += 1
        yield text


def _record(reader: Iterator[list[str]]) -> list[str] | None:
    """Return the next record; None at the end. The csv module's limit is the whole process's: other tables keep
    theirs."""
    before = csv.field_size_limit(LONGEST)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
