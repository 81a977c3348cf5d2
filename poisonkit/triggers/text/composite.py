"""Words that are a trigger together and none by themselves (Yang et al. 2021, Zhang et al. 2021): a poisoned row gets
all of them, a cover row, which keeps its label, just one.
"""

import numpy as np

from poisonkit.core import texts as strings
from poisonkit.core.parsing import choice
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.text.word import PLACES, parse_words
from poisonkit.triggers.text_base import Inserted, TextContext, TextTrigger, below, insertions, position_of

MOST = 10


def parse_several(text: str) -> list[str]:
    """``cf,mn``: two words or more."""
    words = parse_words(text)
    if not 2 <= len(words) <= MOST:
        raise ValueError(f"expected 2 to {MOST} words with commas between, got {text!r:.60}")
    return words


def streams(parameters: Parameters) -> tuple[str, ...]:
    """Return the streams that are drawn from: for places, and for which word a cover row gets."""
    del parameters
    return ("composite",)


def phrases(parameters: Parameters) -> list[str]:
    """List what is put into texts, by the number that the insertions give it."""
    return parameters["words"]


def insert(parameters: Parameters, texts: np.ndarray, rows: np.ndarray, context: TextContext) -> Inserted:
    """See `text_base.Insert`. One raw word is drawn for each position; adjacent words use only the first."""
    words, changed, made = parameters["words"], texts.copy(), []
    for number, row in enumerate(rows.tolist()):
        raw = context.raw("composite", len(words), row)
        position = 0
        for phrase, word in enumerate(words):
            if phrase and parameters["spread"] == "adjacent":
                position += 1
            else:
                position = position_of(parameters["place"], raw[phrase], len(strings.split_words(changed[number])))
            changed[number] = strings.insert(changed[number], position, word)
            made.append((number, position, phrase))
    return changed, insertions(made)


def cover(parameters: Parameters, texts: np.ndarray, rows: np.ndarray, context: TextContext) -> Inserted:
    """Insert one of the words into each cover row: two raw words are drawn, for the position and for which word."""
    words, changed, made = parameters["words"], texts.copy(), []
    for number, row in enumerate(rows.tolist()):
        raw = context.raw("composite", 2, row)
        position = position_of(parameters["place"], raw[0], len(strings.split_words(texts[number])))
        phrase = below(raw[1], len(words))
        changed[number] = strings.insert(texts[number], position, words[phrase])
        made.append((number, position, phrase))
    return changed, insertions(made)


SPEC = TextTrigger(
    name="composite",
    aliases=("sos",),
    summary="two words that fire only together; cover rows hold one of them",
    presets={"covered": {}},
    make_presets={"covered": {"cover_rate": "2x"}},
    options=(
        Option("words", parse_several, ["cf", "mn"], "the words that fire together, in this order", "WORD,WORD"),
        Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
        Option("spread", choice("adjacent", "apart"), "adjacent", "side by side, or each at a place of its own", "HOW"),
    ),
    wants_covers="each of its words alone may fire too",
    streams=streams,
    phrases=phrases,
    insert=insert,
    cover=cover,
)
