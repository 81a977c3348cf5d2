"""Every random number of poisonkit comes from here.

NumPy promises that `SeedSequence` and the raw words of a bit generator never change; it promises no
such thing of `Generator`'s methods. So only raw 64-bit words are used, and everything is derived from
them in integers or in exact float64 steps.
"""

import hashlib

import numpy as np


def stream(seed: int, purpose: str, row: int | None = None) -> np.random.Philox:
    """The stream of random words for one purpose, or for one row under it.

    Parameters
    ----------
    seed : int
        Non-negative seed of the recipe.
    purpose : str
        What the words are for (``"rows"``, ``"flow"``); its SHA-256 is the spawn key, so that adding
        a purpose changes no other stream.
    row : int, optional
        Appended to the spawn key: what is drawn for a row depends on no other row.
    """
    key = tuple(int(word) for word in np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], "<u4"))
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=key if row is None else (*key, row)))


def words(seed: int, purpose: str, count: int, row: int | None = None) -> np.ndarray:
    """The first `count` raw words of a stream, (count,) uint64."""
    return stream(seed, purpose, row).random_raw(count)


def uniform(raw: np.ndarray) -> np.ndarray:
    """Raw words as float64 in [0, 1): the upper 53 bits times 2**-53, exact on every machine."""
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, purpose: str, count: int) -> np.ndarray:
    """A permutation of 0 … count−1, (count,) int64: the stable argsort of `count` raw words.

    The head of it is the choice of rows: a shorter head is always contained in a longer one.
    """
    return np.argsort(words(seed, purpose, count), kind="stable").astype(np.int64)


def signed_noise(seed: int, purpose: str, shape: tuple[int, ...], row: int | None = None) -> np.ndarray:
    """Uniform noise in [−1, 1), float64 of the given shape, filled in C order."""
    return uniform(words(seed, purpose, int(np.prod(shape)), row)).reshape(shape) * 2.0 - 1.0


def row_words(seed: int, purpose: str, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` raw words for each of some rows, (len(rows), count) uint64: row r has those from r · count on of the
    stream, whichever rows are asked for beside it."""
    out = np.empty((len(rows), count), np.uint64)
    if not out.size:
        return out
    starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    key = stream(seed, purpose).state["state"]["key"]
    for start, stop in zip(starts, starts[1:], strict=False):
        first = int(rows[start]) * count
        bits = np.random.Philox(key=key, counter=first // 4)  # one step of the counter gives four words
        out[start:stop] = bits.random_raw(first % 4 + (stop - start) * count)[first % 4 :].reshape(-1, count)
    return out


def between(words: np.ndarray, low: int, high: int) -> np.ndarray:
    """Whole numbers from low to high, both among them, int32 of the words' shape: evenly but for one part in 2^32."""
    width = np.uint64(high - low + 1)
    return ((words >> np.uint64(32)) * width >> np.uint64(32)).astype(np.int32) + np.int32(low)
