"""What teams hand in: a CSV of rows and scores, or of rows alone, and the name under which each is ranked."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poisonkit.core import numbers, texts
from poisonkit.core.errors import Failure, Usage

LONGEST_LINE = 1000
STANDARD_INPUT = "-"
OF_DETECT = "scores.csv"
"""What `benchmark detect` calls each of its files: the folder says whose it is."""


@dataclass(frozen=True)
class Submission:
    """The rows that a team named, (n,) int64, and the score of each, (n,) float64; None where rows alone were given."""

    rows: np.ndarray
    scores: np.ndarray | None

    def dense(self, count: int) -> np.ndarray:
        """Return a score for each of `count` rows, (count,) float64: of rows alone, 1 where they are listed, else 0."""
        scores = np.zeros(count)
        scores[self.rows] = 1.0 if self.scores is None else self.scores
        return scores


def read(path: Path, count: int) -> Submission:
    """Read a CSV of `row,score` or of `row` alone, header or not, for a training set of `count` rows; `-` is standard
    input.

    Raises `Failure` with the number of the line that is wrong.
    """
    if str(path) == "-":
        return _parse("standard input", sys.stdin, count)
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            return _parse(str(path), file, count)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None


def _parse(name: str, file, count: int) -> Submission:
    lines: dict[int, int] = {}
    scores: list[float] = []
    width, number = 0, 0  # of a line, in fields: 0 before the first
    while text := file.readline(LONGEST_LINE):
        number += 1
        fields = [field.strip() for field in text.removeprefix("\ufeff" if number == 1 else "").split(",")]
        if fields == [""]:
            continue
        where = f"{name}: line {number}"
        if number == 1 and _header(fields):
            width = len(fields)
            continue
        if width not in (0, len(fields)) or len(fields) > 2:
            expected = {1: "row", 2: "row,score"}.get(width, "row,score or row alone")
            raise Failure(f"{where}: has {len(fields)} field(s), expected {expected}")
        width = len(fields)
        row = _row(fields[0], count, where)
        if row in lines:
            raise Failure(f"{where}: row {row} was on line {lines[row]} already")
        lines[row] = number
        if width == 2:
            scores.append(_score(fields[1], where))
    if not width:
        raise Failure(f"{name}: is empty: expected row,score in each line, or row alone (the line `row` lists none)")
    rows = np.fromiter(lines, np.int64, len(lines))
    if width == 1:
        return Submission(rows, None)
    if len(rows) < count:
        missing = int(np.setdiff1d(np.arange(count), rows)[0])
        raise Failure(
            f"{name}: {count - len(rows):,} of {count:,} rows have no score, row {missing} first: "
            "every training row needs one (or leave the scores out, and list the rows you suspect)"
        )
    return Submission(rows, np.array(scores))


def _header(fields: list[str]) -> bool:
    return [field.strip('"').lower() for field in fields] in (["row"], ["row", "score"])


def _row(text: str, count: int, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Failure(f"{where}: {text!r:.40} is not a row number: expected a whole number from 0 to {count - 1}")
    if int(text) >= count:
        raise Failure(f"{where}: there is no row {text}: the training rows are 0 … {count - 1}")
    return int(text)


def _score(text: str, where: str) -> float:
    try:
        return numbers.real(text)
    except ValueError:
        raise Failure(f"{where}: {text!r:.40} is not a score: expected a finite number") from None


@dataclass(frozen=True)
class Entry:
    """A submission before it is read.

    Attributes
    ----------
    name : str
        What it is ranked under: printable, and no other's.
    path : Path
        The CSV; `-` is standard input.
    baseline : bool
        Whether it is there for comparison: a known detector's, not a team's.
    chosen : bool
        Whether somebody chose the name; else it is made of the path.
    """

    name: str
    path: Path
    baseline: bool = False
    chosen: bool = True

    @classmethod
    def named(cls, name: str, path: Path, baseline: bool = False) -> "Entry":
        """Return a submission under a name that somebody chose. `Usage` where nothing is left of it."""
        if not (fit := texts.printable(name).strip()):
            raise Usage(f"the submission {_shown(path)} has an empty name: expected NAME=FILE")
        return cls(fit, path, baseline)

    @classmethod
    def unnamed(cls, path: Path, baseline: bool = False) -> "Entry":
        """Return a submission under the name of its file, or of the folder where the file is one of `detect`'s."""
        name = path.stem if path.name != OF_DETECT else _folder(path).name
        name = "standard input" if str(path) == STANDARD_INPUT else name
        return cls(texts.printable(name).strip() or "unnamed", path, baseline, chosen=False)

    @classmethod
    def typed(cls, text: str, baseline: bool = False) -> "Entry":
        """Return what FILE or NAME=FILE on the command line means: a file of that whole name, where there is one.

        `Usage` where the name or the file is empty.
        """
        name, equals, file = text.partition("=")
        if not text or (equals and not file):
            raise Usage(f"--{'baseline' if baseline else 'submission'}: expected CSV or NAME=CSV, got {text!r:.60}")
        if not equals or os.path.lexists(text):
            return cls.unnamed(Path(text), baseline)
        return cls.named(name, Path(file), baseline)


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries with no two under one name: folders are put before a name that was made of a path, as many as
    it takes, and a number behind it where that does not help.

    Raises `Usage` where two were given one name, or two are standard input.
    """
    entries = list(entries)
    if sum(str(one.path) == STANDARD_INPUT for one in entries) > 1:
        raise Usage("standard input (-) can be read once, and two submissions are to come from it")
    names = Counter(one.name for one in entries if one.chosen)
    if twice := [name for name, count in names.items() if count > 1]:
        raise Usage(f"two submissions are named {twice[0]!r:.60}: give each a name of its own")
    shared, taken = Counter(one.name for one in entries), set(names)
    named = []
    for one in entries:
        if not one.chosen:
            others = [other.path for other in entries if other.name == one.name and other is not one]
            name = next(iter(_free(one, others, shared, taken)))
            taken.add(name)
            one = replace(one, name=name)
        named.append(one)
    return named


def _free(one: Entry, others: list[Path], shared: Counter[str], taken: set[str]) -> Iterator[str]:
    """Yield the names that an entry may have and no other has, the shortest first."""
    if shared[one.name] == 1 and one.name not in taken:
        yield one.name
    folders, rest = _folders(one.path), [_folders(path) for path in others]
    for depth in range(1, len(folders) + 1):
        name = texts.printable("/".join([*reversed(folders[:depth]), one.name]))
        if name not in taken and all(other[:depth] != folders[:depth] for other in rest):
            yield name
    numbered = (f"{one.name} ({number})" for number in range(2, len(taken) + 3))
    yield from (name for name in (one.name, *numbered) if name not in taken)


def _folders(path: Path) -> list[str]:
    """Return the folders that a submission is in, from the inside out, without the one that names it."""
    inside = _folder(path)
    return [folder.name for folder in (inside, *inside.parents)][path.name == OF_DETECT : -1]


def _folder(path: Path) -> Path:
    """Return the folder that a file is in, without `..` and with links as they are."""
    return Path(os.path.normpath(path.absolute())).parent


def _shown(path: Path) -> str:
    return texts.printable(str(path))
