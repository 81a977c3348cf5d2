"""`poisonkit stats` of texts: how long they are, what was put into them, how far the changed one is from the original.

Words are what white space separates. *Inserted* are the words that the changed text has more often than the original.
The edit distances are Levenshtein's, in words and in characters: the least number of them to put in, take out or
replace; shares are of the longer text. Of texts so long and so different that this would take minutes, they are left
out.
"""

from collections import Counter
from typing import Any

import numpy as np

from poisonkit.core import texts
from poisonkit.core.errors import Usage
from poisonkit.poisoning import recipe
from poisonkit.triggers import registry as triggers

MEASURES = ("before", "after", "inserted", "distance", "words", "characters")
TITLES = {
    "before": "words before",
    "after": "words after",
    "inserted": "inserted words",
    "distance": "edit distance, words",
    "words": "changed words %",
    "characters": "changed characters %",
}
SHARES = ("words", "characters")
MOST_CELLS = 4 * 10**8  # of the table of an edit distance: a second or two
LABEL, COLUMN = 22, 22


def edit_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Levenshtein's distance of two sequences of numbers, (n,) and (m,); NaN where it would take too long.

    Row by row of the table of distances; what replacing and taking out give is known at once for a whole row, and
    putting in is the running minimum along it.
    """
    start, end = 0, 0
    shorter = min(len(a), len(b))
    if shorter:
        differing = np.flatnonzero(a[:shorter] != b[:shorter])
        start = int(differing[0]) if len(differing) else shorter
        rest = shorter - start
        differing = np.flatnonzero(a[len(a) - rest :][::-1] != b[len(b) - rest :][::-1])
        end = int(differing[0]) if len(differing) else rest
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    a, b = (a, b) if len(a) <= len(b) else (b, a)
    if len(a) * len(b) > MOST_CELLS:
        return float("nan")
    columns = np.arange(len(b) + 1)
    row = columns
    for i, item in enumerate(a):
        best = np.minimum(row[1:] + 1, row[:-1] + (b != item))
        row = np.minimum.accumulate(np.concatenate(([i + 1], best)) - columns) + columns
    return float(row[-1])


def measure(originals: np.ndarray, changed: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure for each pair of texts (n,) object: name → (n,) float64."""
    found = [_pair(original, text) for original, text in zip(originals, changed, strict=True)]
    columns = np.array(found, np.float64).reshape(-1, len(MEASURES)).T
    return dict(zip(MEASURES, columns, strict=True))


def _pair(original: str, changed: str) -> tuple[float, ...]:
    """Return the measures of one pair, in the order of `MEASURES`."""
    before, after = texts.split_words(original), texts.split_words(changed)
    inserted = (Counter(after) - Counter(before)).total()
    numbers: dict[str, int] = {}
    spelled = [np.array([numbers.setdefault(word, len(numbers)) for word in words]) for words in (before, after)]
    letters = [np.frombuffer(text.encode("utf-32-le"), "<u4") for text in (original, changed)]
    distance = edit_distance(*spelled)
    of_letters = edit_distance(*letters)
    shares = distance / max(map(len, spelled)), of_letters / max(map(len, letters))
    return len(before), len(after), inserted, distance, *shares


def clean_words(data) -> dict[str, dict[str, int]]:
    """Word or sentence of the file's triggers → part → in how many clean rows it stands."""
    from poisonkit.core import texts

    try:
        steps = recipe.recipe_of(data.manifest.recipe).steps
        pieces = [piece for name, parameters in steps for piece in triggers.text_trigger(name).phrases(parameters)]
    except Usage:
        return {}
    pieces, train = list(dict.fromkeys(pieces)), data["train/texts"]
    if not pieces:
        return {}
    train[data["truth/rows"]] = data["truth/texts"]
    counts = {"train": texts.holding(train, pieces), "test": texts.holding(data["test/texts"], pieces)}
    return {piece: {part: found[piece] for part, found in counts.items()} for piece in pieces}


def lines(summary: dict) -> list[str]:
    """Return the table for people: a line a measure, a column a group of texts."""
    groups = {name: part for name, part in summary.items() if "texts" in part}
    words: dict[str, Any] = next((part for part in summary.values() if "texts" not in part), {})
    rows = [("", list(groups))]
    rows += [(key, [f"{part[key]:,}" for part in groups.values()]) for key in ("texts", "unchanged")]
    for key in MEASURES:
        rows.append((TITLES[key], [_cell(part[key], 100 if key in SHARES else 1) for part in groups.values()]))
    table = [f"{label:{LABEL}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells) for label, cells in rows]
    left_out = sum(part.get("too_long", 0) for part in groups.values())
    without = f"; edit distances without {left_out:,} texts that are too long for them" if left_out else ""
    table.append(f"mean (min–max){without}")
    for piece, found in words.items():
        where = f"{found['train']:,} clean training rows and {found['test']:,} clean test rows"
        table.append(f"{texts.truncated(piece)!r} stands in {where}")
    return table


def _cell(values: dict | None, scale: int) -> str:
    if values is None:
        return "–"
    mean, least, greatest = (values[kind] * scale for kind in ("mean", "min", "max"))
    digits = 1 if scale > 1 else 0
    return f"{mean:.1f} ({least:.{digits}f}–{greatest:.{digits}f})"
