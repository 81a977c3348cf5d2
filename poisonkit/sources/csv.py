"""csv: anyone's own texts, a training and a test table in one folder, CSV or TSV.

DIR/train.csv and DIR/test.csv (or .tsv, which have no quoting), each with a first line that names its columns. The
classes are the labels of the training table: in the order of their numbers where all are whole numbers, else of their
code points.
"""

import functools
from pathlib import Path

import numpy as np

from poisonkit import class_names
from poisonkit.errors import Failure, Usage
from poisonkit.sources import base
from poisonkit.sources.text_table import Table

MODALITY = "text"
TITLE = "csv: texts and labels from a training and a test table"
LICENCE = "not stated"
URL = ""
CLASSES: tuple[str, ...] = ()  # these and the counts are the tables' own
COUNTS = (0, 0)
SHAPE = ()
HOW = "--source DIR with train.csv and test.csv (or .tsv, no quoting); the first line names the columns"
MIRROR = None
OPTIONS = {"text": "text", "label": "label", "train": "train", "test": "test"}
TEXT_OPTIONS = tuple(OPTIONS)  # they take a text where other sources' options take numbers
ARCHIVES = ()

PARTS = ("train", "test")
SUFFIXES = {".csv": True, ".tsv": False}  # suffix → whether it has quoting
MOST_CLASSES = 1_000
LONGEST_NAME = 200


def _name(value) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("the name of a column")
    return value.strip()


def _stem(value) -> str:
    plain = isinstance(value, str) and value.isprintable() and Path(value).name == value
    if not plain or not value or value.startswith("."):
        raise ValueError("the name of a table in the folder, without .csv or .tsv")
    return value


PARSERS = {"text": _name, "label": _name, "train": _stem, "test": _stem}


def locate(path: Path | None, options: dict) -> base.Origin:
    """The two tables in the folder `path`. Raises `Usage` where none is named, `Failure` where one is missing."""
    chosen = OPTIONS | options
    if path is None:
        raise Usage("source csv needs --source DIR, with train.csv and test.csv (or .tsv) in it")
    path = path.absolute()
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise Failure(f"{path} {what}: expected one with train.csv and test.csv (or .tsv) in it")
    paths = {part: _find(path, chosen[part], part) for part in PARTS}

    def decode(writer, context) -> dict:
        _decode(paths, chosen, writer, context)
        return {"kind": "folder", "path": base.text(path), "official": None}

    columns = {key: chosen[key] for key in ("text", "label")}
    return base.Origin({"tables": base.fingerprint(paths.values()), "columns": columns}, decode, options)


def _find(folder: Path, stem: str, part: str) -> Path:
    found = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if not found:
        raise Failure(f"{folder} has no {stem}.csv or {stem}.tsv: --source-option {part}=NAME says which table it is")
    if len(found) > 1:
        raise Failure(f"{folder} has both {stem}.csv and {stem}.tsv: move one away")
    return found[0]


def _decode(paths: dict[str, Path], chosen: dict, writer, context: base.Context) -> None:
    tables = {
        part: Table(base.text(path), functools.partial(open, path, "rb"), SUFFIXES[path.suffix])
        for part, path in paths.items()
    }
    columns = (chosen["label"], chosen["text"])
    found = {part: [(line, label.strip()) for line, (label, _) in tables[part].records(columns)] for part in PARTS}
    for part in PARTS:
        if not found[part]:
            raise Failure(f"{tables[part].where} has no rows below its first line")
    classes = _classes(tables["train"], found["train"], columns[0])
    numbers = {name: number for number, name in enumerate(classes)}
    for line, label in found["test"]:
        if label not in numbers:
            expected = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
            raise tables["test"].wrong(line, f"the label {base.printable(label)!r}, which is no class ({expected})")
    writer.classes = tuple(classes)
    with context.progress(sum(map(len, found.values())), "reading texts", "text") as bar:
        for part in PARTS:
            labels = np.array([numbers[label] for _, label in found[part]], np.int64)
            writer.texts(part, labels, base.counted(tables[part].texts(chosen["text"]), bar))


def _classes(table: Table, labels: list[tuple[int, str]], column: str) -> list[str]:
    """The different labels, in order; `Failure` where they cannot be the names of classes."""
    names: set[str] = set()
    for line, name in labels:
        if name in names:
            continue
        if not name or not name.isprintable() or len(name) > LONGEST_NAME:
            raise table.wrong(line, f"the label {base.printable(name)!r}, expected a short name or a number")
        names.add(name)
        if len(names) > MOST_CLASSES:
            raise Failure(f"{table.where}: over {MOST_CLASSES:,} different labels: is {column!r} the column of labels?")
    if len(names) < 2:
        raise Failure(f"{table.where}: every label is {names.pop()!r}: expected two classes or more")
    return class_names.by_number(names)
