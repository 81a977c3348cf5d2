"""One part of a source of texts, with the same sides as `base.Split`: written while it is decoded, read in blocks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core import text as texts
from poisonkit.core.errors import Failure
from poisonkit.format import manifest


@dataclass(frozen=True)
class TextSplit:
    """The texts of one part (train or test), row after row in one stretch of UTF-8.

    `offsets` (N + 1,) int64 say where in it each row begins, and the last one ends. The stretch is the file at `path`,
    or `stretch`, where it is held in memory.
    """

    path: Path
    offsets: np.ndarray
    labels: np.ndarray
    stretch: bytes | None = None

    @classmethod
    def held(cls, path: Path, block: np.ndarray, labels: np.ndarray) -> "TextSplit":
        """Texts (N,) object that are in memory already; `path` is named where something is wrong with them."""
        rows = [text.encode() for text in block]
        return cls(path, offsets_of(rows), labels, b"".join(rows))

    @property
    def shape(self) -> tuple[int]:
        """(N,): a text has no dimensions of its own."""
        return (len(self.labels),)

    def __len__(self) -> int:
        return len(self.labels)

    def blocks(self, rows: int = 2048):
        """Yield (first row, texts (n,) object) over the whole split, `rows` at once."""
        for start in range(0, len(self), rows):
            yield start, self.rows(np.arange(start, min(start + rows, len(self))))

    def rows(self, index) -> np.ndarray:
        """The texts of the given rows, (len(index),) object of `str`."""
        if not len(index):
            return np.empty(0, object)
        ends = self.offsets[np.asarray(index)], self.offsets[np.asarray(index) + 1]
        first = int(ends[0].min())
        part = self._bytes(first, int(ends[1].max()))
        try:
            return texts.array(part[a - first : b - first].decode() for a, b in zip(*ends, strict=True))
        except UnicodeDecodeError:
            raise Failure(f"{self.path}: its texts are no UTF-8: the file is damaged") from None

    def _bytes(self, start: int, stop: int) -> bytes:
        if self.stretch is not None:
            return self.stretch[start:stop]
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                data = file.read(stop - start)
        except FileNotFoundError:
            raise Failure(f"{self.path} is gone: the cache was cleared meanwhile; start again") from None
        if len(data) != stop - start:
            raise Failure(f"{self.path} is shorter than its index says; delete it and start again")
        return data

    def digest(self) -> str:
        """The digest of the texts."""
        total = manifest.TextHash()
        for _, block in self.blocks():
            total.update(block)
        return str(total)


def offsets_of(rows: list[bytes]) -> np.ndarray:
    """Where each of some rows begins in the stretch, and where the last ends, (n + 1,) int64."""
    offsets = np.zeros(len(rows) + 1, "<i8")
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return offsets


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
        """The part as a split, and the digests of its texts and labels."""
        return self._split, {"texts": self._split.digest(), "labels": manifest.array_digest(self._split.labels)}


def _row(text: str, where: str) -> bytes:
    """A text, stripped, in UTF-8."""
    stripped = text.strip()
    if wrong := texts.problem(stripped):
        raise Failure(f"{where} {wrong}")
    return stripped.encode()


def load(folder: Path, part: str, shape: list[int], arrays: dict) -> TextSplit:
    """One part of an entry of the cache; `ValueError` if its files are not what the index says. Texts are few bytes:
    they are checked in full."""
    digest = arrays[f"{part}/texts"]
    labels, offsets = (np.fromfile(folder / f"{part}_{kind}", "<i8") for kind in ("labels", "offsets"))
    split = TextSplit(folder / f"{part}_texts", offsets, labels)
    size = split.path.stat().st_size
    if [len(labels)] != shape or offsets.shape != (len(labels) + 1,) or (offsets[0], offsets[-1]) != (0, size):
        raise ValueError(f"{folder}: wrong size")
    if (np.diff(offsets) <= 0).any() or manifest.array_digest(labels) != arrays[f"{part}/labels"]:
        raise ValueError(f"{folder}: wrong labels or offsets")
    try:
        damaged = split.digest() != digest
    except Failure:
        damaged = True
    if damaged:
        raise ValueError(f"{folder}: wrong texts")
    return split
