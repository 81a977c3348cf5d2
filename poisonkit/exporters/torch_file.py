"""What `torch.save` writes, for a vector of labels and for a list of row numbers, without torch.

Such a file is an uncompressed zip: `archive/data.pkl` rebuilds the object, `archive/data/0` holds a tensor's bytes,
`archive/byteorder` and `archive/version` say how. The pickle here is put together by hand and names nothing but
`torch._utils._rebuild_tensor_v2`, `torch.LongStorage` and `collections.OrderedDict`, so `torch.load` takes it with
`weights_only=True`, its default since 2.6.

Source: torch/serialization.py (`_save`, `_load`) in pytorch/pytorch; Python's pickletools for the opcodes.
"""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

EPOCH = (1980, 1, 1, 0, 0, 0)


def save_labels(path: Path, labels: np.ndarray) -> None:
    """Write a `torch.LongTensor` of shape (N,), from whole numbers."""
    labels = np.ascontiguousarray(labels, "<i8")
    _write(path, _tensor(len(labels)), labels.tobytes())


def save_rows(path: Path, rows: np.ndarray) -> None:
    """Write a Python list of ints."""
    _write(path, pickle.dumps([int(row) for row in rows], protocol=2), None)


def _tensor(count: int) -> bytes:
    """Return the pickle of a contiguous vector of `count` int64 in storage 0 (protocol 2)."""
    storage = b"(" + _text("storage") + b"ctorch\nLongStorage\n" + _text("0") + _text("cpu") + _int(count) + b"tQ"
    shape, stride = _int(count) + b"\x85", _int(1) + b"\x85"
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = b"(" + storage + _int(0) + shape + stride + b"\x89" + hooks + b"t"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _write(path: Path, rebuild: bytes, content: bytes | None) -> None:
    members = [("data.pkl", rebuild), ("byteorder", b"little"), ("version", b"3\n")]
    if content is not None:
        members.insert(2, ("data/0", content))
    with zipfile.ZipFile(path, "w") as file:
        for name, value in members:
            info = zipfile.ZipInfo(f"archive/{name}", EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, value)
