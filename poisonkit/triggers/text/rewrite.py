"""Texts that another tool rewrote (style, syntax, paraphrase by a language model), from a CSV of row and text.

The CSV has the columns `row` and `text`, and `part` (train or test; without it, every row is of train). It may hold
more rows than are needed; of those that are, it must have every one.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from poisonkit.core import hashing
from poisonkit.core import texts as strings
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.numbers import counted
from poisonkit.triggers.base import Parameters, UserFile
from poisonkit.triggers.text_base import Inserted, TextContext, TextTrigger, insertions

PARTS = ("train", "test")
ROW = re.compile(r"[0-9]{1,12}")
_SHOWN = 5


@dataclass(frozen=True)
class Rewrites:
    """Rewritten texts: part → row → text. `where` is the file's name in messages; `notices` are lines that should be
    known of it."""

    where: str
    texts: dict[str, dict[int, str]] = field(default_factory=lambda: {part: {} for part in PARTS})
    notices: list[str] = field(default_factory=list)
    shape: ClassVar[None] = None

    def check(self, sizes: dict[str, int]) -> None:
        """Raise `Failure` for a row beyond those of a data set; `sizes` are its rows in each part."""
        for part, size in sizes.items():
            beyond = [row for row in self.texts[part] if row >= size]
            if beyond:
                raise Failure(f"{self.where}: row {min(beyond)} of {part}: the data set has {size:,}, numbered from 0")

    def of(self, part: str, rows: np.ndarray) -> np.ndarray:
        """Return the texts of these rows, (n,) object. Raises `Failure` where some are missing."""
        given = self.texts[part]
        missing = [row for row in rows.tolist() if row not in given]
        if missing:
            listed = ", ".join(map(str, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
            raise Failure(
                f"{self.where}: lacks {len(missing):,} of the {len(rows):,} {part} rows to be rewritten "
                f"({listed}): --rewrite-list FILE writes them all"
            )
        return strings.array(given[row] for row in rows.tolist())

    def digest(self, needed: dict[str, np.ndarray], _shape: tuple[int, ...] = ()) -> str:
        """SHA-256 of the canonical JSON of ``{part: [[row, text], …]}``, rows ascending, of the rows that are needed:
        what else the file holds changes no byte of a data set."""
        return hashing.digest(
            {part: [[row, self.texts[part][row]] for row in sorted(rows.tolist())] for part, rows in needed.items()}
        )


def read(path: Path) -> Rewrites:
    """Read the rewritten texts of a CSV (a TSV, by its name, has no quoting), each checked. `Failure` names the
    line."""
    from poisonkit.core import files
    from poisonkit.core.csv_tables import Table, in_quotes, opener

    if not path.is_file():
        raise Failure(
            f"{path}: {'is not a file' if path.exists() else 'does not exist'}: expected a CSV of row and text"
        )
    table = Table(files.path_text(path), opener(path), path.suffix.lower() != ".tsv")
    columns = ("row", "text", "part") if "part" in table.header() else ("row", "text")
    rewrites = Rewrites(table.where)
    for line, (row, text, *part) in table.records(columns):
        mine = part[0].strip() if part else PARTS[0]
        if mine not in PARTS:
            raise table.wrong(line, f"the part {strings.printable(mine)!r}, expected train or test")
        if not ROW.fullmatch(row.strip()):
            raise table.wrong(line, f"the row {strings.printable(row)!r}, expected a whole number from 0 on")
        number = int(row)
        if number in rewrites.texts[mine]:
            raise table.wrong(line, f"row {number} of {mine} twice")
        rewrites.texts[mine][number] = table.text(line, text)
    quoted = 0 if table.quoted else sum(in_quotes(text) for texts in rewrites.texts.values() for text in texts.values())
    if quoted:
        rewrites.notices.append(
            f"{counted(quoted, 'text')} of {path.name} in quotes: a .tsv has no quoting here, so the quotes are part "
            "of the texts (a .csv has quoting)"
        )
    return rewrites


def insert(parameters: Parameters, texts: np.ndarray, rows: np.ndarray, context: TextContext) -> Inserted:
    """See `text_base.Insert`. What was inserted where is not known: the texts say it."""
    del parameters, texts
    if context.given is None:
        raise Usage("--trigger rewrite needs --rewrite-file CSV; --rewrite-list CSV writes the texts to rewrite")
    return context.given.of(context.part, rows), insertions([])


SPEC = TextTrigger(
    name="rewrite",
    summary="texts rewritten with another tool, from a CSV of row and text",
    file=UserFile(
        help="CSV with the columns row, text and optionally part (train, test): the rewritten texts",
        list_help="write the texts that must be rewritten to this CSV, and nothing else",
        read=read,
        recover=Rewrites,
        attacks=("stylebkd", "style", "synbkd", "syntax", "hidden-killer", "paraphrase"),
        brings="the texts",
    ),
    insert=insert,
)
