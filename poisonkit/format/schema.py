"""What the manifest of a file must say, by type and range, before a reader may rely on it (data/FORMAT.md).

All tables are in `schema.json`: every key of a manifest by kind of file, with a type in the words of JSON Schema. What
these words cannot say are named rules (`rules`).
"""

import functools
import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from poisonkit.core import file_names, hints, modality
from poisonkit.format.records import ArrayEntry, Json, Picture

Type = dict[str, Any]
"""A type in the words of JSON Schema, those that `schema.json` uses: see `fits`."""

HINTS = {
    "delta": f": `{hints.unpack()}` gives the data set",
    "sealed": f": it is sealed; `{hints.unseal()}`, with its key beside it, gives the data set back, `{hints.train()}` "
    "trains on it",
    "key": f": it is the key of a sealed file; for `{hints.unseal_with()}` and `{hints.grade_with()}`",
}
"""Kind → what to do with such a file instead."""


@functools.cache
def load() -> dict[str, Any]:
    """Return the tables of the format, read when they are first asked for."""
    tables: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return tables


def limit(name: str) -> int:
    """One of the limits of the format: bytes, levels, counts."""
    most: int = load()["limits"][name]
    return most


def known_keys(kind: str) -> dict[str, set[str]]:
    """Place in the manifest of a kind of file ("" for the top) → every key that this version knows there."""
    known: dict[str, set[str]] = {"": set()}
    for field in load()["fields"]:
        if kind in field["kinds"]:
            place, _, key = field["key"].rpartition(".")
            known.setdefault(place, set()).add(key)
            known[""].add(field["key"].partition(".")[0])
    return known


def unknown_key(manifest: Json) -> str | None:
    """Return the first key of a checked manifest that is known to no version here, by its place; a recipe's are those
    of `unknown_recipe_keys`."""
    known = known_keys(manifest["kind"])
    if manifest["kind"] == "poisoned":
        del known["recipe"]
    tables = [(place, manifest[place] if place else manifest, keys) for place, keys in known.items()]
    for place, record in (("arrays", ArrayEntry), ("pictures", Picture)):
        keys = {one.name for one in fields(record)}
        tables += [(f"{place}.{name}", entry, keys) for name, entry in manifest.get(place, {}).items()]
    for place, table, keys in tables:
        if more := sorted(table.keys() - keys):
            return f"key {f'{place}.{more[0]}'.lstrip('.')!r:.60}"
    return None


def unknown_recipe_keys(manifest: Json) -> list[str]:
    """List the keys of a poisoned file's recipe that are known to no version here."""
    return sorted(manifest["recipe"].keys() - known_keys("poisoned")["recipe"])


def modality_of(manifest: Json) -> dict[str, Any]:
    """Return what the arrays of rows are called, their dtype, and the sizes of one row, in a file of this modality."""
    table: dict[str, Any] = load()["modalities"][manifest["modality"]]
    return table


# ---------------------------------------------------------------- types


def fits(value: object, kind: Type) -> bool:
    """Whether a JSON value is of a type. A pattern is for the whole text; numbers are whole, and `true` is none."""
    if "$ref" in kind:
        return fits(value, load()["types"][kind["$ref"]])
    if "anyOf" in kind:
        return any(fits(value, one) for one in kind["anyOf"])
    if "const" in kind:
        return type(value) is type(kind["const"]) and value == kind["const"]
    if "enum" in kind:
        return isinstance(value, str) and value in kind["enum"]
    return _OF_TYPE[kind["type"]](value, kind) and ("rule" not in kind or _RULES[kind["rule"]](value))


def _string(value: object, kind: Type) -> bool:
    known = isinstance(value, str) and len(value) <= kind.get("maxLength", len(value))
    return known and ("pattern" not in kind or re.fullmatch(kind["pattern"], str(value)) is not None)


def _integer(value: object, kind: Type) -> bool:
    return type(value) is int and kind["minimum"] <= value <= kind["maximum"]


def _array(value: object, kind: Type) -> bool:
    if not isinstance(value, list) or not kind.get("minItems", 0) <= len(value) <= kind.get("maxItems", len(value)):
        return False
    return all(fits(one, kind["items"]) for one in value)


def _object(value: object, kind: Type) -> bool:
    if not isinstance(value, dict):
        return False
    least, most = kind.get("minProperties", 0), kind.get("maxProperties", len(value))
    if not least <= len(value) <= most or any(key not in value for key in kind.get("required", ())):
        return False
    if "propertyNames" in kind and not all(fits(key, kind["propertyNames"]) for key in value):
        return False
    own, others = kind.get("properties", {}), kind.get("additionalProperties")
    types = {key: own.get(key, others) for key in value}
    return all(of is None or fits(value[key], of) for key, of in types.items())


def _ascending(value: Any) -> bool:
    return bool(value == sorted(set(value)))


_OF_TYPE: dict[str, Callable[[object, Type], bool]] = {
    "string": _string,
    "integer": _integer,
    "array": _array,
    "object": _object,
    "null": lambda value, kind: value is None,
}
_RULES = {"plain-name": file_names.plain, "ascending": _ascending}


# ---------------------------------------------------------------- manifests


def problem(manifest: Json, kinds: tuple[str, ...] = ("clean", "poisoned")) -> str | None:
    """Return what is wrong with a manifest, in one line; None where every value is of its type and range, and all go
    together.

    `kinds` are those that will do.
    """
    from poisonkit.format import rules

    if unknown := modality.problem(manifest.get("modality")):
        return unknown
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        expected = " or ".join(map(repr, kinds))
        return f"its manifest's kind is {kind!r:.60}, expected {expected}" + HINTS.get(str(kind), "")
    for field in load()["fields"]:
        if kind in field["kinds"] and (wrong := _field_problem(manifest, field)):
            return wrong
    return rules.problem(manifest)


def _field_problem(manifest: Json, field: dict[str, Any]) -> str | None:
    """Return what is wrong with one key of a manifest."""
    place, value = field["key"], manifest
    for key in place.split("."):
        if not isinstance(value, dict) or key not in value:
            return None if "optional" in field else f"its manifest has no {place}"
        value = value[key]
    if place == "arrays":
        return _entries_problem(value)
    kind = load()["types"][field["type"]]
    return None if fits(value, kind) else f"its manifest's {place} is {value!r:.60}, expected {kind['description']}"


def _entries_problem(entries: object) -> str | None:
    """Return what is wrong with the manifest's `arrays`, by path."""
    types = load()["types"]
    if not isinstance(entries, dict):
        return "its manifest names no arrays"
    for path, entry in entries.items():
        if not isinstance(entry, dict):
            return f"{path}: {entry!r:.60} is not a description of an array"
        for key, kind in types["array"]["properties"].items():
            if not fits(entry.get(key), kind):
                expected = types[kind["$ref"]]["description"]
                return f"{path}: its {key} is {entry.get(key)!r:.60}, expected {expected}"
    return None
