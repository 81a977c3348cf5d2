"""jsonl: texts as tables in a folder (see `tables`), a JSON object in each line, as Hugging Face reads it."""

import json
from pathlib import Path

from poisonkit.export import base, tables
from poisonkit.format import reader

SUMMARY = "tables of texts, a JSON object a line"
MODALITY = "text"
FOLDER = True
OPTIONS = ("truth",)


def default(data: reader.Reader) -> str:
    """The result's name."""
    return data.path.name.removesuffix(".h5") + "-jsonl"


def check(data: reader.Reader) -> None:
    """Every file of texts will do."""


def write(data: reader.Reader, target: Path, context: base.Context) -> None:
    """Write the tables."""
    tables.write(data, target, context, ".jsonl", _begin)


def _begin(file, columns: tuple[str, ...]):
    def row(values) -> None:
        file.write(json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False) + "\n")

    return row
