"""Sidecars: NAME.manifest.json may be removed or overwritten only if it is that of NAME.h5 itself."""

import os
from pathlib import Path

from poisonkit.core import numbers
from poisonkit.core.errors import Failure
from poisonkit.format import manifest
from poisonkit.format.manifest import Facts

SUFFIX = ".manifest.json"

LARGEST = 1 << 27  # bytes; twice what a manifest may have


def read(beside: Path) -> Facts | None:
    """Read a sidecar; None for one that poisonkit did not write: no file, not JSON, without `manifest` and `file`."""
    try:
        said: Facts = numbers.loads(content(beside))
        facts = said["manifest"]
        sound = facts["format"] == manifest.FORMAT and isinstance(facts["source"], dict)
        sound = sound and isinstance(said["file"]["name"], str)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return said if sound else None


def content(beside: Path) -> bytes:
    """Read the bytes of a sidecar. `OSError` if it is not a regular file (a pipe would block), `ValueError` if it is
    too large."""
    if not beside.is_file():
        raise OSError("no file")
    if beside.stat().st_size > LARGEST:
        raise ValueError(f"over {LARGEST >> 20} MB")
    return beside.read_bytes()


def check(beside: Path, target: Path) -> Facts | None:
    """Read the sidecar `beside` the file `target`, None if there is none; `Failure` if it is not that
    file's, which nothing may replace: somebody's own file, or what speaks of another data set."""
    if not os.path.lexists(beside):
        return None
    said = read(beside)
    if said is None:
        raise Failure(
            f"{beside}: is where the sidecar of {target.name} goes and was not written by poisonkit: move it, or "
            "choose another -o"
        )
    if said["file"]["name"] != target.name and not _of(said, target):
        raise Failure(
            f"{beside}: is the sidecar of {said['file']['name']!r:.80}, not of {target.name}: move it, or choose "
            "another -o"
        )
    return said


def _of(said: Facts, target: Path) -> bool:
    """Whether a sidecar under another name (somebody renamed both) is that of this file."""
    from poisonkit.core import files

    try:
        same = target.is_file() and said["file"].get("size") == target.stat().st_size
        return same and said["file"].get("sha256") == files.file_sha256(target)
    except OSError:
        return False


def sidecar_path(path: Path) -> Path:
    """`NAME.manifest.json` beside `NAME.h5`."""
    return path.with_name(path.name.removesuffix(".h5") + SUFFIX)
