"""What `csv` and `jsonl` share: a folder of tables of texts, for whatever reads such (`make --dataset csv` among it).

    train       text, label, class: what a victim trains on, the label that it sees, and that class's name
    test        text, label, class: the clean test set
    triggered   text, label, class, wanted, row: test texts with the trigger, true labels; row is that of test
    others      text, label, class, row: the same of non-source classes, if the file has such
    originals   text, label, class, role, row: the changed training texts as they were; row is that of train
    manifest.json             what was done

With `--no-truth` there are `train` and `test` alone.
"""

from collections.abc import Callable
from pathlib import Path

from poisonkit.exporters import base
from poisonkit.format import reader

KNOWN = {"triggered": "triggered", "others": "others", "originals": "truth"}
"""Table → group of arrays, in what `--no-truth` leaves out."""
COLUMNS = ("wanted", "role", "row")
"""Further columns, where the group has such an array."""


def write(data: reader.Reader, target: Path, context: base.ExportContext, suffix: str, begin: Callable) -> None:
    """Write every table as NAME and suffix. `begin(file, columns)` begins one and gives what writes a row of it."""
    tables = {"train": "train", "test": "test"} | (KNOWN if context.truth else {})
    tables = {name: group for name, group in tables.items() if f"{group}/texts" in data}
    total = sum(base.rows(data, f"{group}/texts") for group in tables.values())
    with context.progress(total, "writing tables", "row") as bar:
        for name, group in tables.items():
            with open(target / f"{name}{suffix}", "w", encoding="utf-8", newline="") as file:
                _table(data, group, file, begin, bar)
    if context.truth:
        base.write_json(target / "manifest.json", data.manifest.json)


def _table(data: reader.Reader, group: str, file, begin: Callable, bar) -> None:
    """Write one table, in blocks."""
    names, labels = data.manifest.source.classes, data[f"{group}/labels"].tolist()
    more = [column for column in COLUMNS if f"{group}/{_array(column)}" in data]
    values = {column: data[f"{group}/{_array(column)}"].tolist() for column in more}
    row = begin(file, ("text", "label", "class", *more))
    for start, block in data.blocks(f"{group}/texts"):
        for at, text in enumerate(block, start):
            row((text, labels[at], names[labels[at]], *(values[column][at] for column in more)))
        bar.update(len(block))


def _array(column: str) -> str:
    return "rows" if column == "row" else column
