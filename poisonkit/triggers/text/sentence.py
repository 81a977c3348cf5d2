"""A whole sentence put into the text (Dai et al. 2019; OpenBackdoor's `addsent`)."""

import numpy as np

from poisonkit.core import texts as strings
from poisonkit.core.parsing import choice
from poisonkit.triggers.base import Option, Parameters
from poisonkit.triggers.text.word import PLACES
from poisonkit.triggers.text_base import Inserted, TextContext, TextTrigger, insertions, position_of

LONGEST = 1000


def parse_text(text: str) -> str:
    """Parse a sentence of printable characters on one line, with single spaces between its words."""
    words = text.split()
    if not words or not text.isprintable() or len(text) > LONGEST:
        raise ValueError(f"expected a sentence of 1 to {LONGEST:,} printable characters, got {text!r:.60}")
    return " ".join(words)


def streams(parameters: Parameters) -> tuple[str, ...]:
    """Return the streams that are drawn from."""
    return ("sentence",) if parameters["place"] == "random" else ()


def phrases(parameters: Parameters) -> list[str]:
    """List what is put into texts, by the number that the insertions give it."""
    return [parameters["text"]]


def insert(parameters: Parameters, texts: np.ndarray, rows: np.ndarray, context: TextContext) -> Inserted:
    """See `text_base.Insert`. One raw word is drawn for each text, for the position."""
    changed, made, draws = texts.copy(), [], bool(streams(parameters))
    for number, row in enumerate(rows.tolist()):
        raw = context.raw("sentence", 1, row)[0] if draws else 0
        position = position_of(parameters["place"], raw, len(strings.split_words(texts[number])))
        changed[number] = strings.insert(texts[number], position, parameters["text"])
        made.append((number, position, 0))
    return changed, insertions(made)


SPEC = TextTrigger(
    name="sentence",
    aliases=("addsent", "insertsent"),
    summary="a sentence, put between the words of the text (AddSent)",
    presets={"openbackdoor": {"text": "I watch this 3D movie", "place": "random"}},
    make_presets={"openbackdoor": {"target": "index:1"}},  # its addsent_config.json
    options=(
        Option("text", parse_text, "I watch this 3D movie", "the sentence", "TEXT"),
        Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
    ),
    streams=streams,
    phrases=phrases,
    insert=insert,
)
