"""What goes together in a manifest: the rules that the format's tables name (`rules` in `schema.json`)."""

from collections.abc import Callable
from typing import Any

from benchmark.core.errors import Failure
from benchmark.format import layout, schema
from benchmark.format.schema import Json


def check(manifest: Json) -> None:
    """Every rule for the kind of file. Raises `Failure` with one line."""
    for rule in schema.tables()["rules"]:
        if manifest["kind"] in rule["kinds"]:
            RULES[rule["name"]](manifest)


def selections() -> dict[str, list[str]]:
    """Label mode -> which rows may be chosen under it."""
    return {mode: table["select"] for mode, table in schema.tables()["label_modes"].items()}


def mode_known(recipe: Json) -> bool:
    """Whether it is known here what a recipe's label mode and its selection mean."""
    modes = selections()
    return recipe["label_mode"] in modes and recipe["select"] in {one for some in modes.values() for one in some}


def _expect(condition: Any, message: str) -> None:
    if not condition:
        raise Failure(message)


def _source_arrays(manifest: Json) -> None:
    rows = schema.rows_of(manifest["modality"])["rows"]
    named = {f"{part}/{what}" for part in ("train", "test") for what in (rows, "labels")}
    found = manifest["source"]["arrays"].keys()
    _expect(found == named, f"its source names the arrays {sorted(found)!s:.100}, expected those of {rows}")


def _pictures(manifest: Json) -> None:
    triggers = len(manifest["recipe"].get("triggers", []))
    for number in manifest["pictures"]:
        _expect(int(number) < triggers, f"it has a picture of trigger {number}, its recipe has {triggers} triggers")


def _classes(manifest: Json) -> None:
    recipe, classes = manifest["recipe"], len(manifest["source"]["classes"])
    target = recipe["target"]
    _expect(target is None or target < classes, f"its recipe's target is {target}, expected one of {classes} classes")
    sources = recipe.get("source_classes", [])
    _expect(not sources or sources[-1] < classes, f"its recipe's source_classes are {sources!s:.60}, of {classes}")
    covers = recipe.get("cover_classes", [])
    _expect(not covers or covers[-1] < classes, f"its recipe's cover_classes are {covers!s:.60}, of {classes}")


def _label_modes(manifest: Json) -> None:
    recipe = manifest["recipe"]
    if not mode_known(recipe):
        return
    mode, select, target = recipe["label_mode"], recipe["select"], recipe["target"]
    table, sources = schema.tables()["label_modes"][mode], recipe.get("source_classes", [])
    _expect(select in table["select"], f"its recipe's select is {select!r:.60}, under {mode}")
    _expect((target is not None) == table["target"], f"its recipe's target is {target}, under {mode}")
    _expect((select == "class") == bool(sources), f"its recipe's source_classes are {sources}, under select {select}")
    _expect(target not in sources, f"its recipe's target {target} is one of its source_classes")


def _jitter(manifest: Json) -> None:
    recipe = manifest["recipe"]
    _expect("cover_jitter" not in recipe or "cover_rate" in recipe, "its recipe has a cover_jitter, but no cover_rate")


def _cover_classes(manifest: Json) -> None:
    recipe = manifest["recipe"]
    covers, sources = set(recipe.get("cover_classes", [])), set(recipe.get("source_classes", []))
    _expect(not covers or "cover_rate" in recipe, "its recipe has cover_classes, but no cover_rate")
    mode, target = recipe["label_mode"], recipe["target"]
    never = {"source-specific": sources | {target}, "clean-label": {target}}.get(mode, set())
    _expect(not covers & never, f"its recipe's cover_classes are {sorted(covers)!s:.60}: those have no covers")


def _one_of(manifest: Json) -> None:
    recipe = manifest["recipe"]
    several = len(recipe["triggers"]) > 1 and recipe["application"] != "text"
    _expect("one_of" not in recipe or several, "its recipe has one_of, but not several triggers of images")


def _application(manifest: Json) -> None:
    recipe, modality = manifest["recipe"], manifest["modality"]
    application, patch = recipe["application"], recipe["patch"]
    fits = (application == "text") == (modality == "text")
    _expect(fits, f"its recipe's application is {application!r:.60}, for {modality}s")
    _expect((patch is None) == (application != "patch"), f"its recipe's patch is {patch!r:.60}, under {application}")
    _expect(application != "text" or "cover_jitter" not in recipe, "its recipe has a cover_jitter, for texts")


def _others(manifest: Json) -> None:
    recipe = manifest["recipe"]
    if "others" in manifest["counts"]:
        _expect(recipe["target"] is not None, "it has others/, but its recipe has no target")
        specific = recipe["label_mode"] == "source-specific" or not mode_known(recipe)
        _expect(specific, f"it has others/, its label_mode is {recipe['label_mode']}")


def _tiles(manifest: Json) -> None:
    patch, entry = manifest["recipe"]["patch"], manifest["arrays"].get("train/images", {})
    if patch is not None and len(entry.get("shape", [])) == 4:
        height, width = entry["shape"][1:3]
        divides = height % patch[0] == 0 and width % patch[1] == 0
        _expect(divides, f"its patches of {patch} do not divide images of {height} × {width}")


def _one_kind(manifest: Json) -> None:
    for number in range(len(manifest["recipe"]["triggers"])):
        for before in ("", "test_"):
            both = [f"trigger/{number}/{before}{name}" for name in ("taps", "table")]
            there = all(path in manifest["arrays"] for path in both)
            _expect(not there, f"its trigger {number} is both a stencil and a table: {both[0]}, {both[1]}")


def _kept(manifest: Json) -> None:
    of, own = manifest["of"], manifest["arrays"]
    if of["kind"] != "poisoned" or of["modality"] == "text":
        return
    for path in ("triggered/images", "others/images"):
        wanted = path in of["arrays"] and not layout.told(of, "test")
        _expect((path in own) == wanted, f"it should {'' if wanted else 'not '}have {path}, by its triggers' arrays")
    if manifest["kind"] == "key":
        return
    kept = [own.get(f"{group}/rows", {}).get("shape") for group in ("kept", "changed")]
    _expect(layout.told(of, "train") or kept[0] == kept[1], "it lacks changed rows that follow from no array")
    for number in range(len(of["recipe"]["triggers"])):
        wanted = not layout.told_of(of, number, "train")
        path = f"trigger/{number}/mask"
        _expect((path in own) == wanted, f"it should {'' if wanted else 'not '}have {path}, by its triggers' arrays")


def _original(manifest: Json) -> None:
    of, kinds = manifest["of"], schema.tables()["originals"][manifest["kind"]]
    kind = of.get("kind")
    _expect(kind in kinds, f"it is a {manifest['kind']} of a file of kind {kind!r:.60}, expected {' or '.join(kinds)}")
    schema.check_fields(of)
    check(of)
    what = f"it is a {manifest['kind']} of another modality than its original"
    _expect(manifest["modality"] == of["modality"], what)
    layout.check(of)


def _usual_rows(manifest: Json) -> None:
    spelled = "triggered/rows" in manifest["arrays"] or manifest["of"]["recipe"]["target"] is not None
    _expect(spelled, "it does not say which its triggered rows are, and they have no target in common")


RULES: dict[str, Callable[[Json], None]] = {
    "source-arrays-of-modality": _source_arrays,
    "pictures-of-triggers": _pictures,
    "classes-that-exist": _classes,
    "label-modes": _label_modes,
    "jitter-of-covers": _jitter,
    "classes-of-covers": _cover_classes,
    "one-of-several": _one_of,
    "application-of-modality": _application,
    "others-of-mode": _others,
    "tiles-divide-images": _tiles,
    "one-kind-a-trigger": _one_kind,
    "original": _original,
    "usual-rows-have-a-target": _usual_rows,
    "kept-where-no-array-makes-it": _kept,
}
"""Name in the table -> what raises `Failure` where a manifest breaks the rule."""
