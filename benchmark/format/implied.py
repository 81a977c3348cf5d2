"""What a data set's recipe implies for its arrays (data/FORMAT.md, "Rows and labels", "Text").

Anybody can redo the digests of a file after changing it. So what the recipe says of rows, labels, roles, counts and
triggers is compared with what is there: a file that contradicts itself would be scored as something that it is not.
"""

import logging
import re
from fractions import Fraction

import numpy as np

from benchmark.core.errors import Failure
from benchmark.core.hashing import digest
from benchmark.format import rules
from benchmark.format.manifest import INPUTS, TEXT, array_digest

POISONED, COVER = 1, 2
RECIPE_VERSIONS = (1, 2)
ROWS_AT_ONCE = 256


def check(manifest: dict, arrays: dict, verify: bool) -> None:
    """Raise `Failure` where arrays of a clean or poisoned file, whose labels and rows lie in their ranges, contradict
    its recipe. `verify`: digests and triggers too, which takes as long as reading the file."""
    _check_source(manifest)
    _check_counts(manifest, arrays)
    if manifest["kind"] != "poisoned":
        return
    recipe, inputs = manifest["recipe"], INPUTS[manifest["modality"]]
    true = arrays["train/labels"].copy()
    true[arrays["truth/rows"]] = arrays["truth/labels"]
    if unknown := _unknown(manifest):
        logging.getLogger("benchmark").warning(
            "%s: its recipe is unknown here (%s): its rows and labels are taken as they are", manifest["name"], unknown
        )
    else:
        _check_changed(recipe, arrays, true, len(manifest["source"]["classes"]))
        _check_tested(recipe, arrays, len(manifest["source"]["classes"]))
    if manifest["modality"] == TEXT:
        _check_insertions(recipe, arrays)
    if not verify:
        return
    originals = {"train/labels": true, f"train/{inputs}": arrays[f"train/{inputs}"].copy()}
    originals[f"train/{inputs}"][arrays["truth/rows"]] = arrays[f"truth/{inputs}"]
    for name, array in originals.items():
        same = array_digest(array) == manifest["source"]["arrays"].get(name)
        _expect(same, f"{name}, with truth/ put back, are not those of its source")
    if manifest["modality"] != TEXT and "trigger/0/taps" in arrays:
        _check_triggers(manifest, arrays)


def _unknown(manifest: dict) -> str | None:
    """What of a recipe is not known to this version, so that nobody here can say what it implies; None where all is."""
    recipe, version = manifest["recipe"], manifest.get("recipe_version", 1)
    if version not in RECIPE_VERSIONS:
        return f"recipe version {version!r:.40}"
    modes = rules.selections()
    for key, known in (("label_mode", modes), ("select", {one for some in modes.values() for one in some})):
        if recipe[key] not in known:
            return f"{key} {recipe[key]!r:.60}"
    return None


def _expect(condition, message: str) -> None:
    if not condition:
        raise Failure(f"{message}: it contradicts its recipe")


def _check_source(manifest: dict) -> None:
    """The test arrays are the source's, and all of a clean file's."""
    source, table = manifest["source"], manifest["arrays"]
    if manifest["kind"] == "sealed":
        return
    named = source["arrays"]
    _expect(source["digest"] == digest(named), "its source's digest is not that of the source's arrays")
    for name, entry in table.items():
        if name.startswith("test/") or manifest["kind"] == "clean":
            _expect(named.get(name) == entry["digest"], f"{name} are not those of its source")


def _check_counts(manifest: dict, arrays: dict) -> None:
    counts = manifest["counts"]
    found = {group: len(arrays[f"{group}/labels"]) for group in ("train", "test")}
    if manifest["kind"] == "poisoned":
        role, labels = arrays["truth/role"], arrays["truth/labels"]
        given = arrays["train/labels"][arrays["truth/rows"]]
        found |= {group: len(arrays[f"{group}/rows"]) for group in ("triggered", "others") if f"{group}/rows" in arrays}
        found |= {"poisoned": int((role == POISONED).sum()), "cover": int((role == COVER).sum())}
        if "already_target" in counts:
            found["already_target"] = int(((role == POISONED) & (labels == given)).sum())
    for name, count in found.items():
        said = counts.get(name)
        _expect(type(said) is int and said == count, f"its counts say {said!r:.40} {name}, there are {count}")


def _wanted(recipe: dict, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class that the attacker wants for rows of these true labels."""
    target = recipe["target"]
    return (labels + 1) % classes if target is None else np.full(len(labels), target, np.int64)


def _may_be(role: int, recipe: dict, labels: np.ndarray) -> np.ndarray:
    """Which of these true labels a row of a role may have, bool."""
    mode, select, target = recipe["label_mode"], recipe["select"], recipe["target"]
    sources = np.isin(labels, recipe.get("source_classes", []))
    if role == COVER:
        return {
            "source-specific": ~sources & (labels != target),
            "clean-label": labels != target,
        }.get(mode, np.ones(len(labels), bool))
    return {"non-target": labels != target, "target": labels == target, "class": sources}.get(
        select, np.ones(len(labels), bool)
    )


def _check_changed(recipe: dict, arrays: dict, true: np.ndarray, classes: int) -> None:
    """Roles, their numbers, and the labels of changed training rows."""
    role, originals = arrays["truth/role"], arrays["truth/labels"]
    given = arrays["train/labels"][arrays["truth/rows"]]
    expected = np.where(role == POISONED, _wanted(recipe, originals, classes), originals)
    wrong = np.flatnonzero(given != expected)
    if len(wrong):
        row, at = arrays["truth/rows"][wrong[0]], wrong[0]
        words = f"train/labels say {given[at]} of the changed row {row}, whose role is {role[at]}"
        _expect(False, f"{words} and whose true label is {originals[at]}")
    for number, name, share in ((POISONED, "poisoned", "rate"), (COVER, "cover", "cover_rate")):
        there = role == number
        _expect(_may_be(number, recipe, originals)[there].all(), f"truth/labels has {name} rows of a wrong class")
        count = int(Fraction(recipe.get(share, "0")) * len(true))
        _expect(there.sum() == count, f"truth/role has {there.sum()} {name} rows, its {share} gives {count}")


def _check_tested(recipe: dict, arrays: dict, classes: int) -> None:
    """Which test rows are triggered, and what is wanted of them."""
    labels, mode, target = arrays["test/labels"], recipe["label_mode"], recipe["target"]
    sources = np.isin(labels, recipe.get("source_classes", []))
    triggered = {"all-to-all": np.ones(len(labels), bool), "source-specific": sources}.get(mode, labels != target)
    others = ~sources & (labels != target) if mode == "source-specific" else np.zeros(len(labels), bool)
    for group, there in (("triggered", triggered), ("others", others)):
        rows = arrays.get(f"{group}/rows", np.empty(0, np.int64))
        _expect(
            np.array_equal(rows, np.flatnonzero(there)), f"{group}/rows are not the test rows that {mode} has there"
        )
    wanted = _wanted(recipe, labels[triggered], classes)
    differing = np.flatnonzero(arrays["triggered/wanted"] != wanted)
    if len(differing):
        at = differing[0]
        _expect(False, f"triggered/wanted has {arrays['triggered/wanted'][at]}, expected {wanted[at]}")


# ---- triggers on images


def _check_triggers(manifest: dict, arrays: dict) -> None:
    """The stencils are maps of an image, the masks theirs, and the triggered images their work."""
    from benchmark.format import delta

    apply = delta.trigger(manifest, arrays)  # refuses taps outside the image
    for number, stencil in enumerate(delta.stencils(manifest, arrays)):
        _expect((abs(stencil[1]) <= 1 << 20).all(), f"trigger/{number}/weights has numbers that are no weights")
        same = np.array_equal(delta.mask_of(manifest, *stencil), arrays[f"trigger/{number}/mask"])
        _expect(same, f"trigger/{number}/mask is not where the trigger changes an image")
    for group in ("triggered", "others"):
        if f"{group}/rows" in arrays:
            originals = arrays["test/images"][arrays[f"{group}/rows"]]
            _expect(
                np.array_equal(apply(originals), arrays[f"{group}/images"]),
                f"{group}/images are not the test images with the trigger on them",
            )
    if "camouflage" in (manifest["source"].get("options") or {}):
        return  # which comes after the trigger on training rows
    plain = (arrays["truth/role"] == POISONED) | (not manifest["recipe"].get("cover_jitter", False))
    changed = arrays["train/images"][arrays["truth/rows"][plain]]
    _expect(
        np.array_equal(apply(arrays["truth/images"][plain]), changed),
        "train/images are not truth/images with the trigger on them",
    )


# ---- insertions into texts


def _check_insertions(recipe: dict, arrays: dict) -> None:
    """Each changed text is its original with what its insertions say."""
    triggers = recipe["triggers"]
    if any(trigger.get("name") == "rewrite" for trigger in triggers):
        return
    changed = {"truth": ("truth/texts", arrays["train/texts"][arrays["truth/rows"]])}
    for group in ("triggered", "others"):
        if f"{group}/rows" in arrays:
            changed[group] = "test/texts", arrays[f"{group}/texts"]
    for group, (path, found) in changed.items():
        insertions = arrays.get(f"{group}/insertions")
        _expect(insertions is not None or not len(found), f"{group}/ has texts, but no insertions")
        originals = arrays[path] if group == "truth" else arrays[path][arrays[f"{group}/rows"]]
        _expect(set(insertions[:, 0].tolist()) == set(range(len(found))), f"{group}/insertions leaves a text as it was")
        expected = list(originals)
        for number, trigger, place, piece in insertions.tolist():
            _expect(trigger < len(triggers), f"{group}/insertions names trigger {trigger} of {len(triggers)}")
            pieces = _pieces(triggers[trigger])
            _expect(piece < len(pieces), f"{group}/insertions names piece {piece} of {len(pieces)}")
            expected[number] = _inserted(expected[number], place, pieces[piece], group)
        _expect(expected == list(found), f"{group}/insertions do not make its texts of their originals")


def _pieces(trigger: dict) -> list[str]:
    found = trigger.get("words", [trigger.get("text")])
    _expect(isinstance(found, list) and all(isinstance(one, str) for one in found), "its trigger has no words, no text")
    return found


def _inserted(text: str, place: int, piece: str, group: str) -> str:
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    _expect(place <= len(starts), f"{group}/insertions names place {place} of a text of {len(starts)} words")
    if place == len(starts):
        return f"{text} {piece}"
    return f"{text[: starts[place]]}{piece} {text[starts[place] :]}"
