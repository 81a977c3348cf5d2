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
from benchmark.core.numbers import counted
from benchmark.format import rules
from benchmark.format.delta import Arrays
from benchmark.format.manifest import Manifest, Recipe, array_digest

POISONED, COVER = 1, 2
UNTARGETED = "untargeted"
RECIPE_VERSIONS = (1, 2)
ROWS_AT_ONCE = 256


def check(manifest: Manifest, arrays: Arrays, verify: bool) -> None:
    """Raise `Failure` where arrays of a clean or poisoned file, whose labels and rows lie in their ranges, contradict
    its recipe. `verify`: digests and triggers too, which takes as long as reading the file."""
    _check_source(manifest)
    _check_counts(manifest, arrays)
    if not manifest.kind.poisoned:
        return
    recipe, inputs, classes = manifest.recipe, manifest.inputs, len(manifest.source.classes)
    true = arrays["train/labels"].copy()
    true[arrays["truth/rows"]] = arrays["truth/labels"]
    if unknown := _unknown(manifest):
        logging.getLogger("benchmark").warning(
            "%s: its recipe is unknown here (%s): its rows and labels are taken as they are", manifest.name, unknown
        )
    else:
        _check_changed(recipe, arrays, true, classes)
        _check_tested(recipe, arrays, classes)
    if manifest.of_texts:
        _check_insertions(recipe, arrays)
    if not verify:
        return
    originals = {"train/labels": true, f"train/{inputs}": arrays[f"train/{inputs}"].copy()}
    originals[f"train/{inputs}"][arrays["truth/rows"]] = arrays[f"truth/{inputs}"]
    for name, array in originals.items():
        same = array_digest(array) == manifest.source.arrays.get(name)
        _expect(same, f"{name}, with truth/ put back, are not those of its source")
    if not manifest.of_texts and "trigger/0/mask" in arrays:
        _check_triggers(manifest, arrays)


def _unknown(manifest: Manifest) -> str | None:
    """Return what of a recipe is not known to this version, so that nobody here can say what it implies; None where all
    is."""
    recipe, version = manifest.recipe, manifest.recipe_version
    if version not in RECIPE_VERSIONS:
        return f"recipe version {version!r:.40}"
    modes = rules.selections()
    if recipe.label_mode not in modes:
        return f"label_mode {recipe.label_mode!r:.60}"
    if recipe.select not in {one for some in modes.values() for one in some}:
        return f"select {recipe.select!r:.60}"
    return None


def _expect(condition: object, message: str) -> None:
    if not condition:
        raise Failure(f"{message}: it contradicts its recipe")


def _check_source(manifest: Manifest) -> None:
    """Check that the test arrays are the source's, and so are all of a clean file's."""
    named = manifest.source.arrays
    if manifest.kind.sealed:
        return
    _expect(manifest.source.digest == digest(named), "its source's digest is not that of the source's arrays")
    for name, entry in manifest.arrays.items():
        if name.startswith("test/") or manifest.kind.clean:
            _expect(named.get(name) == entry.digest, f"{name} are not those of its source")


def _check_counts(manifest: Manifest, arrays: Arrays) -> None:
    counts = manifest.counts
    found = {group: len(arrays[f"{group}/labels"]) for group in ("train", "test")}
    if manifest.kind.poisoned:
        role, labels = arrays["truth/role"], arrays["truth/labels"]
        given = arrays["train/labels"][arrays["truth/rows"]]
        found |= {group: len(arrays[f"{group}/rows"]) for group in ("triggered", "others") if f"{group}/rows" in arrays}
        found |= {"poisoned": int((role == POISONED).sum()), "cover": int((role == COVER).sum())}
        found["already_target"] = int(((role == POISONED) & (labels == given)).sum())
    for name, count in found.items():
        _expect(counts.get(name) == count, f"its counts say {counts.get(name)} {name}, there are {count}")


def _wanted(recipe: Recipe, labels: np.ndarray, classes: int, there: np.ndarray) -> np.ndarray:
    """Return the class that the attacker wants for rows of these true labels; without a target, what is `there` where
    it is another class, else the next."""
    target = recipe.target
    if recipe.label_mode == UNTARGETED:
        return np.where(there != labels, there, (labels + 1) % classes)
    return np.asarray((labels + 1) % classes) if target is None else np.full(len(labels), target, np.int64)


def _may_be(role: int, recipe: Recipe, labels: np.ndarray) -> np.ndarray:
    """Which of these true labels a row of a role may have, bool."""
    mode, select, target = recipe.label_mode, recipe.select, recipe.target
    sources, others = np.isin(labels, recipe.source_classes), np.asarray(labels != target)
    if role == COVER:
        allowed = {"source-specific": ~sources & others, "clean-label": others}.get(mode)
        if recipe.cover_classes:
            among = np.isin(labels, recipe.cover_classes)
            allowed = among if allowed is None else among & allowed
    else:
        allowed = {"non-target": others, "target": ~others, "class": sources}.get(select)
    return np.ones(len(labels), bool) if allowed is None else allowed


def _check_changed(recipe: Recipe, arrays: Arrays, true: np.ndarray, classes: int) -> None:
    """Roles, their numbers, and the labels of changed training rows."""
    role, originals = arrays["truth/role"], arrays["truth/labels"]
    given = arrays["train/labels"][arrays["truth/rows"]]
    expected = np.where(role == POISONED, _wanted(recipe, originals, classes, given), originals)
    wrong = np.flatnonzero(given != expected)
    if len(wrong):
        row, at = arrays["truth/rows"][wrong[0]], wrong[0]
        words = f"train/labels say {given[at]} of the changed row {row}, whose role is {role[at]}"
        _expect(False, f"{words} and whose true label is {originals[at]}")
    for number, name, share in ((POISONED, "poisoned", recipe.rate), (COVER, "cover", recipe.cover_rate)):
        there = role == number
        _expect(_may_be(number, recipe, originals)[there].all(), f"truth/labels has {name} rows of a wrong class")
        count, words = int(Fraction(share) * len(true)), counted(int(there.sum()), f"{name} row")
        _expect(there.sum() == count, f"truth/role has {words}, a rate of {share} gives {count}")


def _check_tested(recipe: Recipe, arrays: Arrays, classes: int) -> None:
    """Which test rows are triggered, and what is wanted of them."""
    labels, mode, target = arrays["test/labels"], recipe.label_mode, recipe.target
    sources = np.isin(labels, recipe.source_classes)
    every = np.ones(len(labels), bool)
    triggered = {"all-to-all": every, UNTARGETED: every, "source-specific": sources}.get(mode, labels != target)
    others = ~sources & (labels != target) if mode == "source-specific" else np.zeros(len(labels), bool)
    for group, there in (("triggered", triggered), ("others", others)):
        rows = arrays.get(f"{group}/rows", np.empty(0, np.int64))
        _expect(
            np.array_equal(rows, np.flatnonzero(there)), f"{group}/rows are not the test rows that {mode} has there"
        )
    wanted = _wanted(recipe, labels[triggered], classes, arrays["triggered/wanted"])
    differing = np.flatnonzero(arrays["triggered/wanted"] != wanted)
    if len(differing):
        at = differing[0]
        _expect(False, f"triggered/wanted has {arrays['triggered/wanted'][at]}, expected {wanted[at]}")


# ---- triggers on images


def _check_triggers(manifest: Manifest, arrays: Arrays) -> None:
    """Check that the stencils are maps of an image, the masks theirs, and the changed images their work, where they and
    the tables say it all."""
    from benchmark.format import delta

    for path, array in arrays.items():
        weights = path.startswith("trigger/") and path.endswith("weights")
        _expect(not weights or (abs(array) <= 1 << 20).all(), f"{path} has numbers that are no weights")
    put, put_test = (delta.trigger(manifest, arrays, part) for part in ("train", "test"))  # refuse taps outside
    for number in range(len(manifest.recipe.triggers)):
        told = delta.one_trigger(manifest, arrays, number, "train") is not None
        same = not told or np.array_equal(delta.mask_of(manifest, arrays, number), arrays[f"trigger/{number}/mask"])
        _expect(same, f"trigger/{number}/mask is not where the trigger changes an image")
    for group in ("triggered", "others"):
        if f"{group}/rows" in arrays and put_test is not None:
            originals = arrays["test/images"][arrays[f"{group}/rows"]]
            _expect(
                np.array_equal(put_test(originals), arrays[f"{group}/images"]),
                f"{group}/images are not the test images with the trigger on them",
            )
    if "camouflage" in (manifest.source.options or {}):
        return  # which comes after the trigger on training rows
    if manifest.recipe.one_of:
        _check_one_of(manifest, arrays)
    if put is None:
        return
    plain = (arrays["truth/role"] == POISONED) | (not manifest.recipe.cover_jitter)
    changed = arrays["train/images"][arrays["truth/rows"][plain]]
    _expect(
        np.array_equal(put(arrays["truth/images"][plain]), changed),
        "train/images are not truth/images with the trigger on them",
    )


def _check_one_of(manifest: Manifest, arrays: Arrays) -> None:
    """Check that each changed row has one of the triggers on it, where arrays say all of them."""
    from benchmark.format import delta

    made = [delta.one_trigger(manifest, arrays, number, "train") for number in range(len(manifest.recipe.triggers))]
    steps = [one for one in made if one is not None]
    if len(steps) < len(made):
        return
    rows, role = arrays["truth/rows"], arrays["truth/role"]
    plain = np.flatnonzero((role == POISONED) | (not manifest.recipe.cover_jitter))
    for start in range(0, len(plain), ROWS_AT_ONCE):
        some = plain[start : start + ROWS_AT_ONCE]
        before, after = arrays["truth/images"][some], arrays["train/images"][rows[some]]
        same = [(step(before) == after).all((1, 2, 3)) for step in steps]
        _expect(np.any(same, 0).all(), "train/images are not truth/images with one of the triggers on them")


# ---- insertions into texts


def _check_insertions(recipe: Recipe, arrays: Arrays) -> None:
    """Each changed text is its original with what its insertions say."""
    triggers = recipe.triggers
    if any(trigger.name == "rewrite" for trigger in triggers):
        return
    changed = {"truth": ("truth/texts", arrays["train/texts"][arrays["truth/rows"]])}
    for group in ("triggered", "others"):
        if f"{group}/rows" in arrays:
            changed[group] = "test/texts", arrays[f"{group}/texts"]
    for group, (path, found) in changed.items():
        insertions = arrays.get(f"{group}/insertions", np.empty((0, 4), np.int64))
        _expect(len(insertions) or not len(found), f"{group}/ has texts, but no insertions")
        originals = arrays[path] if group == "truth" else arrays[path][arrays[f"{group}/rows"]]
        _expect(set(insertions[:, 0].tolist()) == set(range(len(found))), f"{group}/insertions leaves a text as it was")
        expected = list(originals)
        for number, trigger, place, piece in insertions.tolist():
            _expect(trigger < len(triggers), f"{group}/insertions names trigger {trigger} of {len(triggers)}")
            pieces = triggers[trigger].inserted
            _expect(pieces, "its trigger has no words, no text")
            _expect(piece < len(pieces), f"{group}/insertions names piece {piece} of {len(pieces)}")
            expected[number] = _inserted(expected[number], place, pieces[piece], group)
        _expect(expected == list(found), f"{group}/insertions do not make its texts of their originals")


def _inserted(text: str, place: int, piece: str, group: str) -> str:
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    _expect(place <= len(starts), f"{group}/insertions names place {place} of a text of {len(starts)} words")
    if place == len(starts):
        return f"{text} {piece}"
    return f"{text[: starts[place]]}{piece} {text[starts[place] :]}"
