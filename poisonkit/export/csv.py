"""csv: texts as CSV tables in a folder (see `tables`), UTF-8, lines that end in a single line feed. Every text stands
in quotes, numbers alone do not: a carriage return in a text would else end the row for some readers."""

import csv
from pathlib import Path

from poisonkit.export import base, tables
from poisonkit.format import reader

SUMMARY = "CSV tables of texts"
MODALITY = "text"
FOLDER = True
OPTIONS = ("truth",)


def default(data: reader.Reader) -> str:
    """The result's name."""
    return data.path.name.removesuffix(".h5") + "-csv"


def check(data: reader.Reader) -> None:
    """Every file of texts will do."""


def write(data: reader.Reader, target: Path, context: base.Context) -> None:
    """Write the tables."""
    tables.write(data, target, context, ".csv", _begin)


def _begin(file, columns: tuple[str, ...]):
    table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(columns)
    return table.writerow
