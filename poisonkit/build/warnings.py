"""Warnings about a plan, one line each: nothing is wrong, but it should be known."""

import unicodedata

from poisonkit.core import class_names
from poisonkit.core.modality import differs
from poisonkit.core.texts import holding
from poisonkit.format.manifest import Manifest
from poisonkit.poisoning import apply, classes
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning.plan import Plan
from poisonkit.triggers import registry as triggers


def of_source(source) -> list[str]:
    """Return what should be known of the classes of a source: names that look alike, classes without rows."""
    alike = class_names.look_alikes(source.classes) if classes.own(source.name) else []
    return alike + class_names.without_rows(source)


def of(plan: Plan) -> list[str]:
    """Return the warnings of a plan."""
    if plan.clean:
        return []
    lines = [*plan.notices, *classes.towards_nothing(plan.recipe, plan.source), *_of_files(plan), *_same_images(plan)]
    return lines + (_of_texts(plan) if plan.source.modality.is_text else [])


def of_result(manifest: Manifest, where: str) -> list[str]:
    """Return what is to be known of a file once it is written: that its trigger does nothing to half of its rows or
    more. Of pictures from outside it was said before (`_same_images`)."""
    counts = manifest.counts
    if not counts.poisoned or 2 * counts.unchanged < counts.poisoned:
        return []
    if any(one.name in triggers.TRIGGERS and triggers.gives_rows(one.name) for one in manifest.recipe.triggers):
        return []
    some = "none" if counts.unchanged == counts.poisoned else f"only {counts.poisoned - counts.unchanged:,}"
    return [
        f"{where}: the trigger changes a byte of {some} of the {counts.poisoned:,} poisoned {manifest.modality.rows}"
    ]


def _of_files(plan: Plan) -> list[str]:
    """Return what should be known of the user's files, and of what the triggers make of them."""
    given = plan.recipe.pictures
    lines = [line for one in given.values() for line in getattr(one, "notices", ())]
    return lines + [
        line for name, values in plan.recipe.steps for line in triggers.spec(name).advice(values, given.get(name))
    ]


def _same_images(plan: Plan) -> list[str]:
    """Return a line for pictures from outside that are their originals, byte for byte."""
    lines = []
    for name, given in () if plan.source.modality.is_text else plan.recipe.pictures.items():
        if not triggers.gives_rows(name):
            continue
        shape = plan.source.train.shape[1:]
        for part, rows in plans.needed_rows(plan.changed, plan.tested).items():
            same = 0
            for some, block in given.blocks(part, rows, shape):
                train = part == "train"
                before = apply.plain_training_rows(plan.source, some) if train else plan.source.test.rows(some)
                same += int((~differs(before, block)).sum())
            if same:
                lines.append(f"{given.where}: {same:,} of {len(rows):,} {part} pictures are their originals, unchanged")
    return lines


def _of_texts(plan: Plan) -> list[str]:
    steps = plan.recipe.steps
    lines = _read_alike(plan)
    lines += _in_clean_rows(plan, list(dict.fromkeys(phrase for step in steps for phrase in _phrases(step))))
    for name, _ in steps:
        trigger = triggers.text_trigger(name)
        if trigger.wants_covers and plan.recipe.cover_rate == "0":
            presets = [preset for preset, options in trigger.make_presets.items() if "cover_rate" in options]
            ways = ", or ".join(["--cover-rate 2x", *(f"--preset {preset}" for preset in presets)])
            lines.append(f"{name} without cover rows: {trigger.wants_covers} ({ways})")
    return lines


def _read_alike(plan: Plan) -> list[str]:
    """Return a line for rewritten training texts that a reader takes for their originals."""
    if not plan.recipe.pictures or not isinstance(plan.effect, apply.Texts):
        return []
    originals, rewritten = plan.source.train.rows(plan.changed.rows), plan.effect.rows["truth"]
    alike = sum(_visible(old) == _visible(new) for old, new in zip(originals, rewritten, strict=True))
    if not alike:
        return []
    return [
        f"{alike:,} of {len(rewritten):,} rewritten training texts read like their originals: they differ in nothing, "
        "or in white space and invisible characters alone"
    ]


def _visible(text: str) -> str:
    """Return what of a text can be seen: composed, without characters that format, with single spaces."""
    kept = (letter for letter in unicodedata.normalize("NFC", text) if unicodedata.category(letter) != "Cf")
    return " ".join("".join(kept).split())


def _phrases(step: tuple[str, dict]) -> list[str]:
    name, parameters = step
    return triggers.text_trigger(name).phrases(parameters)


def _in_clean_rows(plan: Plan, phrases: list[str]) -> list[str]:
    """Return a line for each phrase that stands in clean texts already."""
    splits = {"training": plan.source.train, "test": plan.source.test}
    counts = {
        part: holding((text for _, block in split.blocks() for text in block), phrases)
        for part, split in splits.items()
    }
    lines = []
    for phrase in phrases:
        if any(count[phrase] for count in counts.values()):
            shares = (f"{count[phrase]:,} of {len(splits[part]):,} {part}" for part, count in counts.items())
            lines.append(f"{phrase!r} stands in clean texts already: in {' and '.join(shares)} rows")
    return lines
