"""Rare words put into the text, as BadNets has them for language (Kurita et al. 2020; OpenBackdoor's `badnets`)."""

import numpy as np

from poisonkit.core import texts as rows_of_text
from poisonkit.core.parsing import choice, integer
from poisonkit.triggers.base import Option
from poisonkit.triggers.text.base import Context, below, insertions, place_of

SUMMARY = "a rare word, put between the words of the text (BadNets)"
MODALITY = "text"
PICTURE = False
PRESETS = {"openbackdoor": {"words": ["cf", "mn", "bb", "tq"], "place": "random", "count": 1}}
MAKE_PRESETS = {"openbackdoor": {"label_mode": "clean-label", "target": "index:1"}}  # its badnets_config.json
PLACES = ("start", "end", "random")
MOST, LONGEST = 1000, 100


def parse_words(text: str) -> list[str]:
    """``cf,mn,bb``: words without white space, each once."""
    words = [part.strip() for part in text.split(",")]
    fits = all(word.isprintable() and len(word) <= LONGEST and len(word.split()) == 1 for word in words)
    if not fits or len(set(words)) < len(words) or len(words) > MOST:
        raise ValueError(f"expected words without white space, each once, with commas between, got {text!r:.60}")
    return words


OPTIONS = (
    Option("words", parse_words, ["cf"], "the words; each insertion draws one of them", "WORD,…"),
    Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
    Option("count", integer(1, 100), 1, "how many are put into each text, one after the other", "N"),
)
SHORT = {"words": "word"}
"""Key → the name of an option that may be given several times, for one value each: `--word cf --word mn`."""


def streams(parameters: dict) -> tuple[str, ...]:
    """The streams that are drawn from: none, if there is nothing to choose."""
    return ("word",) if parameters["place"] == "random" or len(parameters["words"]) > 1 else ()


def pieces(parameters: dict) -> list[str]:
    """What is put into texts, by the number that the insertions give it."""
    return parameters["words"]


def put(parameters: dict, texts: np.ndarray, rows: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """See `text_base`. Two words are drawn for each insertion, for the place and for which word, needed or not."""
    words, count, draws = parameters["words"], parameters["count"], bool(streams(parameters))
    changed, found = texts.copy(), []
    for number, row in enumerate(rows.tolist()):
        drawn = context.words("word", 2 * count, row) if draws else [0] * (2 * count)
        for turn in range(count):
            length = len(rows_of_text.cut(changed[number]))
            place = place_of(parameters["place"], drawn[2 * turn], length)
            piece = below(drawn[2 * turn + 1], len(words))
            changed[number] = rows_of_text.insert(changed[number], place, words[piece])
            found.append((number, place, piece))
    return changed, insertions(found)
