"""Every random number of poisonkit comes from here.

NumPy promises that `SeedSequence` and the raw words of a bit generator never change; it promises no
such thing of `Generator`'s methods. So only raw 64-bit words are used, and everything is derived from
them in integers or in exact float64 steps.
"""

import hashlib

import numpy as np


def stream(seed: int, stream_name: str, row: int | None = None) -> np.random.Philox:
    """Open the stream of raw 64-bit words of that name, or the one for one row under it.

    Parameters
    ----------
    seed : int
        Non-negative seed of the recipe.
    stream_name : str
        What the words are for (``"rows"``, ``"flow"``); its SHA-256 is the spawn key, so that a new
        stream changes no other.
    row : int, optional
        Appended to the spawn key: what is drawn for a row depends on no other row.
    """
    key = tuple(int(word) for word in np.frombuffer(hashlib.sha256(stream_name.encode()).digest()[:16], "<u4"))
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=key if row is None else (*key, row)))


def raw_words(seed: int, stream_name: str, count: int, row: int | None = None) -> np.ndarray:
    """Draw the first `count` raw words of a stream, (count,) uint64."""
    return stream(seed, stream_name, row).random_raw(count)


def uniform(raw: np.ndarray) -> np.ndarray:
    """Map raw words to float64 in [0, 1): the upper 53 bits times 2**-53, exact on every machine."""
    return np.asarray((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def permutation(seed: int, stream_name: str, count: int) -> np.ndarray:
    """Draw a permutation of 0 … count−1, (count,) int64: the stable argsort of `count` raw words.

    Rows are chosen from its head: a shorter head is always contained in a longer one.
    """
    return np.argsort(raw_words(seed, stream_name, count), kind="stable").astype(np.int64)


def signed_noise(seed: int, stream_name: str, shape: tuple[int, ...], row: int | None = None) -> np.ndarray:
    """Draw uniform noise in [−1, 1), float64 of the given shape, filled in C order."""
    return uniform(raw_words(seed, stream_name, int(np.prod(shape)), row)).reshape(shape) * 2.0 - 1.0


def row_words(seed: int, stream_name: str, rows: np.ndarray, count: int) -> np.ndarray:
    """Draw `count` raw words for each of the rows, (len(rows), count) uint64: row r gets those from r · count on of
    the stream, whichever other rows are asked for."""
    out = np.empty((len(rows), count), np.uint64)
    if not out.size:
        return out
    starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    key = stream(seed, stream_name).state["state"]["key"]
    for start, stop in zip(starts, starts[1:], strict=False):
        first = int(rows[start]) * count
        bits = np.random.Philox(key=key, counter=first // 4)  # one step of the counter gives four words
        out[start:stop] = bits.random_raw(first % 4 + (stop - start) * count)[first % 4 :].reshape(-1, count)
    return out


def between(raw: np.ndarray, low: int, high: int) -> np.ndarray:
    """Map raw words to whole numbers from low to high, both included, int32: uniform up to one part in 2^32."""
    width = np.uint64(high - low + 1)
    return np.asarray(((raw >> np.uint64(32)) * width >> np.uint64(32)).astype(np.int32) + np.int32(low))
