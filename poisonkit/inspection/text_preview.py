"""`poisonkit preview` of texts: some changed ones, what was put in marked as [+cf+], what was taken out as [-word-]."""

import difflib
from pathlib import Path

import numpy as np

from poisonkit.core import texts as rows_of_text
from poisonkit.format import reader
from poisonkit.poisoning.selection import COVER

AROUND = 12  # words that are shown on either side of a change
LONGEST = 500  # words on either side that are compared one by one
WIDEST = 200  # letters of one word or piece that are shown


def marked(original: str, changed: str) -> str:
    """Return the changed text in words, with what is not the original's marked; far from every change it is left out
    (…)."""
    before, after = rows_of_text.split_words(original), rows_of_text.split_words(changed)
    shown = []
    parts = _parts(before, after)
    for number, (old, new) in enumerate(parts):
        if old == new:
            shown += _near(old, first=number == 0, last=number == len(parts) - 1)
            continue
        shown += [f"[-{_line(old)}-]"] if old else []
        shown += [f"[+{_line(new)}+]"] if new else []
    return " ".join(shown)


def _parts(before: list[str], after: list[str]) -> list[tuple[list[str], list[str]]]:
    """Both texts cut into the same number of parts, each the same in both or with nothing in common."""
    start = end = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    middle = [(old, new)]
    if old and new and max(len(old), len(new)) <= LONGEST:
        found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        middle = [(old[a:b], new[c:d]) for _, a, b, c, d in found]
    whole = [(before[:start],) * 2, *middle, (before[len(before) - end :],) * 2]
    return [(one, other) for one, other in whole if one or other]


def _near(words: list[str], first: bool, last: bool) -> list[str]:
    """Return the words of an unchanged part that stand near a change, or all if there are few."""
    head, tail = 0 if first else AROUND, 0 if last else AROUND
    if first and last:
        head = 2 * AROUND
    if len(words) > head + tail + 1:
        words = [*words[:head], "…", *words[len(words) - tail :]]
    return [rows_of_text.truncated(word, WIDEST) for word in words]


def _line(words: list[str]) -> str:
    return rows_of_text.truncated(" ".join(words), WIDEST)


def lines(path: Path, count: int) -> list[str]:
    """Return some changed rows of a file, covers among them, evenly spread; of a clean one its first rows.

    Raises `Failure` where row numbers or labels are none.
    """
    with reader.reading(path) as data:
        classes = data.manifest.source.classes
        names = [rows_of_text.truncated(name) for name in classes]
        if data.clean:
            texts, labels = data.rows("train/texts", 0, count), data.rows("train/labels", 0, count)
            return [
                line
                for row, (text, label) in enumerate(zip(texts, labels.tolist(), strict=True))
                for line in (f"row {row}: {names[label]}", f"  {marked(text, text)}")
            ]
        rows, role, true = data["truth/rows"], data["truth/role"], data["truth/labels"]
        total = data.manifest.counts.train
        given = data["train/labels"][rows]
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
        originals, changed = data["truth/texts"][chosen], data.pick("train/texts", rows[chosen])
    found = [f"{len(chosen)} of {len(rows):,} changed rows of {total:,}; [+inserted+] [-deleted-]"]
    for i, original, text in zip(chosen, originals, changed, strict=True):
        label = f"{names[true[i]]} (cover)" if role[i] == COVER else f"{names[true[i]]} > {names[given[i]]}"
        found += [f"row {rows[i]}: {label}", f"  {marked(original, text)}"]
    return found
