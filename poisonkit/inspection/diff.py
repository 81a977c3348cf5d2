"""The differences between two files, field by field and row by row: `poisonkit diff`."""

from pathlib import Path

import numpy as np

from poisonkit.core import modality
from poisonkit.format import reader
from poisonkit.format.manifest import describe
from poisonkit.format.reader import Reader

NAMED = 8  # differing rows whose numbers `diff` says


def differences(left: Path, right: Path) -> list[str]:
    """Return what differs between two files: the recipe's values, then each array with the number of rows."""
    with reader.reading(left, vouch=False) as a, reader.reading(right, vouch=False) as b:
        skip = ("arrays", "dataset_digest", "notice")
        here, there = ({key: value for key, value in one.manifest.json.items() if key not in skip} for one in (a, b))
        found = list(describe(here, there))
        for path in sorted(a.manifest.arrays.keys() | b.manifest.arrays.keys()):
            found += _array(a, b, path)
    return found


def _array(a: Reader, b: Reader, path: str) -> list[str]:
    here, there = a.manifest.arrays.get(path), b.manifest.arrays.get(path)
    if here is None or there is None:
        return [f"{path}: only in the {'second' if here is None else 'first'}"]
    if here.shape != there.shape:
        return [f"{path}: {list(here.shape)} here, {list(there.shape)} there"]
    differing, first = 0, list[str]()
    for start, block in a.blocks(path):
        found = np.flatnonzero(modality.differs(block, b.rows(path, start, start + len(block))))
        first += [str(start + row) for row in found[: NAMED - len(first)]]
        differing += len(found)
    named = "" if path.startswith("trigger/") else f" ({', '.join(first)}{', …' if differing > len(first) else ''})"
    return [f"{path}: {differing:,} of {here.shape[0]:,} rows differ{named}"] if differing else []
