"""What must go together in a manifest: the rules that `schema.json` names, in the order in which they are checked."""

from collections.abc import Callable

from poisonkit.core import label_modes, modality
from poisonkit.format import schema
from poisonkit.format.records import Json


def problem(manifest: Json) -> str | None:
    """Return what does not go together in a manifest whose values are of their types; None where all does."""
    for rule in schema.load()["rules"]:
        if manifest["kind"] in rule["kinds"] and (wrong := RULES[rule["name"]](manifest)):
            return wrong
    return None


def _source_arrays(manifest: Json) -> str | None:
    rows = schema.modality_of(manifest)["rows"]
    expected = {f"{part}/{name}" for part in ("train", "test") for name in (rows, "labels")}
    if manifest["source"]["arrays"].keys() == expected:
        return None
    return f"its manifest's source is of other data than its modality, {manifest['modality']}"


def _pictures(manifest: Json) -> str | None:
    count = len(manifest["recipe"]["triggers"]) if manifest["kind"] == "poisoned" else 0
    more = [number for number in manifest["pictures"] if int(number) >= count]
    return f"its manifest has a picture of trigger {more[0]}, its recipe {count} triggers" if more else None


def _classes(manifest: Json) -> str | None:
    recipe, classes = manifest["recipe"], len(manifest["source"]["classes"])
    named = [("target", recipe["target"]), *(("source class", label) for label in recipe.get("source_classes", ()))]
    named += [("cover class", label) for label in recipe.get("cover_classes", ())]
    for what, label in named:
        if label is not None and label >= classes:
            return f"its manifest's {what} is {label}, it names {classes} classes"
    return None


def _label_mode_known(manifest: Json) -> bool:
    recipe = manifest["recipe"]
    return recipe["label_mode"] in label_modes.SELECTIONS and recipe["select"] in label_modes.CHOICES


def _label_modes(manifest: Json) -> str | None:
    recipe = manifest["recipe"]
    if not _label_mode_known(manifest):
        return None
    sources = tuple(recipe.get("source_classes", ()))
    wrong = label_modes.contradiction(recipe["label_mode"], recipe["select"], recipe["target"], sources)
    return f"its manifest's recipe contradicts itself ({wrong})" if wrong else None


def _jitter(manifest: Json) -> str | None:
    if "cover_jitter" in manifest["recipe"] and "cover_rate" not in manifest["recipe"]:
        return "its manifest's recipe has a cover_jitter without a cover_rate"
    return None


def _cover_classes(manifest: Json) -> str | None:
    recipe = manifest["recipe"]
    if "cover_classes" not in recipe:
        return None
    if "cover_rate" not in recipe:
        return "its manifest's recipe has cover_classes without a cover_rate"
    sources, covers = tuple(recipe.get("source_classes", ())), tuple(recipe["cover_classes"])
    never = label_modes.never_covers(recipe["label_mode"], recipe["target"], sources)
    wrong = [label for label in covers if label in never]
    return f"its manifest's recipe has the cover class {wrong[0]}, whose rows are no covers" if wrong else None


def _one_of(manifest: Json) -> str | None:
    recipe = manifest["recipe"]
    if "one_of" in recipe and (len(recipe["triggers"]) < 2 or recipe["application"] == "text"):
        return "its manifest's recipe has one_of, which is for several triggers of images"
    return None


def _application(manifest: Json) -> str | None:
    recipe, application = manifest["recipe"], manifest["recipe"]["application"]
    if (application == "text") != modality.of(manifest["modality"]).is_text:
        return f"its manifest's recipe is for {application}, its modality is {manifest['modality']}"
    if application == "text" and (recipe["patch"] is not None or "cover_jitter" in recipe):
        return "its manifest's recipe has a patch or a cover_jitter, which texts have not"
    if (recipe["patch"] is not None) != (application == "patch"):
        return f"its manifest's recipe is for {application}, its patch is {recipe['patch']}"
    return None


def _others(manifest: Json) -> str | None:
    if "others" not in manifest["counts"]:
        return None
    mode, target = manifest["recipe"]["label_mode"], manifest["recipe"]["target"]
    if _label_mode_known(manifest) and mode != "source-specific":
        return f"its manifest counts others, which {mode} has not"
    return "its manifest counts others, its recipe has no target" if target is None else None


def _tiles(manifest: Json) -> str | None:
    images, tile = manifest["arrays"].get("train/images"), manifest["recipe"]["patch"]
    if tile is None or images is None or len(images["shape"]) != 4:  # which the arrays' own table refuses
        return None
    height, width = images["shape"][1:3]
    if height % tile[0] or width % tile[1]:
        return f"its patches of {tile[0]}×{tile[1]} do not divide images of {height}×{width}"
    return None


def _one_kind(manifest: Json) -> str | None:
    for number in range(len(manifest["recipe"]["triggers"])):
        for before in ("", "test_"):
            both = [f"trigger/{number}/{before}{name}" for name in ("taps", "table")]
            if all(path in manifest["arrays"] for path in both):
                return f"it has both {both[0]} and {both[1]}"
    return None


def _kept(manifest: Json) -> str | None:
    from poisonkit.format import arrays

    of, own = manifest["of"], manifest["arrays"]
    if of["kind"] != "poisoned" or modality.of(of["modality"]).is_text:
        return None
    for path in arrays.TESTED_IMAGES:
        if (path in own) != (path in of["arrays"] and not arrays.told(of, "test")):
            return f"it has {path} of the original, or lacks it, where its triggers' arrays say otherwise"
    if manifest["kind"] == "key":
        return None
    rows = own.get("kept/rows", {"shape": [0]})["shape"]
    if not arrays.told(of, "train") and rows != own.get("changed/rows", {}).get("shape"):
        return "it does not keep all changed rows, which follow from no array"
    masks = [f"trigger/{number}/mask" for number in range(len(of["recipe"]["triggers"]))]
    for number, path in enumerate(masks):
        if (path in own) == arrays.told_of(of, number, "train"):
            return f"it has {path}, or lacks it, where the trigger's arrays say otherwise"
    return None


def _original(manifest: Json) -> str | None:
    from poisonkit.format import arrays

    of = manifest["of"]
    wrong = schema.problem(of, tuple(schema.load()["originals"][manifest["kind"]]))
    if wrong is None and of["modality"] != manifest["modality"]:
        wrong = f"its modality is {of['modality']}, that of this file {manifest['modality']}"
    wrong = wrong or arrays.problem(of)
    return f"of the original, {wrong}" if wrong else None


def _usual_rows(manifest: Json) -> str | None:
    if "triggered/rows" in manifest["arrays"] or manifest["of"]["recipe"]["target"] is not None:
        return None
    return "it does not say which its triggered rows are, and they have no target in common"


RULES: dict[str, Callable[[Json], str | None]] = {
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
"""Name in `schema.json` → what says in one line how a manifest breaks the rule."""
