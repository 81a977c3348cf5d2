"""What a network that was trained elsewhere predicts, read from a file of a stranger: `.npz` or CSV.

For each set of rows that a data set is scored on (`test`, `triggered`, `others`) the predicted classes, or a score for
every class (probabilities or logits), row for row. The class of scores is the largest; of equal ones the lowest. Beside
`triggered` there may be BY_CLEAN: what the clean network predicts for the same rows.
"""

import contextlib
import csv
import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from benchmark.core import archives, numbers
from benchmark.core.errors import Failure

ZIP, ARRAY = b"PK\x03\x04", b"\x93NUMPY"
HEADER = 1 << 20  # bytes of an archive beside its arrays
LONGEST = 48  # characters of a number in a CSV, with its comma
_WHOLE = re.compile(r"[0-9]{1,18}")
_BROKEN = (*archives.BROKEN, MemoryError)  # what is read is bounded: only a broken archive needs more than there is
Predicted = dict[str, np.ndarray]
BY_CLEAN = "triggered_by_clean"


def read(path: str | os.PathLike[str], rows: Mapping[str, int], classes: int) -> Predicted:
    """Read predictions from a file.

    Parameters
    ----------
    path : path-like
        A `.npz` of one array a set, (n,) of whole numbers or (n, classes) of fractions, or a CSV with the columns
        `set,row,class` or `set,row,0,1,…`: a score for each class. Nothing is unpickled.
    rows : mapping of str to int
        The sets that the data set has, each with its number of rows.
    classes : int
        Number of classes.

    Returns
    -------
    dict of str to (n,) int64
        The predicted class of every row; of BY_CLEAN too, if the file has it.

    Raises
    ------
    Failure
        One line that names the file, and what of it is not so.
    """
    rows = _with_optional(rows)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Failure(f"{path}: is not a file, expected predictions as .npz or CSV")
        with open(path, "rb") as stream, _naming(path):
            return _from(stream, rows, classes)
    except OSError as error:
        raise Failure(f"{path}: cannot be read ({error.strerror})") from None


def checked(arrays: Mapping[str, Any], rows: Mapping[str, int], classes: int) -> Predicted:
    """Return the predicted classes in arrays by the names of their sets; see `read` for shapes, types and errors."""
    rows = _with_optional(rows)
    _check_sets(list(arrays), rows)
    found = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        _check_kind(array.shape, array.dtype, name, rows[name], classes)
        found[name] = _classes(array, name, classes)
    return found


def _with_optional(rows: Mapping[str, int]) -> dict[str, int]:
    return {**rows, **({BY_CLEAN: rows["triggered"]} if "triggered" in rows else {})}


@contextlib.contextmanager
def _naming(path: object) -> Iterator[None]:
    try:
        yield
    except Failure as error:
        raise Failure(f"{path}: {error}") from None


def _from(stream: IO[bytes], rows: Mapping[str, int], classes: int) -> Predicted:
    begin = stream.read(len(ARRAY))
    stream.seek(0)
    size = os.fstat(stream.fileno()).st_size
    if begin == ARRAY:
        raise Failure(f"is a single array, expected a .npz with {_named(rows)}: numpy.savez(…, test=…)")
    archived = begin.startswith(ZIP)
    most = sum(rows.values()) * (8 if archived else LONGEST) * (classes + 2) + HEADER
    if size > most:
        raise Failure(f"is of {size:,} bytes, more than predictions of {_named(rows)} take ({most:,})")
    return _archived(stream, rows, classes) if archived else _tabled(stream, rows, classes)


def _named(rows: Mapping[str, int]) -> str:
    """Return `test (1,000 rows) and triggered (900 rows)`."""
    return " and ".join(f"{name} ({numbers.counted(count, 'row')})" for name, count in rows.items() if name != BY_CLEAN)


def _check_sets(names: list[str], rows: Mapping[str, int]) -> None:
    for name in names:
        if name not in rows:
            raise Failure(f"holds {name!r:.40}, which the data set has not: expected {_named(rows)}")
        if names.count(name) > 1:
            raise Failure(f"holds {name!r} twice")
    for name in rows:
        if name not in names and name != BY_CLEAN:
            raise Failure(f"lacks {name!r}: expected {_named(rows)}")


def _check_kind(shape: tuple[int, ...], dtype: np.dtype, name: str, rows: int, classes: int) -> None:
    """Check what is known of an array before it is read."""
    expected = f"expected whole numbers ({rows:,},) or fractions ({rows:,}, {classes})"
    if dtype.hasobject:
        raise Failure(f"{name} holds Python objects, which are not read: {expected}")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise Failure(f"{name} is of type {dtype}, {expected}")
    if len(shape) in (1, 2) and shape[0] != rows:
        raise Failure(f"{name} has {numbers.counted(shape[0], 'row')}, the data set has {rows:,}")
    if shape not in ((rows,), (rows, classes)):
        raise Failure(f"{name} is of shape {shape}, {expected}")
    if shape == (rows,) and dtype.kind == "f":
        raise Failure(f"{name} is one fraction a row, which is no class: {expected}")


def _classes(array: np.ndarray, name: str, classes: int) -> np.ndarray:
    """Return the classes of an array that `_check_kind` has let through, (n,) int64."""
    if array.ndim == 1:
        wrong = np.flatnonzero((array < 0) | (array >= classes))
        if len(wrong):
            row = wrong[0]
            raise Failure(f"{name}: row {row} is of class {array[row]}, expected 0 … {classes - 1}")
        return np.asarray(array, np.int64)
    best = array.max(axis=1)
    wrong = np.flatnonzero(~np.isfinite(best))  # NaN is the largest; −∞ beside numbers is a probability of 0
    if len(wrong):
        raise Failure(f"{name}: row {wrong[0]} holds {best[wrong[0]]}, expected finite scores")
    return np.asarray(array.argmax(axis=1), np.int64)


# ---------------------------------------------------------------- .npz


def _archived(stream: IO[bytes], rows: Mapping[str, int], classes: int) -> Predicted:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {member.filename: member for member in archive.infolist()}
            _check_sets([member.filename.removesuffix(".npy") for member in archive.infolist()], rows)
            return {
                name.removesuffix(".npy"): _member(archive, member, name.removesuffix(".npy"), rows, classes)
                for name, member in members.items()
            }
    except _BROKEN as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise Failure(f"cannot be read as .npz ({words})") from None


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, rows: Mapping[str, int], classes: int
) -> np.ndarray:
    """Read one array, no further than it may go: what is compressed may be a bomb."""
    with archive.open(member) as file:
        shape, by_column, dtype = _header(file, name)
        _check_kind(shape, dtype, name, rows[name], classes)
        size = int(np.prod(shape)) * dtype.itemsize
        data = file.read(size + 1)
    if len(data) != size:
        raise Failure(f"{name} is of {len(data):,} bytes or more, expected {size:,}")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")
    return _classes(array, name, classes)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read what an array is, before it. NumPy's reader of a text that is no header raises whatever its parts do."""
    if np.lib.format.read_magic(file) != (1, 0):  # of later versions a header can be of any length
        raise Failure(f"{name} is not an array as numpy.savez writes it")
    try:
        return np.lib.format.read_array_header_1_0(file)
    except _BROKEN:
        raise
    except Exception:  # TokenError, IndexError, …
        raise Failure(f"{name} is not an array as numpy.savez writes it") from None


# ---------------------------------------------------------------- CSV


def _tabled(stream: IO[bytes], rows: Mapping[str, int], classes: int) -> Predicted:
    try:
        text = stream.read().decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = next(lines, [])
        whole = head == ["set", "row", "class"]
        if not whole and head != ["set", "row", *map(str, range(classes))]:
            got = ",".join(head)
            raise Failure(f"line 1: expected the columns set,row,class or set,row,0,…,{classes - 1}, got {got!r:.60}")
        found: dict[str, list[Any]] = {}
        for line in lines:
            if line:
                _take(line, found, rows, len(head), _class if whole else _scores, lines.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Failure(f"is neither .npz nor CSV ({' '.join(str(error).split())[:120]})") from None
    _check_sets(list(found), rows)
    for name, values in found.items():
        if len(values) != rows[name]:
            raise Failure(f"{name} has {numbers.counted(len(values), 'row')}, the data set has {rows[name]:,}")
    predicted = {name: _classes(np.array(values), name, classes) for name, values in found.items()}
    if not text.endswith(("\n", "\r")):
        raise Failure("its last line does not end: what was cut may be another number (end it with a line feed)")
    return predicted


def _take(
    line: list[str],
    found: dict[str, list[Any]],
    rows: Mapping[str, int],
    columns: int,
    value: Callable[[list[str]], Any],
    number: int,
) -> None:
    """Add a line to the set that it is of. The rows of each are numbered from 0, so that none can be out of place."""
    if len(line) != columns:
        raise Failure(f"line {number}: {numbers.counted(len(line), 'column')}, expected {columns}")
    name, row = line[:2]
    if name not in rows:
        raise Failure(f"line {number}: of {name!r:.40}, which the data set has not: expected {_named(rows)}")
    values = found.setdefault(name, [])
    if row != str(len(values)):
        raise Failure(f"line {number}: row {row!r:.40} of {name}, expected {len(values)}: all rows in order, from 0")
    try:
        values.append(value(line[2:]))
    except ValueError as error:
        raise Failure(f"line {number}: {error}") from None


def _class(cells: list[str]) -> int:
    if not _WHOLE.fullmatch(cells[0]):
        raise ValueError(f"expected a class, a whole number from 0, got {cells[0]!r:.40}")
    return int(cells[0])


def _scores(cells: list[str]) -> list[float]:
    return [numbers.real(cell) for cell in cells]
