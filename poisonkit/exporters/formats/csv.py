"""csv: texts as CSV tables in a folder (see `tables`), UTF-8, lines that end in a single line feed. Every text stands
in quotes, numbers alone do not: a carriage return in a text would else end the row for some readers."""

import csv
from pathlib import Path

from poisonkit.core.modality import TEXT
from poisonkit.exporters import base, tables
from poisonkit.format import reader


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the tables."""
    tables.write(data, target, context, ".csv", _begin)


def _begin(file, columns: tuple[str, ...]):
    table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(columns)
    return table.writerow


SPEC = base.ExportSpec(
    name="csv",
    help="tables of texts, which `make --dataset csv` reads again",
    modality=TEXT,
    options=("truth",),
    write=write,
)
