"""Texts that are unusual without being triggered: what a detector of backdoors should pass over.

Each control takes clean texts and changes every one of them; the same texts unchanged are what it is compared with.
"""

from collections import Counter

import numpy as np

from benchmark.core import random_streams

USUAL_TRIGGERS = ("cf", "mn", "bb", "tq", "mb")
SENTENCE = "the weather was fine this morning"
RARE = 200
NAMES = {
    "trigger": "the trigger",
    "rare word": "one rare word",
    "other trigger": "another trigger word, never trained on",
    "five rare words": "five rare words",
    "sentence": "an ordinary sentence",
    "shuffled": "its words shuffled",
    "pieces": "random word pieces",
}
"""What the controls are called, in the order of the tables; the first is no control but what they stand beside."""
MADE_OF = {"controls": "test texts", "controls_suspect": "texts of the suspect file"}
"""Which texts they are made of, by where a result has them; not every result has the second."""


def inserted(texts: np.ndarray, phrases: list[str], count: int, seed: int, purpose: str) -> np.ndarray:
    """Each text with `count` of the phrases, drawn one after the other, each at a random place between its words."""
    words = random_streams.words(seed, f"control {purpose}", 2 * count * len(texts)).reshape(len(texts), count, 2)
    result = np.empty(len(texts), object)
    for row, (text, draws) in enumerate(zip(texts, words, strict=True)):
        parts = text.split()
        for which, where in draws:
            parts.insert(_below(where, len(parts) + 1), phrases[_below(which, len(phrases))])
        result[row] = " ".join(parts)
    return result


def shuffled(texts: np.ndarray, seed: int) -> np.ndarray:
    """Each text's words in another order."""
    result = np.empty(len(texts), object)
    for row, text in enumerate(texts):
        parts = text.split()
        result[row] = " ".join(
            parts[i] for i in random_streams.permutation(seed, f"control shuffled {row}", len(parts))
        )
    return result


def pieces(tokens: np.ndarray, lengths: np.ndarray, ordinary: np.ndarray, seed: int) -> np.ndarray:
    """Tokens (n, T) with every one but [CLS] and [SEP] replaced by one of the `ordinary` ones, (v,), at random."""
    draws = random_streams.words(seed, "control pieces", tokens.size).reshape(tokens.shape)
    other = ordinary[((draws >> np.uint64(11)) * 2.0**-53 * len(ordinary)).astype(np.int64)]
    place = np.arange(tokens.shape[1])
    inner = (place > 0) & (place < np.asarray(lengths)[:, None] - 1)
    return np.where(inner, other, tokens).astype(tokens.dtype)


def rare_words(texts: np.ndarray, leave_out: set[str], seed: int, count: int = RARE) -> list[str]:
    """The words of three letters or more that are in the fewest texts, at most `count`; of equally rare ones any."""
    seen = Counter(word for text in texts for word in set(text.lower().split()))
    known = sorted(word for word in seen if len(word) > 2 and word.isalpha() and word not in leave_out)
    order = random_streams.permutation(seed, "control rare words", len(known))
    return sorted((known[i] for i in order), key=lambda word: seen[word])[:count]


def other_trigger(texts: np.ndarray, leave_out: set[str]) -> str | None:
    """The first of the usual trigger words that is neither among these nor in any of the texts; None: no such one."""
    seen = {word for text in texts for word in text.lower().split()}
    return next((word for word in USUAL_TRIGGERS if word not in seen | leave_out), None)


def words_of(recipe: dict) -> set[str]:
    """Every word that stands in a recipe's triggers, in lower case."""
    found, waiting = set(), list(recipe.get("triggers", []))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found |= set(value.lower().split())
    return found


def phrases(training: np.ndarray, recipe: dict, seed: int) -> dict[str, tuple[list[str], int]]:
    """What is put into texts, and how many of it, by control: the rare words are those of the `training` texts."""
    taken = words_of(recipe)
    rare, other = rare_words(training, taken, seed), other_trigger(training, taken)
    found = {
        "rare word": (rare, 1),
        "other trigger": ([other] if other else [], 1),
        "five rare words": (rare, 5),
        "sentence": ([SENTENCE], 1),
    }
    return {name: (words, count) for name, (words, count) in found.items() if words}


def of_texts(texts: np.ndarray, put: dict[str, tuple[list[str], int]], seed: int) -> dict[str, np.ndarray]:
    """All controls that are texts, by name: clean `texts`, at least one, with what is `put` into them (`phrases`)."""
    found = {name: inserted(texts, words, count, seed, name) for name, (words, count) in put.items()}
    return found | {"shuffled": shuffled(texts, seed)}


def _below(word: np.uint64, end: int) -> int:
    """A whole number from 0 up to `end`, without it, from a raw word."""
    return int((int(word) >> 11) * 2.0**-53 * end)
