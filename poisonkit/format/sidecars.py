"""Sidecars: NAME.manifest.json has a file's manifest, and what may not stand inside the file because it differs from
run to run. One may be removed or overwritten only if it is that of NAME.h5 itself."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poisonkit.core import files, numbers
from poisonkit.core.errors import Failure
from poisonkit.format.manifest import FORMAT, Header, Manifest, identity
from poisonkit.format.records import FileRecord, Json

SUFFIX = ".manifest.json"

LARGEST = 1 << 27  # bytes; twice what a manifest may have
OWN = ("manifest", "file")
"""The keys of a sidecar that follow from its file."""


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that poisonkit wrote: whatever it says of the manifest, and of the name, size and SHA-256 of the
    file."""

    manifest: Json
    name: str
    size: Any
    sha256: Any

    @classmethod
    def of(cls, json: Any) -> "Sidecar":
        """Return the sidecar of parsed JSON. `KeyError` or `TypeError` where it is none."""
        file = json["file"]
        return cls(json["manifest"], file["name"], file.get("size"), file.get("sha256"))

    @property
    def identity(self) -> Json:
        """The part of its manifest that decides what the file's bytes are."""
        return identity(self.manifest)

    def is_of(self, target: Path) -> bool:
        """Whether a sidecar under another name (somebody renamed both) is that of this file."""
        try:
            same = target.is_file() and _same(self.size, target.stat().st_size)
            return same and self.sha256 == files.file_sha256(target)
        except OSError:
            return False


def read(beside: Path) -> Sidecar | None:
    """Read a sidecar; None for one that poisonkit did not write: no file, not JSON, without `manifest` and `file`."""
    try:
        sidecar = Sidecar.of(numbers.loads(content(beside)))
        sound = sidecar.manifest["format"] == FORMAT and isinstance(sidecar.manifest["source"], dict)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return sidecar if sound and isinstance(sidecar.name, str) else None


def content(beside: Path) -> bytes:
    """Read the bytes of a sidecar. `OSError` if it is not a regular file (a pipe would block), `ValueError` if it is
    too large."""
    if not beside.is_file():
        raise OSError("no file")
    if beside.stat().st_size > LARGEST:
        raise ValueError(f"over {LARGEST >> 20} MB")
    return beside.read_bytes()


def check(beside: Path, target: Path) -> Sidecar | None:
    """Read the sidecar `beside` the file `target`, None if there is none; `Failure` if it is not that
    file's, which nothing may replace: somebody's own file, or what speaks of another data set."""
    if not os.path.lexists(beside):
        return None
    sidecar = read(beside)
    if sidecar is None:
        raise Failure(
            f"{beside}: is where the sidecar of {target.name} goes and was not written by poisonkit: move it, or "
            "choose another -o"
        )
    if sidecar.name != target.name and not sidecar.is_of(target):
        raise Failure(
            f"{beside}: is the sidecar of {sidecar.name!r:.80}, not of {target.name}: move it, or choose another -o"
        )
    return sidecar


def record_of(path: Path) -> FileRecord:
    """Return the size and the digest of a file that is there."""
    return FileRecord(path.stat().st_size, files.file_sha256(path))


def write(target: Path, manifest: Manifest, more: Json, file: FileRecord) -> None:
    """Write the sidecar of a file: its manifest, its size and digest, and `more` of what the run was."""
    record = {"manifest": manifest.json, "file": {"name": target.name} | vars(file)}
    files.write_json(sidecar_path(target), more | record)


def more(path: Path) -> Json | None:
    """Read what the sidecar of a file has beside what follows from the file, None where there is none. `Failure` where
    it is not a sidecar."""
    beside = sidecar_path(path)
    if not beside.exists():
        return None
    try:
        found = numbers.loads(content(beside), parse_float=str)
        return {key: _spelled(value) for key, value in found.items() if key not in OWN}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise Failure(f"{beside}: is not a sidecar ({error})") from None


def _spelled(value: Any) -> Any:
    """Return JSON with halves of characters spelled out: UTF-8, and so a digest, can hold none."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_spelled(one) for one in value]
    return {_spelled(key): _spelled(one) for key, one in value.items()} if isinstance(value, dict) else value


def differences(path: Path, manifest: Header) -> list[str]:
    """List what differs between a file and its sidecar; it may be missing, the file says all that is needed."""
    beside = sidecar_path(path)
    if not beside.exists():
        return []
    try:
        found = numbers.loads(content(beside))
        file, repeated = found["file"], found["manifest"]
        size, digest = file["size"], file["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        return [f"{beside.name}: is not a sidecar ({type(error).__name__}: {error})"]
    errors = []
    if not _same(repeated, manifest.json):
        errors.append(f"{beside.name}: its manifest is not the file's")
    if not _same(size, path.stat().st_size):
        errors.append(f"{beside.name}: says the file has {size} bytes, it has {path.stat().st_size}")
    elif digest != files.file_sha256(path):
        errors.append(f"{beside.name}: its SHA-256 is not the file's")
    return errors


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: Python's 1, 1.0 and True are equal, those of JSON are not."""
    first, second = (json.dumps(value, sort_keys=True) for value in (one, other))
    return first == second


def sidecar_path(path: Path) -> Path:
    """`NAME.manifest.json` beside `NAME.h5`."""
    return path.with_name(path.name.removesuffix(".h5") + SUFFIX)
