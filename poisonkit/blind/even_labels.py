"""`seal --even-labels`: which clean rows are left out so that the label histogram does not tell the target.

Poisoned rows stand under other labels than the clean data's, whose class sizes everybody knows. So of every class some
rows that nothing was done to are left out, until each class has the same share f of its clean size, rounded down.
"""

from fractions import Fraction

import numpy as np

from poisonkit.core import random_streams
from poisonkit.core.errors import Usage

STREAM = "seal/left"


def largest(seen: np.ndarray, clean: np.ndarray) -> Fraction:
    """Return the largest f, at most 1, such that every class has f · its clean size; `seen` and `clean` are its
    sizes."""
    return min(Fraction(1), *(Fraction(int(n), int(m)) for n, m in zip(seen, clean, strict=True) if m))


def left_out(
    labels: np.ndarray, rows: np.ndarray, originals: np.ndarray, number: int, share: Fraction | None = None
) -> tuple[np.ndarray, Fraction]:
    """Return the rows to leave out, ascending, (L,) int64, and f.

    Parameters
    ----------
    labels : ndarray
        The training set's labels as the victim sees them, (N,) int64.
    rows, originals : ndarray
        The changed rows, (P,) int64, and their labels before.
    number : int
        The secret number that the draw is from.
    share : Fraction, optional
        An f to take instead of the largest.

    Raises
    ------
    Usage
        Where f is larger than the largest, or a class would have to lose changed rows.
    """
    before, changed = labels.copy(), np.zeros(len(labels), bool)
    before[rows], changed[rows] = originals, True
    count = int(max(labels.max(), before.max())) + 1
    seen, clean, fixed = (np.bincount(one, minlength=count) for one in (labels, before, labels[changed]))
    most = largest(seen, clean)
    share = most if share is None else share
    if share > most:
        raise Usage(f"--even-share: the largest share that all classes have is {float(most):.6f}")
    wanted = np.array([int(share * int(size)) for size in clean])
    if (wanted < fixed).any():
        label = int(np.argmax(fixed - wanted))
        raise Usage(
            f"--even-labels: {fixed[label]:,} changed rows stand under label {label}, and evened out it would have "
            f"{wanted[label]:,}: take a lower rate, or leave the label as it is (--label-mode clean-label)"
        )
    if not wanted.any():
        raise Usage("--even-labels: no row would be left")
    order, surplus = random_streams.permutation(number, STREAM, len(labels)), seen - wanted
    order = order[~changed[order]]
    out = [order[labels[order] == label][:more] for label, more in enumerate(surplus.tolist())]
    return np.sort(np.concatenate(out)), share
