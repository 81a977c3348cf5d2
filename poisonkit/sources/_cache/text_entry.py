"""The texts of an entry of the cache: one raw file of UTF-8 and their offsets."""

from pathlib import Path

import numpy as np

from poisonkit.core import hashing, texts
from poisonkit.core.errors import Failure
from poisonkit.core.splits import TextSplit, offsets_of


class TextPart:
    """One part of a source of texts that was written into the cache, as `entry.finish` asks for it."""

    def __init__(self, folder: Path, name: str, labels: np.ndarray, rows, where: str):
        """Strip and check the texts `rows`, an iterable of `str`, and write them; `where` names them in a `Failure`."""
        kept = [_row(text, f"{where} {number}") for number, text in enumerate(rows)]
        if len(kept) != len(labels):
            raise ValueError(f"{name}: {len(kept)} texts, {len(labels)} labels")
        self._split = TextSplit(folder / f"{name}_texts", offsets_of(kept), np.ascontiguousarray(labels, "<i8"))
        self._split.path.write_bytes(b"".join(kept))
        (folder / f"{name}_offsets").write_bytes(self._split.offsets.tobytes())

    def finish(self) -> tuple[TextSplit, dict[str, str]]:
        """Return the part as a split, and the digests of its texts and labels."""
        return self._split, {"texts": self._split.digest(), "labels": hashing.array_digest(self._split.labels)}


def _row(text: str, where: str) -> bytes:
    """Return a text, stripped, in UTF-8."""
    stripped = text.strip()
    if wrong := texts.problem(stripped):
        raise Failure(f"{where} {wrong}")
    return stripped.encode()


def load(folder: Path, part: str, shape: list[int], arrays: dict) -> TextSplit:
    """Load one part of an entry of the cache; `ValueError` if its files are not what the index says. Texts are few
    bytes: they are checked in full."""
    digest = arrays[f"{part}/texts"]
    labels, offsets = (np.fromfile(folder / f"{part}_{kind}", "<i8") for kind in ("labels", "offsets"))
    split = TextSplit(folder / f"{part}_texts", offsets, labels)
    size = split.path.stat().st_size
    if [len(labels)] != shape or offsets.shape != (len(labels) + 1,) or (offsets[0], offsets[-1]) != (0, size):
        raise ValueError(f"{folder}: wrong size")
    if (np.diff(offsets) <= 0).any() or hashing.array_digest(labels) != arrays[f"{part}/labels"]:
        raise ValueError(f"{folder}: wrong labels or offsets")
    try:
        damaged = split.digest() != digest
    except Failure:
        damaged = True
    if damaged:
        raise ValueError(f"{folder}: wrong texts")
    return split
