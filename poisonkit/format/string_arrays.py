"""Check the texts of a foreign file, in the child process that checks its structure (see `structure`).

HDF5 keeps for each row a reference: its length (4 bytes), where the heap lies that has it (8), its number there (4).
The lengths are read first, past libhdf5, so that nothing is read that is too long, or that a NUL would cut short.
"""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from poisonkit.core import texts
from poisonkit.format import schema

REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
ROWS_AT_ONCE = 2048
HEADER = 16  # bytes of an object in a heap beside its own, which are padded to 8


def is_text(dataset: h5py.Dataset) -> bool:
    """Whether a dataset is one of texts of any length, in UTF-8."""
    form = h5py.check_string_dtype(dataset.dtype)
    return form is not None and form.length is None and form.encoding == "utf-8"


def problem(path: Path, name: str, dataset: h5py.Dataset, alive: Callable[[], object]) -> str | None:
    """Return what is wrong with an array of texts, all of which are read; None where nothing is. `alive` is called
    after each block of rows."""
    lengths, most = _lengths(path, dataset), schema.limit("text_bytes")
    if lengths is None:
        return f"{name} is cut off"
    if lengths.sum(dtype=np.int64) > os.path.getsize(path):
        return f"{name} says of its texts that they are longer than the file"
    for start in range(0, len(lengths), ROWS_AT_ONCE):
        if lengths[start : start + ROWS_AT_ONCE].max() > most:
            row = start + int(lengths[start : start + ROWS_AT_ONCE].argmax())
            return f"{name}: row {row} has {lengths[row]:,} bytes, more than {schema.limit('text_bytes'):,}"
        for row, data in enumerate(dataset[start : start + ROWS_AT_ONCE], start):
            if wrong := _wrong(data, int(lengths[row])):
                return f"{name}: row {row} {wrong}"
        alive()
    return None


def size(path: Path, dataset: h5py.Dataset) -> int:
    """Bytes of an array of texts in its file: references, and for each text an object of the heap."""
    references = _lengths(path, dataset)
    if references is None:
        raise OSError(f"{dataset.name} is cut off")
    lengths = references.astype(np.int64)
    return int(len(lengths) * REFERENCE.itemsize + (HEADER + -(-lengths // 8) * 8).sum())


def _lengths(path: Path, dataset: h5py.Dataset) -> np.ndarray | None:
    """Return the length of each text as its reference has it, (n,); None where the references are not all there."""
    offset, count = dataset.id.get_offset(), dataset.shape[0]
    if offset is None or dataset.id.get_storage_size() != count * REFERENCE.itemsize:
        return None
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(count * REFERENCE.itemsize)
    return np.frombuffer(data, REFERENCE)["length"] if len(data) == count * REFERENCE.itemsize else None


def _wrong(data: bytes, length: int) -> str | None:
    """Return what is wrong with one row."""
    if len(data) != length:
        return "has a NUL in it"
    try:
        return texts.problem(data.decode(), schema.limit("text_bytes"))
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start})"
