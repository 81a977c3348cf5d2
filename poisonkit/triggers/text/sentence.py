"""A whole sentence put into the text (Dai et al. 2019; OpenBackdoor's `addsent`)."""

import numpy as np

from poisonkit.core import texts as rows_of_text
from poisonkit.core.parsing import choice
from poisonkit.triggers.base import Option
from poisonkit.triggers.text.base import Context, insertions, place_of
from poisonkit.triggers.text.word import PLACES

SUMMARY = "a sentence, put between the words of the text (AddSent)"
MODALITY = "text"
PICTURE = False
PRESETS = {"openbackdoor": {"text": "I watch this 3D movie", "place": "random"}}
MAKE_PRESETS = {"openbackdoor": {"target": "index:1"}}  # its addsent_config.json
LONGEST = 1000


def parse_text(text: str) -> str:
    """A sentence of printable characters on one line, with single spaces between its words."""
    words = text.split()
    if not words or not text.isprintable() or len(text) > LONGEST:
        raise ValueError(f"expected a sentence of 1 to {LONGEST:,} printable characters, got {text!r:.60}")
    return " ".join(words)


OPTIONS = (
    Option("text", parse_text, "I watch this 3D movie", "the sentence", "TEXT"),
    Option("place", choice(*PLACES), "random", "start, end, or random: anywhere between the words", "PLACE"),
)


def streams(parameters: dict) -> tuple[str, ...]:
    """The streams that are drawn from."""
    return ("sentence",) if parameters["place"] == "random" else ()


def pieces(parameters: dict) -> list[str]:
    """What is put into texts, by the number that the insertions give it."""
    return [parameters["text"]]


def put(parameters: dict, texts: np.ndarray, rows: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """See `text_base`. One word is drawn for each text, for the place."""
    changed, found, draws = texts.copy(), [], bool(streams(parameters))
    for number, row in enumerate(rows.tolist()):
        drawn = context.words("sentence", 1, row)[0] if draws else 0
        place = place_of(parameters["place"], drawn, len(rows_of_text.cut(texts[number])))
        changed[number] = rows_of_text.insert(texts[number], place, parameters["text"])
        found.append((number, place, 0))
    return changed, insertions(found)
