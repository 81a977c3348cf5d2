"""The mark in a folder that an export wrote: by it the folder is known as one of ours, and the user's own files in it
are told from those that we wrote, so that `--force` removes no others."""

import os
from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.sources.exported import MARK


def write(folder: Path, form: str) -> None:
    """Leave the mark in a finished folder: the format's name, then the size and the path of every file."""
    listed = "".join(f"{size} {name}\n" for name, size in sorted(_files(folder).items()))
    (folder / MARK).write_text(f"{form}\n{listed}", encoding="utf-8")


def is_ours(folder: Path) -> bool:
    """Whether a folder is an export, or empty."""
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def refuse_others(folder: Path, name: Path | None = None) -> None:
    """`Failure` where a folder holds files that no export wrote, or that were changed since; it is called `name`."""
    listed, found = _listed(folder), _files(folder)
    found.pop(MARK, None)
    others = sorted(path for path, size in found.items() if listed.get(path) != size)
    if not others:
        return
    name = name or folder
    if not listed:
        raise Failure(f"{name}: is an export of an older version, which does not list its files; delete it yourself")
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    raise Failure(
        f"{name}: contains files that the export did not write ({others[0]}{more}); move them away or choose another -o"
    )


def _files(folder: Path) -> dict[str, int]:
    """Path in the folder, with slashes → size; a link, to whatever, counts as a file of no known size."""
    found = {}
    for here, folders, names in os.walk(folder):
        for path in (Path(here) / name for name in (*folders, *names)):
            if path.is_symlink():
                found[path.relative_to(folder).as_posix()] = -1
            elif path.name in names:
                found[path.relative_to(folder).as_posix()] = path.stat().st_size
    return found


def _listed(folder: Path) -> dict[str, int]:
    """Read the same from the mark; nothing where it has no list."""
    try:
        lines = (folder / MARK).read_text(encoding="utf-8").split("\n")[1:]
    except (OSError, ValueError):
        return {}
    pairs = [line.split(" ", 1) for line in lines if " " in line]
    return {name: int(size) for size, name in pairs if size.isdecimal() and len(size) < 20}
