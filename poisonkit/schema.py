"""What the manifest of a file must say, by type and range, before a reader may rely on it (data/FORMAT.md)."""

import re

from poisonkit import hints, labels, modality, naming

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RATE = re.compile(r"0|1|0\.[0-9]{0,30}[1-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHARE = re.compile(r"[1-9][0-9]{0,18}/[1-9][0-9]{0,18}")
_PLACE = re.compile(r"0|[1-9][0-9]?")  # of a trigger in the recipe
_SALT = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  # a trigger's name, say, of a version that is not known here
_SECRET = re.compile(r"0|[1-9][0-9]{0,99}")
_SOURCE_ARRAYS = [
    {"train/labels", "test/labels", kind.path("train"), kind.path("test")} for kind in modality.KNOWN.values()
]


def _text(value) -> bool:
    return isinstance(value, str) and _CONTROL.search(value) is None


def _count(value) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _digest(value) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _rate(value) -> bool:
    return isinstance(value, str) and _RATE.fullmatch(value) is not None


def _names(value) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _word(value) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _parameter(value) -> bool:
    lists = isinstance(value, list) and (all(map(_integer, value)) or all(map(_text, value)))
    return _text(value) or _integer(value) or lists


def _integer(value) -> bool:
    return type(value) is int and abs(value) < 2**63


def _table(value) -> bool:
    return isinstance(value, dict) and all(_text(key) and _parameter(child) for key, child in value.items())


def _triggers(value) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 100 and all(map(_trigger, value))


def _trigger(step) -> bool:
    """A name and parameters, whether or not they are known here: few, and each a word and a short value."""
    if not _table(step) or not _word(step.get("name")) or len(step) > 64:
        return False
    return all(map(_word, step)) and all(isinstance(v, int) or len(v) <= 100_000 for v in step.values())


def _pictures(value) -> bool:
    return isinstance(value, dict) and all(_PLACE.fullmatch(key) and _picture(child) for key, child in value.items())


def _picture(value) -> bool:
    return _table(value) and ("digest" not in value or _digest(value["digest"]))


def _patch(value) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(_count(n) and n > 0 for n in value))


def _class(value) -> bool:
    return value is None or _count(value)


def _classes(value) -> bool:
    whole = isinstance(value, list) and bool(value) and all(map(_count, value))
    return whole and value == sorted(set(value))


def _source_arrays(value) -> bool:
    return isinstance(value, dict) and value.keys() in _SOURCE_ARRAYS and all(map(_digest, value.values()))


def _sidecar(value) -> bool:
    return value is None or isinstance(value, dict)


TEXT = (_text, "a line of text")
NAME = (naming.plain, naming.EXPECTED)
WORD = (_word, "a word of small letters")
COUNT = (_count, "a whole number, not negative")
DIGEST = (_digest, "sha256: and 64 digits")
NAMES = (_names, "a list of names")
TABLE = (_table, "a table of numbers and texts")


def _only(*known):
    return (lambda value: value in known and isinstance(value, str)), " or ".join(map(repr, known))


EVERY_FILE = {
    "name": NAME,
    "notice": TEXT,
    "recipe_version": COUNT,
    "dataset_digest": DIGEST,
    "source.name": NAME,
    "source.title": TEXT,
    "source.licence": TEXT,
    "source.url": TEXT,
    "source.classes": NAMES,
    "source.options": TABLE,
    "source.arrays": (_source_arrays, "the digests of the four clean arrays"),
    "source.digest": DIGEST,
    "recipe.rate": (_rate, "a decimal from 0 to 1"),
    "pictures": (_pictures, "a table of pictures, by the number of their trigger"),
    "counts.train": COUNT,
    "counts.test": COUNT,
}
"""Place → (whether a value will do, what was expected)."""

POISONED_FILE = {
    "recipe.seed": COUNT,
    "recipe.streams": NAMES,
    "recipe.application": _only("image", "patch", "text"),
    "recipe.patch": (_patch, "null or two sizes"),
    "recipe.label_mode": WORD,
    "recipe.target": (_class, "a class, or null"),
    "recipe.select": WORD,
    "recipe.triggers": (_triggers, "a list of triggers, each with a name and its parameters"),
    "counts.triggered": COUNT,
    "counts.eligible": COUNT,
    "counts.poisoned": COUNT,
    "counts.cover": COUNT,
    "counts.already_target": COUNT,
    "counts.unchanged": COUNT,
}

OPTIONAL = {
    "recipe.source_classes": (_classes, "a list of classes, each once, ascending"),
    "recipe.cover_rate": ((lambda value: _rate(value) and value != "0"), "a decimal above 0, up to 1"),
    "recipe.cover_jitter": ((lambda value: value is True), "true"),
    "counts.others": ((lambda value: _count(value) and value > 0), "a whole number above 0"),
}
"""What a poisoned file's manifest may say beside these."""

KEY_OPTIONAL = {
    "even_labels": ((lambda value: isinstance(value, str) and _SHARE.fullmatch(value) is not None), "a fraction, n/m"),
}
"""What a key's manifest may say beside what it must."""

ARRAY = {"digest": DIGEST, "dtype": TEXT, "shape": (lambda value: isinstance(value, list) and all(map(_count, value)),
                                                    "a list of sizes")}  # fmt: skip

SEALED_FILE = {
    "name": NAME,
    "notice": TEXT,
    "dataset_digest": DIGEST,
    "commitment": DIGEST,
    "source.name": NAME,
    "source.title": TEXT,
    "source.licence": TEXT,
    "source.url": TEXT,
    "source.classes": NAMES,
    "counts.train": COUNT,
    "counts.test": COUNT,
}

DELTA_FILE = {
    "name": NAME,
    "notice": TEXT,
    "dataset_digest": DIGEST,
    "of": (lambda value: isinstance(value, dict), "the manifest of the original"),
    "file.size": COUNT,
    "file.sha256": DIGEST,
}

KEY_FILE = {
    "name": NAME,
    "notice": TEXT,
    "dataset_digest": DIGEST,
    "commitment": DIGEST,
    "challenge": DIGEST,
    "salt": (lambda value: isinstance(value, str) and _SALT.fullmatch(value) is not None, "64 hexadecimal digits"),
    "secret": (lambda value: isinstance(value, str) and _SECRET.fullmatch(value) is not None, "a number, as a text"),
    "file.size": COUNT,
    "file.sha256": DIGEST,
    "sidecar": (_sidecar, "null or what the original's sidecar said"),
    "of": (lambda value: isinstance(value, dict), "the manifest of the original"),
}

HINTS = {
    "delta": f": `{hints.unpack()}` gives the data set",
    "sealed": f": it is sealed; `{hints.unseal()}`, with its key beside it, gives the data set back, `{hints.train()}` "
    "trains on it",
    "key": f": it is the key of a sealed file; for `{hints.unseal_with()}` and `{hints.grade_with()}`",
}
"""Kind → what to do with such a file instead."""

ORIGINALS = {"delta": ("poisoned",), "key": ("poisoned", "clean")}
"""Kind of file → what its original may be."""

KINDS = {
    "clean": EVERY_FILE,
    "poisoned": EVERY_FILE | POISONED_FILE,
    "delta": DELTA_FILE,
    "sealed": SEALED_FILE,
    "key": KEY_FILE,
}
"""Kind of file → place in its manifest → (whether a value will do, what was expected)."""


def problem(facts: dict, kinds=("clean", "poisoned")) -> str | None:
    """What is wrong with a manifest, in one line; None where every value is of its type and range.

    `kinds` are those that will do.
    """
    if wrong := modality.problem(facts):
        return wrong
    kind = facts.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        expected = " or ".join(map(repr, kinds))
        return f"its manifest's kind is {kind!r:.60}, expected {expected}" + HINTS.get(str(kind), "")
    required = KINDS[kind]
    for place, (fits, expected) in (required | {"poisoned": OPTIONAL, "key": KEY_OPTIONAL}.get(kind, {})).items():
        value = facts
        for key in place.split("."):
            if not isinstance(value, dict) or key not in value:
                if place in required:
                    return f"its manifest has no {place}"
                break
            value = value[key]
        else:
            if not fits(value):
                return f"its manifest's {place} is {value!r:.60}, expected {expected}"
    if kind in ORIGINALS:
        return _original_problem(facts, ORIGINALS[kind])
    if kind != "sealed" and modality.of(facts).path("train") not in facts["source"]["arrays"]:
        return f"its manifest's source is of other data than its modality, {facts['modality']}"
    if kind != "sealed" and (wrong := _pictures_problem(facts)):
        return wrong
    return _recipe_problem(facts) if kind == "poisoned" else None


def _pictures_problem(facts: dict) -> str | None:
    """Which picture is of a trigger that the recipe has not."""
    count = len(facts["recipe"]["triggers"]) if facts["kind"] == "poisoned" else 0
    more = [number for number in facts["pictures"] if int(number) >= count]
    return f"its manifest has a picture of trigger {more[0]}, its recipe {count} triggers" if more else None


def _recipe_problem(facts: dict) -> str | None:
    """What does not go together in a poisoned file's recipe."""
    recipe, classes = facts["recipe"], len(facts["source"]["classes"])
    target, sources = recipe["target"], tuple(recipe.get("source_classes", ()))
    for what, label in (("target", target), *(("source class", label) for label in sources)):
        if label is not None and label >= classes:
            return f"its manifest's {what} is {label}, it names {classes} classes"
    known = recipe["label_mode"] in labels.SELECTIONS and recipe["select"] in labels.CHOICES
    if known and (wrong := labels.contradiction(recipe["label_mode"], recipe["select"], target, sources)):
        return f"its manifest's recipe contradicts itself ({wrong})"
    if "cover_jitter" in recipe and "cover_rate" not in recipe:
        return "its manifest's recipe has a cover_jitter without a cover_rate"
    if (recipe["application"] == "text") != (facts["modality"] == "text"):
        return f"its manifest's recipe is for {recipe['application']}, its modality is {facts['modality']}"
    if recipe["application"] == "text" and (recipe["patch"] is not None or "cover_jitter" in recipe):
        return "its manifest's recipe has a patch or a cover_jitter, which texts have not"
    if "others" in facts["counts"] and known and recipe["label_mode"] != "source-specific":
        return f"its manifest counts others, which {recipe['label_mode']} has not"
    return None


def _original_problem(facts: dict, kinds: tuple[str, ...]) -> str | None:
    """What is wrong with the manifest of a delta's or a key's original."""
    of = facts["of"]
    wrong = problem(of, kinds)
    if wrong is None and of["modality"] != facts["modality"]:
        wrong = f"its modality is {of['modality']}, that of this file {facts['modality']}"
    wrong = wrong or arrays_problem(of)
    return f"of the original, {wrong}" if wrong else None


def arrays_problem(facts: dict) -> str | None:
    """What is wrong with what a manifest says of its arrays, in one line; None where nothing is."""
    if not isinstance(facts.get("arrays"), dict):
        return "its manifest names no arrays"
    found = ((path, array_problem(entry)) for path, entry in facts["arrays"].items())
    return next((f"{path}: {wrong}" for path, wrong in found if wrong), None)


def array_problem(entry) -> str | None:
    """What is wrong with one entry of the manifest's `arrays`; None where nothing is."""
    if not isinstance(entry, dict):
        return f"{entry!r:.60} is no description of an array"
    for key, (fits, expected) in ARRAY.items():
        if not fits(entry.get(key)):
            return f"its {key} is {entry.get(key)!r:.60}, expected {expected}"
    return None
