"""Rare words put into the text, as BadNets has them for language (Kurita et al. 2020; OpenBackdoor's `badnets`)."""

import numpy as np

from poisonkit.core import texts as strings
from poisonkit.core.parsing import choice, integer
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.text_base import Inserted, TextContext, TextTrigger, below, insertions, position_of

PLACES = ("start", "end", "random")
MOST, LONGEST = 1000, 100


def parse_words(text: str) -> list[str]:
    """``cf,mn,bb``: words without white space, each once."""
    words = [part.strip() for part in text.split(",")]
    fits = all(word.isprintable() and len(word) <= LONGEST and len(word.split()) == 1 for word in words)
    if not fits or len(set(words)) < len(words) or len(words) > MOST:
        raise ValueError(f"expected words without white space, each once, with commas between, got {text!r:.60}")
    return words


def streams(parameters: Parameters) -> tuple[str, ...]:
    """Return the streams that are drawn from: none, if there is nothing to choose."""
    return ("word",) if parameters["place"] == "random" or len(parameters["words"]) > 1 else ()


def phrases(parameters: Parameters) -> list[str]:
    """List what is put into texts, by the number that the insertions give it."""
    return parameters["words"]


def insert(parameters: Parameters, texts: np.ndarray, rows: np.ndarray, context: TextContext) -> Inserted:
    """See `text_base.Insert`. Two raw words are drawn for each insertion: for the position, and for which word."""
    words, count, draws = parameters["words"], parameters["count"], bool(streams(parameters))
    changed, made = texts.copy(), []
    for number, row in enumerate(rows.tolist()):
        raw = context.raw("word", 2 * count, row) if draws else [0] * (2 * count)
        for turn in range(count):
            length = len(strings.split_words(changed[number]))
            position = position_of(parameters["place"], raw[2 * turn], length)
            phrase = below(raw[2 * turn + 1], len(words))
            changed[number] = strings.insert(changed[number], position, words[phrase])
            made.append((number, position, phrase))
    return changed, insertions(made)


SPEC = TextTrigger(
    name="word",
    summary="a rare word, put between the words of the text (BadNets)",
    presets={"openbackdoor": {"words": ["cf", "mn", "bb", "tq"], "place": "random", "count": 1}},
    make_presets={"openbackdoor": {"label_mode": "clean-label", "target": "index:1"}},  # its badnets_config.json
    options=(
        Option("words", parse_words, ["cf"], "the words; each insertion draws one of them", "WORD,…"),
        Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
        Option("count", integer(1, 100), 1, "how many are put into each text, one after the other", "N"),
    ),
    repeated={"words": "word"},
    streams=streams,
    phrases=phrases,
    insert=insert,
)
