"""What a row of a data set is: an image or a text. Who must know asks here; everything else takes rows as they come.

A block of rows is an array whose first axis are the rows: images (n, H, W, C) uint8; texts (n,) object, of `str`. So
`block[inside]`, comparing and putting together are the same for both.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from poisonkit.core.errors import Failure

T = TypeVar("T")


@dataclass(frozen=True)
class Modality:
    """One kind of rows.

    Attributes
    ----------
    name : str
        What the manifest's `modality` says.
    rows : str
        How the arrays of rows are called in a file: ``train/images``, ``train/texts``.
    dtype : str
        Their dtype in the manifest's `arrays`.
    dimensions : int
        How many dimensions such an array has.
    """

    name: str
    rows: str
    dtype: str
    dimensions: int

    def path(self, group: str) -> str:
        """Return the path of a group's rows."""
        return f"{group}/{self.rows}"

    @property
    def form(self) -> tuple[str, int]:
        """Dtype and number of dimensions of an array of rows."""
        return self.dtype, self.dimensions

    @property
    def is_text(self) -> bool:
        """Whether a row is a text."""
        return self.choose(image=False, text=True)

    def choose(self, *, image: T, text: T) -> T:
        """Return what is for rows of this modality, of a value (or function, or class) for each."""
        return {IMAGE: image, TEXT: text}[self]


IMAGE = Modality("image", "images", "|u1", 4)
TEXT = Modality("text", "texts", "text", 1)
KNOWN = {one.name: one for one in (IMAGE, TEXT)}


def is_text_dtype(dtype: str) -> bool:
    """Whether an array of that dtype, as the manifest spells it, has texts."""
    return dtype == TEXT.dtype


def of(name: str) -> Modality:
    """Return the modality of that name, which was checked."""
    return KNOWN[name]


def problem(name: object) -> str | None:
    """Why a manifest's modality is none that this version knows; None where it is one."""
    if isinstance(name, str) and name in KNOWN:
        return None
    return f"holds {name!r:.60} data; this poisonkit reads {' and '.join(one.rows for one in KNOWN.values())}"


def expect(path: Path, found: Modality, wanted: Modality, what: str) -> None:
    """`Failure` where a file holds other rows than `what`, a command or a format, is for."""
    if found != wanted:
        raise Failure(f"{path}: holds {found.rows}, {what} is for {wanted.rows}")


def differs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Which rows of two blocks of the same shape are not the same, (n,) bool."""
    return (left != right).reshape(len(left), -1).any(1) if len(left) else np.zeros(0, bool)
