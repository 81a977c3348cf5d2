"""Whether the data that a user brings as clean are an export of ours, whose training rows may be poisoned."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poisonkit.core import numbers, texts, zip_files
from poisonkit.core.errors import Failure

MARK = ".poisonkit-export"  # in a folder that an export wrote
MANIFEST = "manifest.json"  # beside what was exported, but with --no-truth
LARGEST = 16 << 20  # bytes of a manifest


def notices(path: Path) -> list[str]:
    """Return a line where `path`, a folder or an .npz, is the export of a data set that is not clean, or does not say
    whether it is."""
    manifest = _manifest(path)
    if manifest is None:
        if not (path / MARK).is_file():
            return []
        told = "an export of poisonkit's that does not say whether its data set was poisoned (--no-truth)"
        return [f"{texts.printable(str(path))} is {told}: all of its rows are taken as clean ones"]
    if manifest["kind"] == "clean":
        return []
    name, kind = texts.printable(f"{manifest['name']:.100}"), texts.printable(f"{manifest['kind']:.20}")
    return [
        f"{texts.printable(str(path))} is an export of the {kind} data set {name}: all of its training rows are taken "
        "as clean ones, changed images and labels among them"
    ]


def _manifest(path: Path) -> Mapping[str, Any] | None:
    """Return the manifest beside an export; None where there is none, or somebody else's."""
    try:
        with zip_files.damage(path):
            found = numbers.loads(_text(path))
    except (Failure, OSError, MemoryError):
        return None
    ours = isinstance(found, dict) and "dataset_digest" in found
    return found if ours and all(isinstance(found.get(key), str) for key in ("kind", "name")) else None


def _text(path: Path) -> bytes:
    if path.is_dir():
        with open(path / MANIFEST, "rb") as file:
            return file.read(LARGEST)
    with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as member:
        return member.read(LARGEST)
