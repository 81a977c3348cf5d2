"""What a set says of its own rows, without any other data: order, duplicates, sizes, flat areas, neighbours."""

import numpy as np

from poisonkit.blind.audit.finding import Finding, count
from poisonkit.blind.audit.fingerprints import Digests, Signatures, unit
from poisonkit.blind.audit.record_matching import ROWS, best_of_each

SORTED = 0.9  # share of rows with the label of the row before, from which on labels are in order
NEIGHBOURS, CLOSE = 3, 0.95  # nearest neighbours that must agree, and their least correlation
FILMS = 0.5  # share of rows that have so near neighbours, in a set of films
AT_LEAST, EVEN, MOST = 8, 0.5, 0.8  # rows with a square at a place; as often as at another; share of all of its kind
UNUSUAL = 6.0  # widths of the middle half, beyond which a size is unusual


def order(labels: np.ndarray) -> Finding:
    """Whether the labels are sorted, and then the rows whose label differs from both its neighbours', which agree."""
    same = labels[1:] == labels[:-1]
    share = float(same.mean()) if len(same) else 0.0
    counts = np.bincount(labels) / max(1, len(labels))
    chance = float((counts**2).sum())
    text = f"{share:.1%} of the rows have the label of the row before ({chance:.1%} by chance)"
    if share < SORTED:
        return Finding("label order", text)
    before, after = labels[:-2], labels[2:]
    rows = np.flatnonzero((before == after) & (labels[1:-1] != before)) + 1
    return Finding("label order", f"{text}: sorted; {count(rows, 'stand out')}", rows)


def duplicates(ours: Digests) -> Finding:
    """Rows of the same bytes; of those with several labels, the ones that the most of them do not have."""
    groups: dict[bytes, list[int]] = {}
    for row, digest in enumerate(ours.hashes):
        groups.setdefault(digest, []).append(row)
    several = [copies for copies in groups.values() if len(copies) > 1]
    odd: list[int] = []
    for copies in several:
        votes = np.bincount(ours.labels[copies])
        if (votes > 0).sum() > 1:
            most = votes == votes.max()
            odd += [row for row in copies if not most[ours.labels[row]] or most.sum() > 1]
    rows = np.array(sorted(odd), np.int64)
    text = f"{sum(map(len, several)):,} rows occur more than once; {count(rows, 'under another label than a copy')}"
    return Finding("duplicates", text, rows)


def compressed(ours: Digests) -> Finding:
    """Rows that zlib packs much smaller or larger than the others."""
    low, middle, high = np.percentile(ours.packed, [25, 50, 75])
    rows = np.flatnonzero(np.abs(ours.packed - middle) > UNUSUAL / 2 * max(1.0, high - low))
    return Finding("compressed size", f"median {middle:,.0f} bytes; {count(rows, 'far from it')}", rows, sure=False)


def squares(ours: Signatures) -> Finding:
    """Rows with a flat square of one size and colour at one of few places, where most such squares of the set are."""
    kinds, group, counts = np.unique(ours.squares[:, 1:], axis=0, return_inverse=True, return_counts=True)
    group, often = group.reshape(-1), np.zeros(len(kinds), bool)
    for side, colour in np.unique(kinds[:, [0, 3]], axis=0):
        alike = np.flatnonzero((kinds[:, 0] == side) & (kinds[:, 3] == colour))
        many = counts[alike] >= max(AT_LEAST, counts[alike].max() * EVEN)
        if counts[alike][many].sum() >= MOST * counts[alike].sum():
            often[alike[many]] = True
    rows = np.unique(ours.squares[often[group], 0])
    text = f"{len(ours.squares):,} squares of one colour; {int(often.sum()):,} places have most of their kind"
    return Finding("flat squares", f"{text}; {count(rows, 'have it there')}", rows)


def neighbours(ours: Signatures, step=None) -> Finding:
    """Rows whose nearest neighbours look almost the same and agree on another label. They count as found in a set of
    films, where most rows have such neighbours; elsewhere like images of several classes exist by chance."""
    base, alone = unit(ours.small), 0
    found: list[np.ndarray] = []
    for start in range(0, len(ours), ROWS):
        block = base[start : start + ROWS]
        places, values = best_of_each(block, base, itself=start)
        nearest = np.argsort(-values, 1, kind="stable")[:, :NEIGHBOURS]
        labels = ours.labels[np.take_along_axis(places, nearest, 1)]
        close = (np.take_along_axis(values, nearest, 1) >= CLOSE).all(1) & (nearest.shape[1] == NEIGHBOURS)
        agree = close & (labels == labels[:, :1]).all(1)
        alone += int((~close).sum())
        found.append(np.flatnonzero(agree & (labels[:, 0] != ours.labels[start : start + len(block)])) + start)
        if step:
            step(len(block))
    rows = np.concatenate(found)
    others = count(rows, "they all have another label")
    text = f"{len(ours) - alone:,} rows have {NEIGHBOURS} near-duplicates; of {others}"
    return Finding("neighbours", text, rows, sure=len(ours) - alone >= FILMS * len(ours))
