"""Where triggers end up among the tokens: how many are cut off with the end of a long text, which words are unknown."""

from benchmark.format.dataset import Dataset
from benchmark.nn import tokenizers

GROUPS = {
    "truth": "changed training texts",
    "triggered": "triggered test texts",
    "others": "non-source triggered test texts",
}


def measure(data: Dataset, tokenizer) -> dict[str, dict]:
    """Count for each group of triggered texts how many of them (`texts`, `of`) are the same to an encoder as before.

    The first LENGTH tokens of such a text and of its original agree; so for words, sentences and rewritten texts alike.
    """
    if data.truth is None or data.triggered is None:
        return {}
    pairs = {
        "truth": (data.truth.inputs, data.train.inputs[data.truth_rows]),
        "triggered": (data.test.inputs[data.triggered_rows], data.triggered.inputs),
    }
    if data.others is not None:
        pairs["others"] = data.test.inputs[data.others_rows], data.others.inputs
    found = {}
    for group, (originals, changed) in pairs.items():
        before, after = (tokenizers.encode(tokenizer, texts).tokens for texts in (originals, changed))
        found[group] = {"texts": int((before == after).all(1).sum()), "of": len(changed)}
    return found


def lines(cut: dict[str, dict]) -> list[str]:
    """Say how many triggers were cut off, for the groups in which any was."""
    return [
        f"{one['texts']:,} of {one['of']:,} {GROUPS[group]} are truncated before the trigger (past token "
        f"{tokenizers.LENGTH})"
        for group, one in cut.items()
        if one["texts"]
    ]


def unknown(data: Dataset, tokenizer) -> list[str]:
    """Warn of each trigger word that the tokenizer does not know."""
    found = []
    for trigger in data.manifest.recipe.triggers:
        for word in dict.fromkeys(word for piece in trigger.inserted for word in piece.split()):
            if tokenizer.unknown in tokenizer.pieces([word])[0]:
                found.append(f"warning: the encoder's tokenizer makes [UNK] of the trigger word {word!r:.60}")
    return found
