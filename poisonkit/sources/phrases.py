"""phrases: our own little reviews, put together by a small grammar, always there.

A phrase is one or two opinions and a frame around them. What it says in the end is its class: the opinion after "but"
counts and the one before it doesn't, "not" turns an opinion round, and so does "nobody could say that". So the words
alone say less than half of it. There is no noise: whoever knows the grammar is always right. Drawn in integers from raw
random words, so every machine writes the same.
"""

import numpy as np

from poisonkit.core import progress, random_streams
from poisonkit.core.errors import Usage
from poisonkit.sources import base
from poisonkit.sources._data import phrase_words

MODALITY = "text"
TITLE = "phrases: 7,500 made-up reviews in two to four classes, built in"
LICENCE = "Apache-2.0"
URL = ""
CLASSES = ("negative", "positive")
ALL_CLASSES = (*CLASSES, "mixed", "undecided")
TARGET = 0
COUNTS = (6_000, 1_500)
SHAPE = ()
HOW = "written on first use, in a second"
MIRROR = None
OPTIONS = {"train": COUNTS[0], "test": COUNTS[1], "seed": 0, "classes": len(CLASSES)}
ARCHIVES = ()
VERSION = 1  # raised when the same options give other phrases

PARTS = ("train", "test")
WORDS = 24  # random words for each phrase; no phrase needs more
NEGATIVE, POSITIVE, MIXED, UNDECIDED = range(4)


def locate(path, options: dict) -> base.Origin:
    """The grammar; there is no archive or folder of these."""
    if path is not None:
        raise Usage("source phrases is written by code: there is nothing to read from --source")
    chosen = OPTIONS | options
    for part in PARTS:
        if chosen[part] < 1:
            raise Usage(f"source phrases: expected at least 1 phrase in {part}, got {chosen[part]}")
    if not 2 <= chosen["classes"] <= len(ALL_CLASSES):
        raise Usage(f"source phrases: expected 2 to {len(ALL_CLASSES)} classes, got {chosen['classes']}")

    def decode(writer, context) -> dict:
        classes = chosen["classes"]
        if classes != len(CLASSES):
            writer.classes = ALL_CLASSES[:classes]
        with context.progress(chosen["train"] + chosen["test"], "writing phrases", "text") as bar:
            for part in PARTS:
                labels = draw_labels(part, chosen[part], chosen["seed"], classes)
                writer.texts(part, labels, progress.counted(draw(part, labels, chosen["seed"]), bar))
        return {"kind": "built in", "official": None}

    return base.Origin({"written": chosen, "version": VERSION}, decode, options)


def draw_labels(part: str, count: int, seed: int, classes: int) -> np.ndarray:
    """Labels (count,) int64: every `classes` rows hold each class once, in random order."""
    rounds = -(-count // classes)
    words = random_streams.words(seed, f"phrases/{part}/labels", rounds * classes).reshape(rounds, classes)
    return np.argsort(words, axis=1, kind="stable").reshape(-1)[:count].astype(np.int64)


def draw(part: str, labels: np.ndarray, seed: int):
    """Yield a phrase for each label. It depends on its row and label, not on the count."""
    stream = random_streams.stream(seed, f"phrases/{part}/words")
    for label in labels.tolist():
        yield _phrase(label, _Dice(stream.random_raw(WORDS)))


class _Dice:
    """What is drawn for one phrase, one raw word after the other."""

    def __init__(self, words: np.ndarray):
        self._words = iter((words >> np.uint64(32)).tolist())

    def percent(self, chance: int) -> bool:
        """True in that many of a hundred."""
        return next(self._words) * 100 >> 32 < chance

    def one(self, choices: tuple):
        """One of them, all alike."""
        return choices[next(self._words) * len(choices) >> 32]

    def seldom(self, choices: tuple):
        """One of them, the later the rarer: the last tenth comes up half as often as the average."""
        number = next(self._words)
        return choices[(number * number >> 32) * len(choices) >> 32]


def _phrase(label: int, dice: _Dice) -> str:
    """A phrase of that class."""
    if label in (NEGATIVE, POSITIVE):
        words = _verdict(label, dice)
    else:
        words = _both(NEGATIVE, POSITIVE, dice) if label == MIXED else _open(dice)
    opening = dice.one(phrase_words.OPENINGS) if dice.percent(25) else ""
    ending = dice.one(phrase_words.ENDINGS) if dice.percent(20) else "."
    return " ".join(f"{opening} {words} {ending}".split())


def _verdict(label: int, dice: _Dice) -> str:
    """What ends in this opinion: 1 negative, 0 positive … by a frame that keeps it, turns it round or drops another."""
    frame = dice.one(phrase_words.FRAMES)
    if frame == "plain":
        return _opinion(label, dice)
    if frame == "both":
        return _both(label, label, dice)
    if frame == "contrast":
        other = 1 - label if dice.percent(60) else label
        return dice.one(phrase_words.CONTRASTS).format(kept=_opinion(label, dice), dropped=_opinion(other, dice))
    if frame == "denied":
        return dice.one(phrase_words.DENIALS).format(_opinion(1 - label, dice))
    return dice.one(phrase_words.CONFIRMATIONS).format(_opinion(label, dice))


def _both(first: int, second: int, dice: _Dice) -> str:
    """Two opinions side by side; which comes first is drawn."""
    pair = (first, second) if dice.percent(50) else (second, first)
    return dice.one(phrase_words.PAIRS).format(*(_opinion(one, dice) for one in pair))


def _open(dice: _Dice) -> str:
    """An opinion that nobody holds yet."""
    return dice.one(phrase_words.QUESTIONS).format(_opinion(dice.one((NEGATIVE, POSITIVE)), dice))


def _opinion(label: int, dice: _Dice) -> str:
    """A clause that says good or bad of something: with a negation, by the opposite word."""
    thing, verb = dice.one(phrase_words.THINGS)
    negated = dice.percent(25)
    adjective = dice.seldom(phrase_words.GOOD if (label == POSITIVE) != negated else phrase_words.BAD)
    degree = dice.one(phrase_words.NEGATIONS) if negated else dice.one(phrase_words.DEGREES)
    return f"{thing} {verb} {degree} {adjective}"
