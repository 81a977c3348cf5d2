"""The commands that make the clean file of a data set."""

import os
import re
from pathlib import Path
from typing import Any

from benchmark.core.errors import Failure
from benchmark.core.hints import Open, advice, place, spelled

Json = dict[str, Any]

BROUGHT = ("folder", "npz", "csv")
"""The sources whose data the user brings: `poisonkit make` finds no others by itself."""


@advice
def clean_file(path: Path, manifest: Json) -> str:
    """Return the command that makes the clean file of a data set's source, beside it."""
    source = manifest["source"]
    known, origin = source.get("options"), sidecar(path).get("origin", {})
    where = source.get("digest", ""), writable_folder(path), source.get("classes")
    return spelled(make_clean(source["name"], known, origin, *where)[0])


def make_clean(
    name: str, known: Json | None, origin: Json, digest: str, folder: Path, classes: list[str] | None
) -> tuple[list[str], str]:
    """Return the command, and the file that it makes. `known` are the source's options, None where they are not
    known."""
    words, path = ["poisonkit", "make", "--dataset", name], origin.get("path")
    if isinstance(path, str) and os.path.exists(path):
        words += ["--source", place(path, "what it was made from", "PATH")]
    elif name in BROUGHT:
        words += ["--source", Open("PATH", "what it was made from")]
    options = dict(known or {})
    if "camouflage" in options:
        words += ["--camouflage", str(options.pop("camouflage")), "--camouflage-seed", Open("N", "its secret seed")]
        options.pop("camouflage-seed", None)
    if name == "folder" and known is not None and "version" not in known and _in_text_order(classes):
        options["version"] = 1
    for key, value in options.items():
        words += ["--source-option", f"{key}={value}"]
    if known is None and name not in ("cifar10", "gtsrb", "sst2"):
        words.append(Open("[OPTIONS]", "of the source, as they were then"))
    part = f"-{digest.removeprefix('sha256:')[:8]}" if known else ""
    target = place(folder / f"{name}-clean{part}.h5", "the clean data set")
    return [*words, "--rate", "0", "-o", target], target


def _in_text_order(classes: object) -> bool:
    """Whether classes are whole numbers in the order of their code points, as the first version of a folder has them,
    which no manifest names."""
    names = classes if isinstance(classes, list) else []
    numbers = all(isinstance(name, str) and re.fullmatch("-?[0-9]{1,255}", name) for name in names)
    return numbers and names != sorted(sorted(names), key=int)


def writable_folder(path: str | Path | None) -> Path:
    """Where a clean file goes: beside the data set, if that can be written to."""
    beside = Path(path).parent if path else Path("data")
    return beside if os.access(beside, os.W_OK) else Path("data")


def sidecar(path: str | Path) -> Json:
    """Return what the sidecar of a data set says; nothing where there is none."""
    from benchmark.core import files  # late: NumPy

    path = Path(path)
    beside = path.with_name(path.name.removesuffix(".h5") + ".manifest.json")
    try:
        said = files.read_json(beside) if beside.is_file() else {}
    except Failure:
        return {}
    sound = isinstance(said, dict) and isinstance(said.get("manifest"), dict)
    return said if sound and isinstance(said.get("origin", {}), dict) else {}
