"""Canonical JSON and the digests of values, arrays and texts (data/FORMAT.md, "Digests")."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from poisonkit.core.modality import TEXT, is_text_dtype


def canonical(value: Any) -> bytes:
    """Canonical JSON: UTF-8, sorted keys, no white space. Floats are refused: their spelling is not unique."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"no floats in a manifest, got {value!r}")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _refuse_floats(child)


def sha256(data: bytes) -> str:
    """``"sha256:"`` and the hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return sha256(canonical(value))


class ArrayHash:
    """The digest of an array that arrives in blocks of rows.

    SHA-256 of ``"<dtype> <d0>,<d1>,…\\n"`` and the C-order bytes; dtype and shape are those of the whole array.
    """

    def __init__(self, dtype: str, shape: Sequence[int]):
        self._hash = hashlib.sha256(f"{dtype} {','.join(map(str, shape))}\n".encode())

    def update(self, block: np.ndarray) -> None:
        """Add a C-contiguous block of the array's own dtype."""
        self._hash.update(block.reshape(-1).view("u1").data)

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class TextHash:
    """The digest of an array of texts that arrives in blocks of rows.

    SHA-256 of, for each row, its length in bytes of UTF-8 as 8 bytes little-endian, then the bytes.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, block: Iterable[str]) -> None:
        """Add rows, an iterable of `str`."""
        for text in block:
            data = text.encode()
            self._hash.update(len(data).to_bytes(8, "little") + data)

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def hasher(dtype: str, shape: Sequence[int]) -> ArrayHash | TextHash:
    """Return what takes the digest of an array of that dtype, as the manifest spells it, and shape."""
    return TextHash() if is_text_dtype(dtype) else ArrayHash(dtype, shape)


def dtype_of(array: np.ndarray) -> str:
    """Return the dtype of an array as the manifest spells it."""
    return TEXT.dtype if array.dtype == object else array.dtype.str


def array_digest(array: np.ndarray) -> str:
    """Digest of a C-contiguous little-endian array, or of an array of texts."""
    total = hasher(dtype_of(array), array.shape)
    total.update(array)
    return str(total)
