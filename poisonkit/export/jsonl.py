"""jsonl: texts as tables in a folder (see `tables`), a JSON object in each line, as Hugging Face reads it."""

import json
from pathlib import Path

from poisonkit import store
from poisonkit.export import base, tables

SUMMARY = "tables of texts, a JSON object a line"
MODALITY = "text"
FOLDER = True
OPTIONS = ("truth",)


def default(data: store.Reader) -> str:
    """The result's name."""
    return data.path.name.removesuffix(".h5") + "-jsonl"


def check(data: store.Reader) -> None:
    """Every file of texts will do."""


def write(data: store.Reader, target: Path, context: base.Context) -> None:
    """Write the tables."""
    tables.write(data, target, context, ".jsonl", _begin)


def _begin(file, columns: tuple[str, ...]):
    def row(values) -> None:
        file.write(json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False) + "\n")

    return row
