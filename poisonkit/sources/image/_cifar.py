"""What CIFAR-10 and CIFAR-100 have in common: pictures as planes, and the dictionaries of the python version."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.sources._fetch import plain_pickle

PIXELS = 32 * 32 * 3


def pictures(rows: np.ndarray) -> np.ndarray:
    """Return rows of 1024 red, 1024 green, 1024 blue bytes as images (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def dictionary(data: bytes, where: str, largest: int = plain_pickle.LARGEST) -> dict[str, Any]:
    """Return the dictionary of a file of the python version, of at most so many bytes, with text for keys."""
    batch = plain_pickle.load(data, where, largest)
    if not isinstance(batch, dict):
        raise Failure(f"{where}: expected a dictionary with data and labels")
    return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}


def planes(batch: dict[str, Any], count: int, where: str) -> np.ndarray:
    """Return the `data` of such a dictionary, (count, 3072) uint8."""
    rows = batch.get("data")
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != (count, PIXELS):
        raise Failure(f"{where}: expected data to be ({count}, {PIXELS}) uint8, got {plain_pickle.describe(rows)}")
    return rows


def labels(batch: dict[str, Any], key: str, count: int, where: str) -> list[int]:
    """Return a list of labels of such a dictionary."""
    found = batch.get(key)
    found = found.tolist() if isinstance(found, np.ndarray) else found
    if not isinstance(found, list) or len(found) != count or not all(type(label) is int for label in found):
        raise Failure(f"{where}: expected {key} to be a list of {count} whole numbers")
    return found


def checked(labels: Sequence[int] | np.ndarray, classes: int, where: str) -> np.ndarray:
    """Return labels as (n,) uint8; `Failure` where one is of no class."""
    if min(labels) < 0 or max(labels) >= classes:
        wrong = next(label for label in labels if not 0 <= label < classes)
        raise Failure(f"{where}: label {wrong} is out of range, expected 0 to {classes - 1}")
    return np.asarray(labels, np.uint8)
