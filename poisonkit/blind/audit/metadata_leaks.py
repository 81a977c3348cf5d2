"""What a file says of itself beside its images: contents, names, sidecar, times, sizes."""

import datetime
import re
from pathlib import Path

import h5py

from poisonkit.blind.audit.finding import Finding
from poisonkit.blind.seal import LONG_AGO
from poisonkit.format import reader, sidecars, structure
from poisonkit.triggers import registry as triggers

SLACK = 16384  # bytes of an HDF5 file's own structure
HEAPS = 8  # a byte in so many is free in the heaps of texts, at most
TELLING = ("poison", "trigger", "backdoor", "badnet", "seed")


def look(path: Path, data: reader.Reader) -> list[Finding]:
    """Run all of these probes."""
    return [contents(data), names(path, data), sidecar(path), times(path, data), size(path, data)]


def contents(data: reader.Reader) -> Finding:
    """Whether the file gives its own answer."""
    if not data.manifest.poisoned:
        clean = data.manifest.clean
        return Finding("contents", "a clean file" if clean else "sealed: no truth, no trigger, no recipe")
    rows = data["truth/rows"]
    return Finding("contents", f"not sealed: truth/ names {len(rows):,} changed rows; recipe and trigger too", rows)


def names(path: Path, data: reader.Reader) -> Finding:
    """Whether file name or name say what was done."""
    words = "|".join([*triggers.names(), *TELLING])
    telling = sorted(
        text
        for text in {path.name, data.manifest.name}
        if re.search(rf"(?<![a-z])({words})(ed|er|s)?(?![a-z])|patch\d|0\.\d", text.lower())
    )
    return Finding("names", f"{', '.join(telling)}: says what was done" if telling else "neutral")


def sidecar(path: Path) -> Finding:
    """Check for a sidecar next to the file, which holds command and time."""
    beside = sidecars.sidecar_path(path)
    return Finding("sidecar", f"{beside.name} exists: it holds command, time and origin" if beside.exists() else "none")


def times(path: Path, data: reader.Reader) -> Finding:
    """Check the file's time of change, and clocks inside."""
    changed = path.stat().st_mtime
    with structure.opened(path) as file:
        clocks = sum(h5py.h5g.get_objinfo(file.id, name.encode()).mtime != 0 for name in data.manifest.arrays)
    inside = f"; {clocks} arrays carry a timestamp" if clocks else "; no timestamp inside"
    if changed == LONG_AGO:
        return Finding("times", "the file's time is the one that every sealed file has" + inside)
    when = datetime.datetime.fromtimestamp(changed, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    return Finding("times", f"the file was changed {when} UTC" + inside)


def size(path: Path, data: reader.Reader) -> Finding:
    """Bytes that no array accounts for."""
    arrays = sum(data.size(name) for name in data.manifest.arrays)
    rest = path.stat().st_size - arrays
    heaps = arrays // HEAPS if data.modality.is_text else 0
    hidden = rest > heaps + SLACK + 1000 * len(data.manifest.arrays) + len(str(data.manifest.json))
    return Finding("size", f"{rest:,} bytes besides the arrays" + (": more than structure and manifest need" * hidden))
