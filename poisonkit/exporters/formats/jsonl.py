"""jsonl: texts as tables in a folder (see `tables`), one JSON object per line, as Hugging Face reads it."""

import json
from pathlib import Path

from poisonkit.core.modality import TEXT
from poisonkit.exporters import base, tables
from poisonkit.format import reader


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the tables."""
    tables.write(data, target, context, ".jsonl", _begin)


def _begin(file, columns: tuple[str, ...]):
    def row(values) -> None:
        file.write(json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False) + "\n")

    return row


SPEC = base.ExportSpec(
    name="jsonl",
    help="tables of texts, one JSON object per line",
    modality=TEXT,
    options=("truth",),
    write=write,
)
