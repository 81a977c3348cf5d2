"""The commands that make the clean file of a data set."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical
from benchmark.core.hints import Open, advice, place, spelled
from benchmark.format.manifest import Manifest, Source, parse

SIDECAR = ".manifest.json"
BROUGHT = ("folder", "npz", "csv")
"""The sources whose data the user brings: `poisonkit make` finds no others by itself."""


@dataclass(frozen=True)
class Sidecar:
    """What the sidecar of a data set says: its manifest, as JSON too, and the path that the source was read from, if
    any."""

    manifest: Manifest
    origin: str | None
    raw: dict[str, Any]


@advice
def clean_file(path: Path, source: Source) -> str:
    """Return the command that makes the clean file of a data set's source, beside it."""
    beside = sidecar(path)
    return spelled(make_clean(source, beside.origin if beside else None, writable_folder(path))[0])


def make_clean(source: Source, origin: str | None, folder: Path) -> tuple[list[str], str]:
    """Return the command, and the file that it makes in a folder; `origin` is the path that the source was read
    from."""
    name, known = source.name, source.options
    words = ["poisonkit", "make", "--dataset", name]
    if origin is not None and os.path.exists(origin):
        words += ["--source", place(origin, "what it was made from", "PATH")]
    elif name in BROUGHT:
        words += ["--source", Open("PATH", "what it was made from")]
    options = dict(known or {})
    if "camouflage" in options:
        words += ["--camouflage", str(options.pop("camouflage")), "--camouflage-seed", Open("N", "its secret seed")]
        options.pop("camouflage-seed", None)
    if name == "folder" and known is not None and "version" not in known and _in_text_order(source.classes):
        options["version"] = 1
    for key, value in options.items():
        words += ["--source-option", f"{key}={value}"]
    if known is None and name not in ("cifar10", "gtsrb", "sst2"):
        words.append(Open("[OPTIONS]", "of the source, as they were then"))
    part = f"-{(source.digest or '').removeprefix('sha256:')[:8]}" if known else ""
    target = place(folder / f"{source.label}-clean{part}.h5", "the clean data set")
    return [*words, "--rate", "0", "-o", target], target


def _in_text_order(names: Sequence[str]) -> bool:
    """Whether classes are whole numbers in the order of their code points, as the first version of a folder has them,
    which no manifest names."""
    numbers = all(re.fullmatch("-?[0-9]{1,255}", name) for name in names)
    return numbers and list(names) != sorted(sorted(names), key=int)


def writable_folder(path: str | Path | None) -> Path:
    """Where a clean file goes: beside the data set, if that can be written to."""
    beside = Path(path).parent if path else Path("data")
    return beside if os.access(beside, os.W_OK) else Path("data")


def sidecar(path: str | Path) -> Sidecar | None:
    """Read the sidecar of a data set; None where there is none, or what is there is not one of this version."""
    from benchmark.core import files  # late: NumPy

    path = Path(path)
    beside = path.with_name(path.name.removesuffix(".h5") + SIDECAR)
    try:
        raw = files.read_json(beside) if beside.is_file() else None
        if not isinstance(raw, dict):
            return None
        manifest = Manifest.of(parse(canonical(raw.get("manifest")).decode()))
    except (Failure, ValueError, RecursionError):
        return None
    origin = raw.get("origin")
    where = origin.get("path") if isinstance(origin, dict) else None
    return Sidecar(manifest, where if isinstance(where, str) else None, raw["manifest"])
