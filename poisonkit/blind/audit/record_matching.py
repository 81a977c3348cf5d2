"""Which image of a clean source each row is: by its bytes, and by its looks."""

from dataclasses import dataclass

import numpy as np

from poisonkit.blind.audit.fingerprints import Digests, Signatures, unit

ROWS, COLUMNS = 2048, 4096  # a block of correlations: 32 MB
STRIDES = 8  # at least, since each gives one candidate
KEPT = 4  # candidates of a row that are looked at closer
CLOSE = 10  # grey levels that a cell of the same image may differ by
ALIKE = 0.5  # share of cells that must be close, for it to be the same image
BARELY, CORRELATED = 0.2, 0.9  # or this share, where the best correlation is at least that: contrasts move cells far
SAMPLE = 256


@dataclass(frozen=True)
class Match:
    """For each row the row of the other set that it is, −1 where none was found, (n,) int64; and those that were
    considered, the likeliest first, (n, k) int64."""

    rows: np.ndarray
    candidates: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(n,) bool: rows with a counterpart."""
        return self.rows >= 0

    @property
    def share(self) -> float:
        """Of all rows, those with a counterpart."""
        return float(self.found.mean()) if len(self.rows) else 0.0


def exact(ours: Digests, theirs: Digests) -> Match:
    """Rows whose very bytes are in the other set; of several the one with our label, else the first."""
    places: dict[bytes, list[int]] = {}
    for row, digest in enumerate(theirs.hashes):
        places.setdefault(digest, []).append(row)
    rows = np.full(len(ours), -1, np.int64)
    for row, digest in enumerate(ours.hashes):
        there = places.get(digest, ())
        same = [one for one in there if theirs.labels[one] == ours.labels[row]]
        if there:
            rows[row] = (same or there)[0]
    return Match(rows, rows[:, None])


def near(ours: Signatures, theirs: Signatures, step=None) -> Match:
    """Rows that look like one of the other set: the greatest correlation of the small grey images picks candidates,
    the share of cells that agree decides. `step(n)` hears of the rows that are done."""
    base, rows, considered = unit(theirs.small), [np.empty(0, np.int64)], [np.empty((0, KEPT), np.int64)]
    for start in range(0, len(ours), ROWS):
        block = ours.small[start : start + ROWS]
        places, correlations = best_of_each(unit(block), base)
        chosen = np.argsort(-correlations, 1, kind="stable")[:, :KEPT]
        candidates = np.take_along_axis(places, chosen, 1)
        close = np.abs(theirs.small[candidates].astype(np.int16) - block[:, None]) <= CLOSE
        share = close.mean(-1, dtype=np.float32)
        enough = np.where(correlations.max(1) >= CORRELATED, BARELY, ALIKE)
        order = np.argsort(-share, 1, kind="stable")
        candidates = np.take_along_axis(candidates, order, 1)
        rows.append(np.where(share.max(1) >= enough, candidates[:, 0], -1))
        considered.append(np.pad(candidates, ((0, 0), (0, KEPT - candidates.shape[1])), "edge"))
        if step:
            step(len(block))
    return Match(np.concatenate(rows), np.concatenate(considered))


def best_of_each(block: np.ndarray, base: np.ndarray, itself: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """In each stride of the other set, the row of the greatest correlation with each of ours, and that correlation:
    two arrays (n, strides). `itself`: our first row's number, where the other set is our own."""
    strides = min(len(base), max(STRIDES, -(-len(base) // COLUMNS)))
    places = np.empty((len(block), strides), np.int64)
    values = np.empty((len(block), strides), np.float32)
    for stride in range(strides):
        product = block @ base[stride::strides].T
        if itself is not None:
            ours = np.arange(itself, itself + len(block))
            inside = np.flatnonzero(ours % strides == stride)
            product[inside, ours[inside] // strides] = -2
        column = product.argmax(1)
        places[:, stride] = column * strides + stride
        values[:, stride] = product[np.arange(len(block)), column]
    return places, values


def sample(ours: Signatures, theirs: Signatures) -> float:
    """Which share of some rows is found by its looks."""
    some = np.unique(np.linspace(0, len(ours) - 1, min(SAMPLE, len(ours))).astype(int))
    return near(ours.subset(some), theirs).share
