"""Texts as tokens: word pieces of a published tokenizer, or the words of the training texts."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.core import extras, files
from benchmark.core.errors import Failure
from benchmark.nn import tokenizer_sandbox

LENGTH = 64  # tokens of a text, [CLS] and [SEP] among them
WIDTHS = (8, 16, 24, 32, 48, 64)  # what batches are padded to: few, so that little is compiled
PIECES, WORDS = "tokenizer.json", "vocabulary.txt"  # the one or the other is in a run's folder
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MOST_WORDS = 20_000
SPELLED = -1  # token 0 where a text spells it, as in "[PAD]": it is seen like any other


@dataclass(frozen=True)
class Tokens:
    """Texts: `tokens` (n, LENGTH) int32, 0 where a text has ended, and how many each has, `lengths` (n,) int64.

    A 0 is padding and nothing else: where a text spells the padding token, SPELLED stands for it.
    """

    tokens: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows) -> "Tokens":
        return Tokens(self.tokens[rows], self.lengths[rows])

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All rows, the short ones first, as (row numbers (m,), tokens (size, T)): T is one of WIDTHS, m = size but in
        the last, which is filled up with empty rows."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            block = np.zeros((size, width(self.lengths[rows].max())), np.int32)
            block[: len(rows)] = self.tokens[rows, : block.shape[1]]
            yield rows, block


def width(length: int) -> int:
    """Return the least of WIDTHS that holds that many tokens."""
    return next(one for one in WIDTHS if one >= length)


class Pieces:
    """The tokenizer of a folder in the Hugging Face layout (`tokenizer.json`), cut at LENGTH tokens.

    A child process reads the file first (see `tokenizing`).

    Raises `Failure` where the file cannot be read, the library `tokenizers` is missing, padding is not token 0, or
    texts do not become [CLS] … [SEP].
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        extras.need("tokenizers")
        if not self.path.is_file():
            raise Failure(f"{self.path}: no such file, the encoder's tokenizer")
        self._content, found = tokenizer_sandbox.checked(self.path)
        self._vocabulary = found["vocabulary"]
        self._tokenizer = tokenizer_sandbox.loaded(self._content)
        self.unknown = self._tokenizer.token_to_id("[UNK]")

    def __len__(self) -> int:
        """One more than the largest token's number: what an encoder's table has to hold."""
        return self._vocabulary

    def ordinary(self) -> np.ndarray:
        """Return the numbers of all pieces but those in brackets ([CLS], [unused7], …), ascending, (v,) int64."""
        pieces = self._tokenizer.get_vocab().items()
        return np.sort([number for piece, number in pieces if not re.fullmatch(r"\[.+\]", piece)])

    def names(self, tokens) -> list[str]:
        """Return the pieces that tokens stand for."""
        return [self._tokenizer.id_to_token(max(0, int(number))) for number in tokens]

    def pieces(self, texts) -> list[list[int]]:
        """Return the tokens of each text with [CLS] and [SEP], however long it is."""
        try:
            return [found.ids for found in self._tokenizer.encode_batch(list(texts))]
        except BaseException as error:  # a panic of the library is not an Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            raise Failure(f"{self.path}: fails on a text ({' '.join(str(error).split())[:120]})") from None

    def save(self, folder: Path) -> None:
        """Put the tokenizer into a run's folder."""
        files.write_bytes(folder / PIECES, self._content)


class Words:
    """One token for each word of a vocabulary, lower-cased; another word is [UNK]. Needs no library."""

    unknown = SPECIAL.index("[UNK]")

    def __init__(self, vocabulary: list[str]):
        self._numbers = {word: number for number, word in enumerate([*SPECIAL, *vocabulary])}

    @classmethod
    def of(cls, texts) -> "Words":
        """Return the words of texts, at most MOST_WORDS: the most frequent first, ties by their code points."""
        counts = Counter(word for text in texts for word in split(text))
        return cls(sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS])

    @classmethod
    def read(cls, path: Path) -> "Words":
        """Return what `save` has written. `Failure` where it cannot be read."""
        try:
            lines = files.read_bytes(Path(path)).decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise Failure(f"{path}: cannot be read ({error})") from None
        return cls(lines[len(SPECIAL) : -1])

    def __len__(self) -> int:
        return len(self._numbers)

    def ordinary(self) -> np.ndarray:
        """Return the numbers of all words, ascending, (v,) int64."""
        return np.arange(len(SPECIAL), len(self))

    def names(self, tokens) -> list[str]:
        """Return the words that tokens stand for."""
        words = list(self._numbers)
        return [words[int(number)] for number in tokens]

    def pieces(self, texts) -> list[list[int]]:
        """Return the tokens of each text with [CLS] and [SEP], however long it is."""
        first, last = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
        return [[first, *(self._numbers.get(word, self.unknown) for word in split(text)), last] for text in texts]

    def save(self, folder: Path) -> None:
        """Put the vocabulary into a run's folder, a word a line."""
        files.write_bytes(folder / WORDS, "".join(f"{word}\n" for word in self._numbers).encode())


def split(text: str) -> list[str]:
    """Return the lower-cased words of a text; each other sign but white space is one of its own."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def load(folder: Path) -> Pieces | Words:
    """Return the tokenizer of a run's folder. `Failure` where there is none."""
    folder = Path(folder)
    path = next((folder / name for name in (WORDS, PIECES) if files.there(folder / name)), folder / PIECES)
    if files.there(path):
        files.check(path)
    return Words.read(path) if path.name == WORDS else Pieces(path)


def encode(tokenizer, texts) -> Tokens:
    """Return the tokens of texts; what is longer than LENGTH keeps [CLS] and [SEP] and loses its end.

    Padding follows from the lengths alone.
    """
    tokens = np.zeros((len(texts), LENGTH), np.int32)
    lengths = np.empty(len(texts), np.int64)
    for row, pieces in enumerate(tokenizer.pieces(texts)):
        if len(pieces) > LENGTH:
            pieces = [*pieces[: LENGTH - 1], pieces[-1]]
        tokens[row, : len(pieces)] = [piece or SPELLED for piece in pieces]
        lengths[row] = len(pieces)
    return Tokens(tokens, lengths)
