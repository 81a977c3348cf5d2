"""What a detector leaves in the folder of its result row by row: `scores.csv`, and `flagged.csv` if it has a cut."""

from pathlib import Path

import numpy as np

from benchmark.core import files
from benchmark.core.errors import Damaged

SCORES, FLAGGED = "scores.csv", "flagged.csv"


def write_scores(path: Path, rows: np.ndarray, scores: np.ndarray) -> None:
    """Write `row,score` lines, the form that `poisonkit grade` takes; every digit of a score is kept."""
    lines = [f"{row},{score!r}\n" for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]
    files.write_bytes(path, ("row,score\n" + "".join(lines)).encode())


def write_flagged(path: Path, rows: np.ndarray) -> None:
    """Write the flagged rows, a line each."""
    files.write_bytes(path, ("row\n" + "".join(f"{row}\n" for row in rows.tolist())).encode())


def read_scores(path: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (n,) int64 and their scores (n,) float64; `most`: how many training rows there are. Raises as
    `read_flagged`."""
    found = _read(path, "row,score")
    if not np.isfinite(found[:, 1]).all():
        raise Damaged(f"{path}: a score is not finite")
    return _rows(path, found[:, 0], most), found[:, 1]


def read_flagged(path: Path, most: int) -> np.ndarray:
    """Return the flagged rows (n,) int64.

    Raises
    ------
    Damaged
        If it is not what this program writes, or names a row that there is not.
    Failure
        If it cannot be read.
    """
    return _rows(path, _read(path, "row")[:, 0], most)


def _read(path: Path, heading: str) -> np.ndarray:
    text = files.read_bytes(path)
    try:
        first, *lines = text.decode("ascii").splitlines()
        if first != heading:
            raise ValueError(f"begins with {first!r:.40}, expected {heading!r}")
        columns = heading.count(",") + 1
        return np.array([[float(one) for one in line.split(",")] for line in lines]).reshape(len(lines), columns)
    except ValueError as error:
        raise Damaged(f"{path}: cannot be read ({str(error)[:120]})") from None


def _rows(path: Path, values: np.ndarray, most: int) -> np.ndarray:
    """Return row numbers as whole numbers; `Damaged` where they are none, or there is no such row."""
    rows = np.asarray(values, np.int64) if np.isfinite(values).all() else np.array([-1])
    if not (np.array_equal(rows, values) and len(np.unique(rows)) == len(rows) and ((rows >= 0) & (rows < most)).all()):
        raise Damaged(f"{path}: names rows that there are not, or one twice; there are {most:,}")
    return rows
