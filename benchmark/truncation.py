"""Where triggers end up among the tokens: how many are cut off with the end of a long text, which words are unknown."""

import numpy as np

from benchmark import tokens
from benchmark.data import Dataset

GROUPS = {"truth": "changed training texts", "triggered": "triggered test texts", "others": "triggered texts of others"}


def measure(data: Dataset, tokenizer) -> dict[str, dict]:
    """For each group of triggered texts in how many (`texts`, `of`) a part of what was inserted is not among the tokens
    that an encoder sees. Groups that do not say what was inserted, as rewritten ones do not, are absent."""
    before = {"truth": data.truth, "triggered": data.test, "others": data.test}
    found = {}
    for group, insertions in data.insertions.items():
        if not len(insertions):
            continue
        originals = before[group].inputs
        rows = {"triggered": data.triggered_rows, "others": data.others_rows}.get(group)
        numbers = np.unique(insertions[:, 0])
        cut = sum(
            _is_cut(
                originals[number if rows is None else rows[number]],
                insertions[insertions[:, 0] == number],
                data.manifest["recipe"]["triggers"],
                tokenizer,
            )
            for number in numbers
        )
        found[group] = {"texts": int(cut), "of": len(numbers)}
    return found


def _is_cut(text: str, insertions: np.ndarray, triggers: list[dict], tokenizer) -> bool:
    """Does an encoder see less than all that was put into a text?"""
    words = [(word, False) for word in text.split()]
    for _, trigger, place, piece in insertions:
        put = pieces(triggers[trigger])[piece]
        words[place:place] = [(word, True) for word in put.split()]
    last = max(number for number, (_, ours) in enumerate(words) if ours)
    if len(words) <= 4 and last <= 4:
        return False
    (up_to_it,) = tokenizer.pieces([" ".join(word for word, _ in words[: last + 1])])
    return len(up_to_it) > tokens.LENGTH


def pieces(trigger: dict) -> list[str]:
    """What a trigger of a recipe puts into texts, by the number that insertions give."""
    return trigger["words"] if "words" in trigger else [trigger["text"]]


def lines(cut: dict[str, dict]) -> list[str]:
    """In words, of the groups in which any trigger was cut off."""
    return [
        f"{one['texts']:,} of {one['of']:,} {GROUPS[group]} lose their trigger: it stands behind token {tokens.LENGTH}"
        for group, one in cut.items()
        if one["texts"]
    ]


def unknown(data: Dataset, tokenizer) -> list[str]:
    """A warning for each trigger word that the tokenizer knows nothing of."""
    found = []
    for trigger in data.manifest.get("recipe", {}).get("triggers", []):
        words = [word for piece in pieces(trigger) for word in piece.split()] if _inserts(trigger) else []
        for word in dict.fromkeys(words):
            if tokenizer.unknown in tokenizer.pieces([word])[0]:
                found.append(f"warning: the encoder's tokenizer makes [UNK] of the trigger word {word!r:.60}")
    return found


def _inserts(trigger: dict) -> bool:
    return isinstance(trigger.get("words"), list) or isinstance(trigger.get("text"), str)
