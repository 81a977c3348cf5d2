"""Reads pickles that hold plain containers and NumPy arrays, and nothing else.

Nothing that a pickle names is ever imported: the few names that such a pickle needs are stand-ins defined here, made
anew for each pickle, and arrays are built from their raw bytes, so that neither code nor NumPy's own
`__setstate__` meets what a stranger wrote.
"""

import io
import pickle
from typing import Any, Literal

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.core.texts import printable

LARGEST = 128 << 20  # bytes; a CIFAR-10 batch has 31 MB, and 45 where Python 3 has written it
DTYPES = {"u1": "u1", "i1": "i1", "i2": "<i2", "i4": "<i4", "i8": "<i8", "b1": "?"}


def load(data: bytes, where: str, largest: int = LARGEST):
    """Load the object in a pickle of at most so many bytes; its strings of Python 2 are bytes.

    Raises
    ------
    errors.Failure
        It names anything but an array (it may want to run code), or it is damaged.
    """
    if len(data) > largest:
        raise Failure(f"{where}: a pickle of {len(data)} bytes is too large, expected at most {largest}")
    try:
        return _unwrap(_Unpickler(io.BytesIO(data), where).load())
    except Failure:
        raise
    except Exception as error:  # a damaged pickle raises whatever its opcodes happen to hit
        raise Failure(f"{where} is a truncated or damaged pickle ({type(error).__name__})") from error


def describe(value) -> str:
    """Return what came instead, in a few words."""
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, where: str):
        super().__init__(file, encoding="bytes")
        self._where = where
        self._names = _stand_ins()

    def find_class(self, module: str, name: str):
        try:
            return self._names[module, name]
        except KeyError:
            wanted = printable(f"{module}.{name}")
            raise Failure(
                f"{self._where}: refused, this pickle asks for {wanted}; expected only arrays and containers"
            ) from None

    def persistent_load(self, _):
        raise Failure(f"{self._where}: refused, this pickle refers to something outside")


class _ArrayLike:
    """Marks the stand-ins' results, which differ in class from pickle to pickle."""


def _stand_ins() -> dict:
    class DType:
        def __init__(self, code="", *_):
            self.code = _ascii(code)
            self.order = "<"

        def __setstate__(self, state):
            self.order = _ascii(state[1])

    class Array(_ArrayLike):
        data: bytes = b""
        shape: tuple[int, ...] = (0,)
        dtype: Any = None
        order: Literal["C", "F"] = "C"

        def __setstate__(self, state):
            _, self.shape, self.dtype, fortran, self.data = state
            self.order = "F" if fortran else "C"

        def array(self) -> np.ndarray:
            if self.dtype.code not in DTYPES or self.dtype.order == ">" or not isinstance(self.data, bytes | bytearray):
                raise ValueError("only arrays of whole numbers")
            return np.frombuffer(self.data, DTYPES[self.dtype.code]).reshape(self.shape, order=self.order)

    def reconstruct(_kind, _shape, _code):
        return Array()

    def from_buffer(data, dtype, shape, order):
        array = Array()
        array.__setstate__((1, shape, dtype, order == "F", data))
        return array

    def encode(text, encoding):  # how Python 3 writes bytes in protocols 0 to 2
        if type(text) is not str or encoding != "latin1":
            raise ValueError("only bytes")
        return text.encode("latin1")

    names = {("numpy", "ndarray"): Array, ("numpy", "dtype"): DType, ("_codecs", "encode"): encode}
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = reconstruct
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
    return names


def _ascii(value) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value


def _unwrap(value):
    """Replace the stand-ins in the outer containers by arrays."""
    if isinstance(value, _ArrayLike):
        return value.array()
    if type(value) is dict:
        return {key: _unwrap(item) for key, item in value.items() if isinstance(key, str | bytes)}
    return value
