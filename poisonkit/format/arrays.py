"""Which arrays a file has, of which dtype and shape, and which values: the table `arrays` of `schema.json`, by kind.

A shape is spelled in sizes: numbers, letters that stand for the same number throughout a file (N training rows,
H × W × C bytes of an image, …; a delta's and a key's are those of its original), "≤h" for at most, "C+1" for one more.
"..." are the sizes of one row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poisonkit.format import schema
from poisonkit.format.records import Json

Size = int | str


@dataclass(frozen=True)
class Form:
    """What is expected of one array.

    Attributes
    ----------
    dtype : str
        As the manifest spells it.
    shapes : tuple
        The shapes that will do, in sizes.
    optional : bool or str
        Whether a file may lack it; a text is the group that is there as a whole, or not at all.
    same : bool
        Whether it is an array of the original's: the same entry.
    values : dict
        What its values are: ``below`` a size, ``ascending``, ``one_of`` a list.
    trigger : int or None
        Which trigger it belongs to.
    """

    dtype: str
    shapes: tuple[tuple[Size, ...], ...]
    optional: bool | str = False
    same: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    trigger: int | None = None


def forms(manifest: Json) -> dict[str, Form]:
    """Return the arrays that a file with this manifest may have, by path."""
    kind, name = manifest["kind"], manifest["modality"]
    triggers = manifest.get("of", manifest).get("recipe", {}).get("triggers", ())
    expected = {}
    for entry in schema.load()["arrays"]:
        if kind in entry["kinds"] and entry.get("modality", name) == name:
            for number in range(len(triggers)) if "{I}" in entry["path"] else (None,):
                path = _spelled(entry["path"], manifest, number)
                if _allowed(entry.get("if"), manifest, number):
                    expected[path] = _form(entry, manifest, number)
    return expected


def _form(entry: dict[str, Any], manifest: Json, number: int | None) -> Form:
    rows = schema.modality_of(manifest)
    dtype = rows["dtype"] if entry["dtype"] == "rows" else entry["dtype"]
    shapes = tuple(
        tuple(size for part in shape for size in (rows["shape"] if part == "..." else [part]))
        for shape in entry["shapes"]
    )
    more = {key: entry[key] for key in ("optional", "same", "values") if key in entry}
    if number is not None and isinstance(more.get("optional"), str):
        more["optional"] += f" of trigger {number}"
    return Form(dtype, shapes, trigger=number, **more)


def _spelled(path: str, manifest: Json, number: int | None) -> str:
    """Return a path of the table in this file."""
    return path.replace("{rows}", schema.modality_of(manifest)["rows"]).replace("{I}", str(number))


def _allowed(condition: str | None, manifest: Json, number: int | None) -> bool:
    """Whether what an array depends on is there: a key of the manifest, or an array of the original."""
    if condition is None:
        return True
    if condition.startswith("original "):
        return _spelled(condition.removeprefix("original "), manifest, number) in manifest["of"]["arrays"]
    value: Any = manifest
    for key in condition.split("."):
        if key not in value:
            return False
        value = value[key]
    return True


# ---------------------------------------------------------------- the table against the format


def problem(manifest: Json) -> str | None:
    """Return what is wrong with the table of arrays of a manifest that was checked otherwise; None where they are
    exactly those of such a file, with their dtypes, and shapes that fit one another."""
    expected, entries = forms(manifest), manifest["arrays"]
    if differing := sorted(_missing(expected, entries) | (entries.keys() - expected.keys())):
        return f"its arrays are not those of a {manifest['kind']} file: {differing!s:.200}"
    known = sizes_of(manifest["of"]) if "of" in manifest else {}
    for path, form in expected.items():
        if path in entries and (wrong := _entry_problem(path, form, manifest, known)):
            return wrong
    return None


def _missing(expected: dict[str, Form], entries: Json) -> set[str]:
    """Return the arrays that must be there and are not."""
    groups = {form.optional for path, form in expected.items() if path in entries}
    return {
        path
        for path, form in expected.items()
        if path not in entries and (not form.optional or (isinstance(form.optional, str) and form.optional in groups))
    }


def _entry_problem(path: str, form: Form, manifest: Json, known: dict[str, int]) -> str | None:
    """Return what is wrong with one entry; sizes that it is the first to have go into `known`."""
    entry = manifest["arrays"][path]
    if form.same and entry != manifest["of"]["arrays"][path]:
        return f"{path} is not that of the original, which a key keeps"
    if entry["dtype"] != form.dtype:
        return f"{path} is {entry['dtype']:.40}, expected {form.dtype}"
    for shape in form.shapes:
        found = _matched(entry["shape"], shape, form.trigger, manifest, known)
        if found is not None:
            known |= found
            return None
    expected = " or ".join(_shown(shape, form.trigger, manifest, known) for shape in form.shapes)
    return f"{path} has shape {entry['shape']!s:.80}, expected {expected}{_mate(path, form, manifest)}"


def _mate(path: str, form: Form, manifest: Json) -> str:
    """Which array an array's shape has to fit: the first that shares a size with it."""
    if "of" in manifest:
        return ", to fit its original"
    letters = {part for part in form.shapes[0] if isinstance(part, str)}
    mates = [one for one, other in forms(manifest).items() if letters & set(other.shapes[0])]
    return f", to fit {mates[0]}" if mates and mates[0] != path else ""


def _matched(
    shape: list[int], expected: tuple[Size, ...], trigger: int | None, manifest: Json, known: dict[str, int]
) -> dict[str, int] | None:
    """Return the sizes that a shape is the first to have; None where it does not fit."""
    new: dict[str, int] = {}
    if len(shape) != len(expected):
        return None
    for size, part in zip(shape, expected, strict=True):
        value = _value(part, trigger, manifest, known | new)
        if isinstance(part, str) and part.startswith("≤"):
            if value is None or not 1 <= size <= value:
                return None
        elif value is None:
            if not _in_range(size, str(part)):
                return None
            new[_name(str(part), trigger)] = size
        elif size != value:
            return None
    return new


def _value(part: Size, trigger: int | None, manifest: Json, known: dict[str, int]) -> int | None:
    """Return what a size is in this file, None where nothing has said it yet."""
    if isinstance(part, int):
        return part
    if part in ("h", "w"):  # of a tile: the patch, or the image
        patch = manifest.get("of", manifest)["recipe"].get("patch")
        return patch["hw".index(part)] if patch else known.get(part.upper())
    if part.startswith("≤"):
        return _value(part[1:], trigger, manifest, known)
    if part.endswith("+1"):
        least = _value(part[:-2], trigger, manifest, known)
        return None if least is None else least + 1
    return known.get(_name(part, trigger))


def _name(part: str, trigger: int | None) -> str:
    """Each trigger has its own number of taps, for one."""
    return f"{part}{trigger}" if schema.load()["sizes"].get(part, {}).get("of") == "trigger" else part


def _in_range(size: int, part: str) -> bool:
    """No array is empty, and none endless."""
    within = schema.load()["sizes"].get(part, {})
    return 1 <= size <= within.get("maximum", size) and size in within.get("enum", [size])


def _shown(shape: tuple[Size, ...], trigger: int | None, manifest: Json, known: dict[str, int]) -> str:
    """Return a shape with what is known of its sizes."""
    parts = []
    for part in shape:
        value, sign = _value(part, trigger, manifest, known), "≤" if str(part).startswith("≤") else ""
        within = schema.load()["sizes"].get(part, {})
        limits = " or ".join(map(str, within["enum"])) if "enum" in within else f"{part} ≤ {within.get('maximum')}"
        parts.append(limits if value is None else f"{sign}{value}")
    return f"[{', '.join(parts)}]"


def sizes_of(manifest: Json) -> dict[str, int]:
    """Return what the letters of the table stand for in a file whose manifest was checked, and `classes`."""
    known = sizes_of(manifest["of"]) if "of" in manifest else {"classes": len(manifest["source"]["classes"])}
    for path, form in forms(manifest).items():
        if path in manifest["arrays"]:
            _entry_problem(path, form, manifest, known)
    return known


# ---------------------------------------------------------------- values


def value_problem(path: str, array: np.ndarray, form: Form, sizes: dict[str, int]) -> str | None:
    """Return what is wrong with the values of an array, in one line; None where nothing is: labels that are of no
    class, rows that do not ascend or do not exist, roles of no kind."""
    values = form.values
    if "one_of" in values:
        known = np.isin(array, values["one_of"]).all()
        return None if known else f"{path}: is not {' or '.join(map(str, values['one_of']))} everywhere"
    if "below" not in values:
        return None
    end = sizes[values["below"]]
    inside = bool(array.min() >= 0) and bool(array.max() < end)
    if "ascending" in values:
        sound = inside and bool((np.diff(array) > 0).all())
        return None if sound else f"{path}: rows must ascend and lie in 0 … {end - 1:,}"
    return None if inside else f"{path}: has labels outside 0 … {end - 1}"


def checked_values(manifest: Json) -> Iterator[str]:
    """Yield the arrays of a file whose values can be checked, by path."""
    for path, form in forms(manifest).items():
        if path in manifest["arrays"] and form.values:
            yield path


def kept_in_key(path: str, original: Json) -> bool:
    """Whether a key keeps this array of its original: neither what the sealed file has nor what follows from it or from
    the triggers' arrays."""
    kept = {entry["path"] for entry in schema.load()["arrays"] if entry.get("same")}
    group, *rest = path.split("/")
    spelled = path if group != "trigger" else "/".join(["trigger", "{I}", *rest[1:]])
    rows = {entry["rows"] for entry in schema.load()["modalities"].values()}
    if path in TESTED_IMAGES:
        return not told(original, "test")
    return spelled in kept or (rest[-1] in rows and f"{group}/{{rows}}" in kept)


TESTED_IMAGES = ("triggered/images", "others/images")
"""Triggered test images, which follow from the triggers' arrays where these say it all."""


def told(manifest: Json, part: str) -> bool:
    """Whether the arrays of a poisoned file of images say all that its triggers do to rows of `train` or `test`: each
    has a stencil or a table, and each row gets all."""
    numbers = range(len(manifest["recipe"].get("triggers", ())))
    one_each = part == "train" and "one_of" in manifest["recipe"]
    return not one_each and all(told_of(manifest, number, part) for number in numbers)


def told_of(manifest: Json, number: int, part: str) -> bool:
    """Whether they say it of one trigger."""
    names = ("taps", "table") if part == "train" else ("taps", "table", "test_taps", "test_table")
    return any(f"trigger/{number}/{name}" in manifest["arrays"] for name in names)
