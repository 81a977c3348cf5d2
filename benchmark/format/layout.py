"""The arrays that a file must have, by its manifest: their dtypes, how their shapes fit together, and their values.

All is in the table `arrays` of `schema.json`. Sizes in it are numbers, or letters that stand for one number throughout
a file: "N" training rows, "H", "W", "C" of an image, "h", "w" of a tile, "K" taps of one trigger; "≤h" is at most that,
"C+1" one more, and "..." the sizes of one row. Those of a delta are its original's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import Failure
from benchmark.format import schema
from benchmark.format.schema import Json

if TYPE_CHECKING:
    import numpy as np

Sizes = dict[str, int]


@dataclass(frozen=True)
class Expected:
    """One array that a file may have: its path, a row of the table, and the number of the trigger that it is of."""

    path: str
    row: Json
    dtype: str
    trigger: int | None

    @property
    def group(self) -> str | None:
        """The name of the group that is there as a whole or not at all."""
        optional = self.row.get("optional")
        own = "" if self.trigger is None else f" of trigger {self.trigger}"
        return optional + own if isinstance(optional, str) else None

    @property
    def required(self) -> bool:
        """Whether a file must have it whatever else it has."""
        return "optional" not in self.row

    def shapes(self, manifest: Json) -> list[list[int | str]]:
        """Return the shapes that will do, in sizes."""
        one = schema.rows_of(manifest["modality"])["shape"]
        return [[size for part in shape for size in (one if part == "..." else [part])] for shape in self.row["shapes"]]


def expected(manifest: Json) -> dict[str, Expected]:
    """Return the arrays that a file with this manifest may have, by path, in the order of the table."""
    return {one.path: one for row in schema.tables()["arrays"] for one in _of_row(row, manifest)}


def _of_row(row: Json, manifest: Json) -> Iterator[Expected]:
    if manifest["kind"] not in row["kinds"] or row.get("modality", manifest["modality"]) != manifest["modality"]:
        return
    rows = schema.rows_of(manifest["modality"])
    triggers = _original(manifest).get("recipe", {}).get("triggers", [])
    for trigger in range(len(triggers)) if "{I}" in row["path"] else [None]:
        spell = {"{rows}": rows["rows"], "{I}": str(trigger)}
        if _present(_spelled(row.get("if", ""), spell), manifest):
            dtype = rows["dtype"] if row["dtype"] == "rows" else row["dtype"]
            yield Expected(_spelled(row["path"], spell), row, dtype, trigger)


def _original(manifest: Json) -> Json:
    original: Json = manifest.get("of", manifest)
    return original


def _spelled(text: str, spell: Mapping[str, str]) -> str:
    for sign, word in spell.items():
        text = text.replace(sign, word)
    return text


def _present(condition: str, manifest: Json) -> bool:
    """Whether an array of the original, or a key of the manifest, is there."""
    if condition.startswith("original "):
        return condition.removeprefix("original ") in manifest["of"]["arrays"]
    value: Any = manifest
    for key in condition.split(".") if condition else ():
        if key not in value:
            return False
        value = value[key]
    return True


def check(manifest: Json) -> Sizes:
    """Return the table of arrays of a manifest has exactly the arrays of such a file, of the right dtypes, and shapes
    that fit one another. Returns what each size is. Raises `Failure` with one line."""
    entries, known = manifest["arrays"], expected(manifest)
    sizes = check(manifest["of"]) if "of" in manifest else {"classes": len(manifest["source"]["classes"])}
    for path in entries:
        if path not in known:
            raise Failure(f"its manifest names an array that a {manifest['kind']} file has not: {path!r:.80}")
    groups = {known[path].group for path in entries} - {None}
    for path, array in known.items():
        if path not in entries and (array.required or array.group in groups):
            raise Failure(f"its manifest names no array {path}")
    for path, array in known.items():
        if path in entries:
            sizes |= _check_entry(array, manifest, sizes)
    return sizes


def _check_entry(array: Expected, manifest: Json, sizes: Sizes) -> Sizes:
    """Return the sizes that an array is the first to have."""
    entry, path = manifest["arrays"][array.path], array.path
    if entry["dtype"] != array.dtype:
        raise Failure(f"{path} is of type {entry['dtype']!r:.40}, expected {array.dtype!r}")
    shapes = array.shapes(manifest)
    if len(entry["shape"]) != len(shapes[0]):
        raise Failure(f"{path} has shape {entry['shape']!s:.80}, expected {len(shapes[0])} dimensions")
    for shape in shapes:
        fitted = _fitted(entry["shape"], shape, array.trigger, manifest, sizes)
        if fitted is not None:
            return fitted
    raise Failure(f"{path} has shape {entry['shape']!s:.80}, expected {_spelled_shapes(array, manifest, sizes)}")


def _spelled_shapes(array: Expected, manifest: Json, sizes: Sizes) -> str:
    shapes = []
    for shape in array.shapes(manifest):
        parts = []
        for part in shape:
            size = _size(part, array.trigger, manifest, sizes)
            most = "≤" if str(part).startswith("≤") else ""
            parts.append(_limits(str(part)) if size is None else f"{most}{size}")
        shapes.append(f"[{', '.join(parts)}]")
    letters = {part for part in array.shapes(manifest)[0] if isinstance(part, str)}
    others = (one for one in expected(manifest).values() if letters & set(one.shapes(manifest)[0]))
    first = "its original" if "of" in manifest else next(others).path
    return " or ".join(shapes) + (f", to fit {first}" if first != array.path else "")


def _limits(letter: str) -> str:
    allowed = schema.tables()["sizes"][letter]
    return " or ".join(map(str, allowed["enum"])) if "enum" in allowed else f"{letter} ≤ {allowed['maximum']}"


def _fitted(
    shape: list[int], sought: list[int | str], trigger: int | None, manifest: Json, sizes: Sizes
) -> Sizes | None:
    found: Sizes = {}
    for actual, part in zip(shape, sought, strict=True):
        size = _size(part, trigger, manifest, sizes | found)
        if size is None:
            allowed = schema.tables()["sizes"].get(part, {})
            if actual < 1 or actual > allowed.get("maximum", actual) or actual not in allowed.get("enum", [actual]):
                return None
            found[_letter(str(part), trigger)] = actual
        elif str(part).startswith("≤"):
            if not 1 <= actual <= size:
                return None
        elif actual != size:
            return None
    return found


def _size(part: int | str, trigger: int | None, manifest: Json, sizes: Sizes) -> int | None:
    """Return what a size stands for, None where that is not known yet."""
    if isinstance(part, int):
        return part
    letter = part.removeprefix("≤").removesuffix("+1")
    if letter in ("h", "w"):
        patch: list[int] = _original(manifest)["recipe"]["patch"] or [sizes["H"], sizes["W"]]
        size: int | None = patch["hw".index(letter)]
    else:
        size = sizes.get(_letter(letter, trigger))
    return size + 1 if size is not None and part.endswith("+1") else size


def _letter(letter: str, trigger: int | None) -> str:
    of_one = schema.tables()["sizes"].get(letter, {}).get("of") == "trigger"
    return f"{letter} of {trigger}" if of_one else letter


# ---- triggers on images


def told(manifest: Json, part: str) -> bool:
    """Whether the arrays of a poisoned file of images say all that its triggers do to rows of `train` or `test`: each
    has a stencil or a table, and each row gets all."""
    one_each = part == "train" and "one_of" in manifest["recipe"]
    numbers = range(len(manifest["recipe"].get("triggers", [])))
    return not one_each and all(told_of(manifest, number, part) for number in numbers)


def told_of(manifest: Json, number: int, part: str) -> bool:
    """Whether they say it of one trigger."""
    names = ["taps", "table"] + (["test_taps", "test_table"] if part == "test" else [])
    return any(f"trigger/{number}/{name}" in manifest["arrays"] for name in names)


# ---- values


def check_values(manifest: Json, arrays: "Mapping[str, np.ndarray]") -> None:
    """Labels are classes, rows exist and ascend, roles are 1 or 2, in those arrays that were read of a file whose
    manifest was checked. Raises `Failure` with one line."""
    sizes = check(manifest)
    for path, array in expected(manifest).items():
        if path in arrays and "values" in array.row:
            _check_array_values(path, arrays[path], array.row["values"], sizes)


def _check_array_values(path: str, array: "np.ndarray", values: Json, sizes: Sizes) -> None:
    import numpy as np  # late: commands that read no array start without it

    if "one_of" in values and not np.isin(array, values["one_of"]).all():
        raise Failure(f"{path} holds something other than {' and '.join(map(str, values['one_of']))}")
    if "below" in values:
        end = sizes[values["below"]]
        outside = array[(array < 0) | (array >= end)]
        if len(outside):
            what = f"{path} holds row {outside[0]}, there are {end}"
            classes = f"{path} holds {outside[0]}, the classes are 0 … {end - 1}"
            raise Failure(classes if values["below"] == "classes" else what)
    if values.get("ascending") and np.any(array[1:] <= array[:-1]):
        raise Failure(f"{path} is not ascending")
