"""Texts that are unusual without being triggered: a detector of backdoors should not flag them.

Each control takes clean texts and changes every one of them; the same texts unchanged are what it is compared with.
"""

from collections import Counter

import numpy as np

from benchmark.core import random_streams
from benchmark.format.manifest import Recipe

COMMON_TRIGGERS = ("cf", "mn", "bb", "tq", "mb")
SENTENCE = "the weather was fine this morning"
RARE = 200
NAMES = {
    "trigger": "the trigger",
    "rare word": "one rare word",
    "other trigger": "another trigger word, never trained on",
    "five rare words": "five rare words",
    "sentence": "an ordinary sentence",
    "shuffled": "words shuffled",
    "pieces": "random word pieces",
}
"""What the controls are called, in the order of the tables; the first is not a control: they are compared with it."""
MADE_OF = {"controls": "test texts", "controls_suspect": "texts of the suspect file"}
"""Section of a result → the texts that its controls are made of; not every result has the second."""


def inserted(texts: np.ndarray, phrases: list[str], count: int, seed: int, stream_name: str) -> np.ndarray:
    """Insert `count` of the phrases into each text, drawn in turn, at random positions between its words."""
    words = random_streams.words(seed, f"control {stream_name}", 2 * count * len(texts)).reshape(len(texts), count, 2)
    result = np.empty(len(texts), object)
    for row, (text, draws) in enumerate(zip(texts, words, strict=True)):
        parts = text.split()
        for which, where in draws:
            parts.insert(_below(where, len(parts) + 1), phrases[_below(which, len(phrases))])
        result[row] = " ".join(parts)
    return result


def shuffled(texts: np.ndarray, seed: int) -> np.ndarray:
    """Shuffle each text's words."""
    result = np.empty(len(texts), object)
    for row, text in enumerate(texts):
        parts = text.split()
        result[row] = " ".join(
            parts[i] for i in random_streams.permutation(seed, f"control shuffled {row}", len(parts))
        )
    return result


def pieces(tokens: np.ndarray, lengths: np.ndarray, ordinary: np.ndarray, seed: int) -> np.ndarray:
    """Replace every token (n, T) but [CLS] and [SEP] by one of the `ordinary` ones, (v,), at random."""
    draws = random_streams.words(seed, "control pieces", tokens.size).reshape(tokens.shape)
    other = ordinary[((draws >> np.uint64(11)) * 2.0**-53 * len(ordinary)).astype(np.int64)]
    place = np.arange(tokens.shape[1])
    inner = (place > 0) & (place < np.asarray(lengths)[:, None] - 1)
    return np.where(inner, other, tokens).astype(tokens.dtype)


def rare_words(texts: np.ndarray, leave_out: set[str], seed: int, count: int = RARE) -> list[str]:
    """Return the words of three letters or more that are in the fewest texts, at most `count`; ties at random."""
    seen = Counter(word for text in texts for word in set(text.lower().split()))
    known = sorted(word for word in seen if len(word) > 2 and word.isalpha() and word not in leave_out)
    order = random_streams.permutation(seed, "control rare words", len(known))
    return sorted((known[i] for i in order), key=lambda word: seen[word])[:count]


def other_trigger(texts: np.ndarray, leave_out: set[str]) -> str | None:
    """Return the first common trigger word that is neither among these nor in the texts; None if there is none."""
    seen = {word for text in texts for word in text.lower().split()}
    return next((word for word in COMMON_TRIGGERS if word not in seen | leave_out), None)


def words_of(recipe: Recipe) -> set[str]:
    """Return every word in a recipe's triggers, in lower case."""
    found, waiting = set(), [recipe.raw.get("triggers", [])]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found |= set(value.lower().split())
    return found


def phrases(training: np.ndarray, recipe: Recipe, seed: int) -> dict[str, tuple[list[str], int]]:
    """Return the phrases to insert, and how many of them, by control; rare words are those of the `training` texts."""
    taken = words_of(recipe)
    rare, other = rare_words(training, taken, seed), other_trigger(training, taken)
    found = {
        "rare word": (rare, 1),
        "other trigger": ([other] if other else [], 1),
        "five rare words": (rare, 5),
        "sentence": ([SENTENCE], 1),
    }
    return {name: (words, count) for name, (words, count) in found.items() if words}


def of_texts(texts: np.ndarray, inserts: dict[str, tuple[list[str], int]], seed: int) -> dict[str, np.ndarray]:
    """Make all controls that are texts, by name: clean `texts`, at least one, with phrases inserted (see `phrases`)."""
    found = {name: inserted(texts, words, count, seed, name) for name, (words, count) in inserts.items()}
    return found | {"shuffled": shuffled(texts, seed)}


def _below(word: np.uint64, end: int) -> int:
    """Return a whole number from 0 up to `end`, without it, from a raw word."""
    return int((int(word) >> 11) * 2.0**-53 * end)
