"""The tables of the file format (`schema.json`, the same file that data/FORMAT.md is made of), and values against them.

The table of the manifest's keys uses the words of JSON Schema for types; this reads those of them that it uses. What
the tables cannot say are named rules, which `rules` has.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any

from benchmark.core import file_names
from benchmark.core.errors import Failure

Json = dict[str, Any]


@functools.cache
def tables() -> Json:
    """Return the whole of `schema.json`, read once."""
    found: Json = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return found


def limit(name: str) -> int:
    """Return a limit of the format, in bytes or as a number."""
    return int(tables()["limits"][name])


def rows_of(modality: str) -> Json:
    """How a modality's arrays of rows are called (`rows`), their `dtype`, and the sizes of one row (`shape`)."""
    found: Json = tables()["modalities"][modality]
    return found


def check_fields(manifest: Json) -> None:
    """Every key that the manifest of a kind must have is there, and of its type. Raises `Failure` with one line."""
    for field in tables()["fields"]:
        if manifest["kind"] in field["kinds"]:
            _check_field(manifest, field)


def _check_field(manifest: Json, field: Json) -> None:
    *parents, last = field["key"].split(".")
    table: Any = manifest
    for number, key in enumerate(parents):
        table = table.get(key)
        if not isinstance(table, dict):
            raise Failure(f"its manifest has no {'.'.join(parents[: number + 1])}")
    if last not in table:
        if field.get("optional"):
            return
        raise Failure(f"its manifest has no {field['key']}")
    if field["key"] == "arrays":
        _check_entries(table[last])
    elif not is_a(table[last], field["type"]):
        what, value = _description(field["type"]), table[last]
        why = f", which {file_names.problem(value)}" if field["type"] == "name" else ""
        raise Failure(f"its manifest's {field['key']} is {value!r:.60}{why}: expected {what}")


def _check_entries(entries: object) -> None:
    """Check the table of arrays, whose entries have digest, dtype and shape."""
    if not isinstance(entries, dict):
        raise Failure("its manifest has no table of arrays")
    for path, entry in entries.items():
        table = entry if isinstance(entry, dict) else {}
        for key, rule in tables()["types"]["array"]["properties"].items():
            if not _holds(table.get(key), rule):
                what = _description(rule["$ref"])
                raise Failure(f"{path:.80} has the {key} {table.get(key)!r:.40} in its manifest, expected {what}")


def _description(name: str) -> str:
    return str(tables()["types"][name]["description"])


def is_a(value: object, name: str) -> bool:
    """Whether a value is of one of the types that the tables name."""
    return _holds(value, tables()["types"][name])


def _holds(value: object, rule: Json) -> bool:
    """Whether a value is as a type in JSON Schema's words says; a pattern is for the whole of a text."""
    if "$ref" in rule:
        return is_a(value, rule["$ref"])
    if "anyOf" in rule:
        return any(_holds(value, one) for one in rule["anyOf"])
    for constant in rule.get("enum", [rule["const"]] if "const" in rule else []):
        if type(value) is type(constant) and value == constant:
            return True
    match rule.get("type"):
        case "null":
            return value is None
        case "integer":  # `True` is none
            return type(value) is int and rule["minimum"] <= value <= rule["maximum"]
        case "string":
            return isinstance(value, str) and _is_text(value, rule)
        case "array":
            return isinstance(value, list) and _is_list(value, rule)
        case "object":
            return isinstance(value, dict) and _is_table(value, rule)
    return False


def _is_text(value: str, rule: Json) -> bool:
    short = "maxLength" not in rule or len(value) <= rule["maxLength"]
    plain = rule.get("rule") != "plain-name" or file_names.problem(value) is None
    return short and plain and ("pattern" not in rule or re.fullmatch(rule["pattern"], value) is not None)


def _is_list(value: list[Any], rule: Json) -> bool:
    sized = rule.get("minItems", 0) <= len(value) and ("maxItems" not in rule or len(value) <= rule["maxItems"])
    whole = sized and all(_holds(item, rule["items"]) for item in value)
    return whole and (rule.get("rule") != "ascending" or value == sorted(set(value)))


def _is_table(value: Json, rule: Json) -> bool:
    if len(value) < rule.get("minProperties", 0) or len(value) > rule.get("maxProperties", len(value)):
        return False
    if not set(rule.get("required", ())) <= value.keys():
        return False
    for key, item in value.items():
        if "propertyNames" in rule and not _holds(key, rule["propertyNames"]):
            return False
        of = rule.get("properties", {}).get(key, rule.get("additionalProperties"))
        if of is not None and not _holds(item, of):
            return False
    return True
