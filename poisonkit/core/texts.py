"""Rows of text: what may be one, how it is cut into words, how something is put into it. See data/FORMAT.md, "Text"."""

import re
from collections.abc import Iterable

import numpy as np

LARGEST = 1 << 20  # bytes of UTF-8 that one text of a source may have
LARGEST_IN_FILE = 2 * LARGEST  # with what triggers put into it
WORD = re.compile(r"\S+")
SHOWN = 40


def array(texts: Iterable[str]) -> np.ndarray:
    """Texts as a block of rows, (n,) object."""
    texts = list(texts)
    block = np.empty(len(texts), object)
    block[:] = texts
    return block


def problem(text: str, largest: int = LARGEST) -> str | None:
    """Why this is no row of a data set; None where it is one: stripped, not empty, no NUL, no half of a surrogate
    pair, not endless."""
    if not text.strip():
        return "is empty"
    if "\0" in text:
        return "has a NUL in it"
    if text != text.strip():
        return "begins or ends with white space"
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return "has half of a surrogate pair in it, which is not UTF-8"
    return f"has {size:,} bytes, more than {largest:,}" if size > largest else None


def split_words(text: str) -> list[str]:
    """Split a text at white space into its words."""
    return text.split()


def insert(text: str, position: int, phrase: str) -> str:
    """Insert a phrase before the word at that position, or after the last one, with a single space between them and the
    text around it unchanged. ``insert("a  b", 1, "cf")`` is ``"a  cf b"``."""
    starts = [found.start() for found in WORD.finditer(text)]
    if position == len(starts):
        return f"{text} {phrase}"
    at = starts[position]
    return f"{text[:at]}{phrase} {text[at:]}"


def truncated(text: str, width: int = SHOWN) -> str:
    """Shorten a text to one line of a terminal, without control characters."""
    line = "".join(letter if letter.isprintable() else "�" for letter in text[: width + 1])
    return line if len(text) <= width else line[: width - 1] + "…"


def printable(name: str) -> str:
    """Return a name that a stranger chose, fit for a message: one line, no control characters, not endless."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:200])


def holding(texts: Iterable[str], pieces: list[str]) -> dict[str, int]:
    """Piece → how many texts hold it, as whole words one after the other, in upper or lower case, whatever punctuation
    stands beside them: ``movie`` is in ``The Movie.`` and in ``"movie"``, and not in ``movies``."""
    wanted = [(piece, piece.lower().split(), _pattern(piece)) for piece in pieces]
    counts = dict.fromkeys(pieces, 0)
    for text in texts if pieces else ():
        lowered = text.lower()
        for piece, words, pattern in wanted:
            counts[piece] += words[0] in lowered and pattern.search(lowered) is not None
    return counts


def _pattern(piece: str) -> re.Pattern[str]:
    """Return what finds a piece in lower case: no letter or digit beside its own, nothing at all beside its other
    signs."""
    words = piece.lower().split()
    before = r"(?<![^\W_])" if words[0][0].isalnum() else r"(?<!\S)"
    after = r"(?![^\W_])" if words[-1][-1].isalnum() else r"(?!\S)"
    return re.compile(before + r"\s+".join(map(re.escape, words)) + after)
