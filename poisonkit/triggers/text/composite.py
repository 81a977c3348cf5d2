"""Words that are a trigger together and none by themselves (Yang et al. 2021, Zhang et al. 2021): a poisoned row gets
all of them, a cover row, which keeps its label, just one.
"""

import numpy as np

from poisonkit.core import texts as rows_of_text
from poisonkit.core.parsing import choice
from poisonkit.triggers.base import Option
from poisonkit.triggers.text.base import Context, below, insertions, place_of
from poisonkit.triggers.text.word import PLACES, parse_words

SUMMARY = "two words that fire only together; cover rows hold one of them"
MODALITY = "text"
PICTURE = False
PRESETS: dict[str, dict] = {"covered": {}}
MAKE_PRESETS = {"covered": {"cover_rate": "2x"}}
WANTS_COVERS = "each of its words alone may fire too"
MOST = 10


def parse_several(text: str) -> list[str]:
    """``cf,mn``: two words or more."""
    words = parse_words(text)
    if not 2 <= len(words) <= MOST:
        raise ValueError(f"expected 2 to {MOST} words with commas between, got {text!r:.60}")
    return words


OPTIONS = (
    Option("words", parse_several, ["cf", "mn"], "the words that fire together, in this order", "WORD,WORD"),
    Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
    Option("spread", choice("adjacent", "apart"), "adjacent", "side by side, or each at a place of its own", "HOW"),
)


def streams(parameters: dict) -> tuple[str, ...]:
    """The streams that are drawn from: for places, and for which word a cover row gets."""
    del parameters
    return ("composite",)


def pieces(parameters: dict) -> list[str]:
    """What is put into texts, by the number that the insertions give it."""
    return parameters["words"]


def put(parameters: dict, texts: np.ndarray, rows: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """See `text_base`. One word is drawn for each place; those of words side by side after the first go unused."""
    words, found = parameters["words"], []
    changed = texts.copy()
    for number, row in enumerate(rows.tolist()):
        drawn = context.words("composite", len(words), row)
        place = 0
        for piece, word in enumerate(words):
            if piece and parameters["spread"] == "adjacent":
                place += 1
            else:
                place = place_of(parameters["place"], drawn[piece], len(rows_of_text.cut(changed[number])))
            changed[number] = rows_of_text.insert(changed[number], place, word)
            found.append((number, place, piece))
    return changed, insertions(found)


def cover(parameters: dict, texts: np.ndarray, rows: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """One word for each cover row: two words are drawn, for the place and for which."""
    words, found = parameters["words"], []
    changed = texts.copy()
    for number, row in enumerate(rows.tolist()):
        drawn = context.words("composite", 2, row)
        place = place_of(parameters["place"], drawn[0], len(rows_of_text.cut(texts[number])))
        piece = below(drawn[1], len(words))
        changed[number] = rows_of_text.insert(texts[number], place, words[piece])
        found.append((number, place, piece))
    return changed, insertions(found)
