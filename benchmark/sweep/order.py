"""The file of `sweep --order`: which data sets are wanted first."""

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmark.core import text_tables
from benchmark.core.errors import Usage
from benchmark.format.manifest import Manifest

MOST = 16 << 20  # bytes of such a file


def ranks(order: Path, files: Iterable[Path], manifests: Mapping[Path, Manifest]) -> dict[Path, int]:
    """Return how early each of the files is wanted, by a text file with one data set a line, the most wanted first.

    A line is the name of a data set, with or without .h5, or a path (from here or from the folder of `order`), or a
    pattern of either, with * ? [ ]. Everything from a # that begins a line or follows a space is a comment. A file that
    several lines mean counts for the first of them; those that no line means come last, as they are.

    Raises
    ------
    Usage
        One line: if the file cannot be read or names nothing, or if a line means none of the files.
    """
    files = list(files)
    found: dict[Path, int] = {}
    wanted = _lines(order)
    for number, word in wanted.items():
        meant = [file for file in files if _means(word, file, manifests.get(file), order.parent)]
        if not meant:
            known = text_tables.some([file.name for file in files]) or "none"
            raise Usage(f"{order}, line {number}: none of the files is {word!r:.80} (there are: {known})")
        for file in meant:
            found.setdefault(file, number)
    return {file: found.get(file, max(wanted) + 1) for file in files}


def _lines(order: Path) -> dict[int, str]:
    """Read the file: what its lines name, by their numbers."""
    try:
        with open(order, "rb") as file:
            text = file.read(MOST + 1)
        if len(text) > MOST:
            raise ValueError("larger than 16 MiB")
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Usage(f"{order}: expected a text file with the name of a data set on each line") from None
    except (OSError, ValueError) as error:
        raise Usage(f"{order}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    words = {number: f" {line}".split(" #")[0].strip() for number, line in enumerate(lines, 1)}
    words = {number: word for number, word in words.items() if word}
    if not words:
        raise Usage(f"{order}: names no data set; expected a name, a path or a pattern on each line")
    return words


def _means(word: str, file: Path, manifest: Manifest | None, beside: Path) -> bool:
    """Return whether a line means this file."""
    names = {file.name, file.stem, str(file), *([manifest.name] if manifest else [])}
    if word in names or any(fnmatch.fnmatchcase(name, word) for name in names):
        return True
    path = file.resolve()
    return any(
        str(path) == str(place) or fnmatch.fnmatchcase(str(path), str(place))
        for place in (folder.resolve() / Path(word).expanduser() for folder in (Path(), beside))
    )
