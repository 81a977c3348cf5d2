"""csv: the user's own texts, a training and a test table in one folder, CSV or TSV.

DIR/train.csv and DIR/test.csv (or .tsv, which have no quoting, unless the option `tsv` says "quoted": spreadsheets and
pandas write such), each with a first line that names its columns. The
classes are the labels of the training table: in the order of their numbers where all are whole numbers, else of their
code points.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from poisonkit.core import class_names, file_states, files, progress
from poisonkit.core import texts as strings
from poisonkit.core.csv_tables import Table, opener, watched
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.modality import TEXT
from poisonkit.core.numbers import counted
from poisonkit.sources import base

OPTIONS = {"text": "text", "label": "label", "train": "train", "test": "test", "tsv": "plain"}

PARTS = ("train", "test")
SUFFIXES = {".csv": True, ".tsv": False}  # suffix → whether it has quoting
CLASS = "class"  # the column of names in exports of texts (`exporters.tables`)
MOST_CLASSES = 1_000
LONGEST_NAME = 200
WHOLE = re.compile(r"[0-9]{1,9}")
"""Labels that are put in the order of their numbers; all others always were in that of their code points."""


def _name(value) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("the name of a column")
    return value.strip()


def _stem(value) -> str:
    plain = isinstance(value, str) and value.isprintable() and Path(value).name == value
    if not plain or not value or value.startswith("."):
        raise ValueError("the name of a table in the folder, without .csv or .tsv")
    return value


def _quoting(value) -> str:
    if value not in ("plain", "quoted"):
        raise ValueError("plain (a .tsv has no quoting) or quoted (its cells may be in quotes)")
    return value


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find the two tables in the folder `path`. Raises `Usage` where none is named, `Failure` where one is
    missing."""
    chosen = OPTIONS | options
    path = base.required(path, "csv", "DIR, with train.csv and test.csv (or .tsv) in it")
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise Failure(f"{path} {what}: expected one with train.csv and test.csv (or .tsv) in it")
    paths = {part: _find(path, chosen[part], part) for part in PARTS}
    if chosen["tsv"] == "quoted" and all(SUFFIXES[one.suffix] for one in paths.values()):
        raise Usage("option 'tsv' of source csv: quoted is for .tsv files, and there is none")

    def decode(writer, context) -> dict:
        notices = _decode(paths, chosen, writer, context)
        if "label" not in options:
            notices += _names_elsewhere(_table(paths["train"], chosen["tsv"]), chosen["label"])
        record = {"kind": "folder", "path": files.path_text(path), "official": None}
        return record | ({"notices": notices} if notices else {})

    columns = {key: chosen[key] for key in ("text", "label", "tsv") if key != "tsv" or chosen[key] == "quoted"}
    return base.Origin({"tables": file_states.fingerprint(paths.values()), "columns": columns}, decode, options)


def _find(folder: Path, stem: str, part: str) -> Path:
    found = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
    if not found:
        raise Failure(f"{folder} has no {stem}.csv or {stem}.tsv: --source-option {part}=NAME says which table it is")
    if len(found) > 1:
        raise Failure(f"{folder} has both {stem}.csv and {stem}.tsv: remove one of them")
    return found[0]


def _table(path: Path, tsv: str) -> Table:
    """Open a table by its name: a CSV, or a TSV, which has quoting only if `tsv` says so."""
    plain = SUFFIXES[path.suffix]
    return Table(files.path_text(path), opener(path), plain or tsv == "quoted", "," if plain else "\t")


def _decode(paths: dict[str, Path], chosen: dict, writer, context: base.SourceContext) -> list[str]:
    """Write both parts; what should be known of the tables, a line each."""
    tables = {part: _table(path, chosen["tsv"]) for part, path in paths.items()}
    columns = (chosen["label"], chosen["text"])
    found = {part: [(line, label.strip()) for line, (label, _) in tables[part].records(columns)] for part in PARTS}
    for part in PARTS:
        if not found[part]:
            raise Failure(f"{tables[part].where} has no rows below its first line")
    classes = _classes(tables["train"], found["train"], columns[0])
    numbers = {name: number for number, name in enumerate(classes)}
    notices = _test_labels(tables["test"], found["test"], numbers)
    writer.classes = tuple(classes)
    with context.progress(sum(map(len, found.values())), "reading texts", "text") as bar:
        for part in PARTS:
            labels = np.array([numbers[label] for _, label in found[part]], np.int64)
            quoted: Counter[bool] = Counter()
            texts = watched(tables[part].texts(chosen["text"]), quoted)
            writer.texts(part, labels, progress.counted(texts, bar))
            if quoted[True] and not tables[part].quoted:
                notices.append(
                    f"{counted(quoted[True], 'text')} of {paths[part].name} in quotes: a .tsv has no quoting here, so "
                    "the quotes are part of the texts; --source-option tsv=quoted removes them, as in a CSV"
                )
    return notices


def _names_elsewhere(table: Table, label: str) -> list[str]:
    """Return a line where another column names each label, as the exports of texts have it: with numbers for names it
    would not be seen that a target is another class."""
    if label == CLASS or table.header().count(CLASS) != 1:
        return []
    pairs = {(number.strip(), name.strip()) for _, (number, name) in table.records((label, CLASS))}
    numbers, names = ({pair[side] for pair in pairs} for side in (0, 1))
    if numbers == names or not len(pairs) == len(numbers) == len(names):
        return []
    shown, named = class_names.by_number(numbers, WHOLE)[:8], dict(pairs)
    told = ", ".join(f"{strings.printable(number)} is {strings.printable(named[number])}" for number in shown)
    return [
        f"classes are the labels of the column {strings.printable(label)!r}; the column {CLASS!r} beside it names them "
        f"({told}{', …' if len(pairs) > 8 else ''}): --source-option label={CLASS} takes these names"
    ]


def _test_labels(table: Table, labels: list[tuple[int, str]], numbers: dict[str, int]) -> list[str]:
    """Add to `numbers` the labels of the test table that are a class's name in another spelling (NFC, NFD); a line for
    each. `Failure` for one that is no class."""
    lines, classes = [], list(numbers)
    for line, label in labels:
        if label in numbers:
            continue
        same = [name for name in classes if class_names.folded(name) == class_names.folded(label)]
        if len(same) != 1:
            expected = class_names.listed(classes)
            raise table.wrong(line, f"the label {strings.printable(label)!r}, which is not a class ({expected})")
        numbers[label] = numbers[same[0]]
        lines.append(f"the test labels {label!r} are written with other code points than the class's name (NFC, NFD)")
    return lines


def _classes(table: Table, labels: list[tuple[int, str]], column: str) -> list[str]:
    """Return the different labels, in order; `Failure` where they cannot be the names of classes."""
    names: set[str] = set()
    for line, name in labels:
        if name in names:
            continue
        if not name or not name.isprintable() or len(name) > LONGEST_NAME:
            raise table.wrong(line, f"the label {strings.printable(name)!r}, expected a short name or a number")
        names.add(name)
        if len(names) > MOST_CLASSES:
            raise Failure(f"{table.where}: over {MOST_CLASSES:,} different labels: is {column!r} the column of labels?")
    if len(names) < 2:
        raise Failure(f"{table.where}: every label is {names.pop()!r}: expected two classes or more")
    return class_names.by_number(names, WHOLE)


SPEC = base.SourceSpec(
    name="csv",
    title="csv: texts and labels from a training and a test table",
    licence="not stated",
    url="",
    how="--source DIR with train.csv and test.csv (or .tsv, no quoting); the first line names the columns",
    modality=TEXT,
    options=OPTIONS,
    parsers={"text": _name, "label": _name, "train": _stem, "test": _stem, "tsv": _quoting},
    text_options=True,
    locate=locate,
)
