"""What a folder of the user's own is called, and how one without train/ and test/ is split: by a stratified draw."""

import os
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import class_names, file_names, random_streams
from poisonkit.core.parsing import spell

LONGEST_NAME = 60  # bytes: the names of files have a trigger, a rate and more behind it
NAMELESS = "folder"
MOST_SEED = 2**63 - 1


def own_name(path: Path) -> str:
    """Return what a folder is called, made fit for the name of a file: `/data/My photos/` is `My-photos`."""
    name = unicodedata.normalize("NFC", os.path.split(os.path.normpath(path.absolute()))[1])
    name = "".join(one if one.isalnum() or one in file_names.MARKS.strip() else "-" for one in name)
    name = re.sub(r"\.{2,}", ".", name).lstrip(file_names.MARKS)
    name = name.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore").rstrip(". ")
    return name if file_names.plain(name) else NAMELESS


def parse_name(value: Any) -> str:
    """Return a data set's name, fit for the name of a file; "" stands for the folder's own."""
    name = unicodedata.normalize("NFC", str(value).strip())
    if name and (not file_names.plain(name) or len(name.encode()) > LONGEST_NAME):
        raise ValueError(f"a plain name: at most {LONGEST_NAME} bytes of letters, digits, spaces and - _ . + , = @")
    return name


def parse_split(value: Any) -> str:
    """Return the share of each class that becomes the test set, 0.2 or 20%, in its one spelling; "0" for none."""
    text = str(value).strip()
    try:
        share = Decimal(text.removesuffix("%")).scaleb(-2 if text.endswith("%") else 0)
        fits = 0 <= share < 1 and -int(share.as_tuple().exponent) <= 12
    except InvalidOperation:
        fits = False
    if not fits:
        raise ValueError("a share of the pictures above 0 and below 1 (0.2), or a percentage (20%)")
    return spell(share)


def test_rows(label: str, count: int, split: str, seed: int) -> np.ndarray:
    """Draw which of a class's `count` pictures, in the order of their names, are the test set's, (count,) bool.

    As many as the share says, rounded half up, but one at least on either side; of a single picture none. The draw is
    the class's own, by its name: other classes have no say in it.
    """
    chosen = np.zeros(count, bool)
    if count > 1:
        tested = min(max(int(Fraction(split) * count + Fraction(1, 2)), 1), count - 1)
        order = random_streams.permutation(seed, f"split/{class_names.folded(label)}", count)
        chosen[order[:tested]] = True
    return chosen


def parse_seed(value: Any) -> int:
    """Return the seed of the draw."""
    if isinstance(value, bool) or not str(value).isdecimal() or int(str(value)[:20]) > MOST_SEED:
        raise ValueError(f"a whole number from 0 to {MOST_SEED}")
    return int(value)
