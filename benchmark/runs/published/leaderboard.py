"""Tables of published figures as CSV: a part of BackdoorBench's leaderboard in our columns, or in those of its site.

The file is a stranger's: its size, names, numbers and digests are checked before anything is made of them, and what is
wrong is said in one line that names the file and the line in it.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from benchmark.core import numbers
from benchmark.core.errors import Damaged, Usage

MOST = 16 << 20  # bytes of a file
_LONGEST = 1000  # characters of a line
_COMMENT = "#"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+/()-]{0,63}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNDEFENDED = "no defense"
Number = TypeVar("Number")
PICTURE = "picture"  # a column that may be there: the digest of the picture that a trigger blends


@dataclass(frozen=True)
class _Columns:
    """What a file calls its columns, and whether 1 or 100 is all. `failed`: -1 stands for a run that failed."""

    names: tuple[str, ...]
    scores: Mapping[str, str]
    whole: int
    failed: bool


_OURS = _Columns(
    ("dataset", "network", "attack", "defence", "rate"), {"ba": "BA", "asr": "ASR", "still_right": "RA"}, 100, False
)
_SITE = _Columns(
    ("dataset", "backbone", "attack_name", "defense_name", "ratio"),
    {"ba": "test_acc", "asr": "test_asr", "still_right": "test_ra"},
    1,
    True,
)


@dataclass(frozen=True)
class Row:
    """One row: what it is of, in the names of its file, and its scores in percent, without those that are not there."""

    dataset: str
    network: str
    attack: str
    defence: str
    rate: Fraction
    scores: Mapping[str, float]
    picture: str = ""

    @property
    def undefended(self) -> bool:
        """Whether this is the attack alone."""
        return self.defence == UNDEFENDED


def read(path: Path) -> list[Row]:
    """Read all rows that have a score.

    Raises
    ------
    Usage
        If there is no such file.
    Damaged
        If it is not such a table, or larger than `MOST`.
    Failure
        If it cannot be read here and now.
    """
    from benchmark.core import files  # here: it imports NumPy, which the help of a command does not need

    if not path.exists():
        raise Usage(f"--beside: {path}: no such file")
    lines = _lines(path, files.read_bytes(Path(os.path.realpath(path)), MOST))
    header, columns = next(lines, (0, [])), None
    if header[1]:
        columns = next((one for one in (_SITE, _OURS) if set(one.names) <= set(header[1])), None)
    if columns is None:
        raise Damaged(
            f"{path}: line {header[0] or 1}: expected the columns {','.join((*_OURS.names, *_OURS.scores.values()))}, "
            f"or {','.join((*_SITE.names, *_SITE.scores.values()))}"
        )
    _check_header(path, header, columns)
    found = list(_rows(path, header[1], columns, lines))
    if not found:
        raise Damaged(f"{path}: has no row with a score")
    return found


def _lines(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line, without comments. A quoted cell ends in its line."""
    if not data.endswith(b"\n"):  # a number that was cut is another number
        count = data.count(b"\n") + 1
        raise Damaged(f"{path}: line {count}: its last line has no line end, so the file may have been cut")
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode()
            if len(line) > _LONGEST and not line.startswith(_COMMENT):
                raise ValueError(f"longer than {_LONGEST} characters")
            if not line.isprintable():
                raise ValueError("holds a character that cannot be printed")
            if line and not line.startswith(_COMMENT):
                yield number, next(csv.reader([line], strict=True))
        except UnicodeDecodeError:
            raise Damaged(f"{path}: line {number}: not UTF-8") from None
        except (ValueError, csv.Error) as error:
            raise Damaged(f"{path}: line {number}: {error}") from None


def _check_header(path: Path, header: tuple[int, list[str]], columns: _Columns) -> None:
    number, names = header
    wanted = (*columns.names, *columns.scores.values())
    missing = [name for name in wanted if name not in names]
    twice = [name for name in (*wanted, PICTURE) if names.count(name) > 1]
    if missing or twice:
        words = f"column {missing[0]} is missing" if missing else f"column {twice[0]} stands twice"
        raise Damaged(f"{path}: line {number}: {words}")


def _rows(path: Path, header: list[str], columns: _Columns, lines: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    first: dict[tuple, int] = {}
    for number, cells in lines:
        try:
            if len(cells) != len(header):
                raise ValueError(f"expected {len(header)} cells, got {len(cells)}")
            row = _row(dict(zip(header, cells, strict=True)), columns)
            identity = (row.dataset, row.network, row.attack, row.defence, row.rate)
            if (before := first.setdefault(identity, number)) != number:
                raise ValueError(f"the same cell as line {before}")
        except ValueError as error:
            raise Damaged(f"{path}: line {number}: {error}") from None
        if row.scores:
            yield row


def _row(cells: dict[str, str], columns: _Columns) -> Row:
    *named, rated = columns.names
    dataset, network, attack, defence = (_name(column, cells[column]) for column in named)
    rate = _in_column(rated, numbers.share, cells[rated])
    if not rate:
        raise ValueError(f"{rated}: expected a rate above 0")
    picture = cells.get(PICTURE, "")
    if picture and not _DIGEST.fullmatch(picture):
        raise ValueError(f"{PICTURE}: expected sha256: and 64 hexadecimal digits, got {picture!r:.40}")
    found = {score: _percent(column, cells[column], columns) for score, column in columns.scores.items()}
    scores = {score: value for score, value in found.items() if value is not None}
    return Row(dataset, network, attack, defence, rate, scores, picture)


def _name(column: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{column}: expected a name of letters, digits and _ . + - / ( ), got {text!r:.40}")
    return text


def _percent(column: str, text: str, columns: _Columns) -> float | None:
    """Return a score in percent, in two decimals as the leaderboard shows it; None where the run is missing."""
    value = None if text == "" else _in_column(column, numbers.real, text)
    if value is None or (columns.failed and value == -1):
        return None
    if not 0 <= value <= columns.whole:
        raise ValueError(f"{column}: expected a number from 0 to {columns.whole}, got {text!r:.40}")
    return round(value * 100 / columns.whole, 2)


def _in_column(column: str, parse: Callable[[str], Number], text: str) -> Number:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from None
