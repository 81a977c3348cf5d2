"""What `make` says of a plan beside what was asked, one line each: nothing is wrong, but it should be known."""

import unicodedata

from poisonkit.core import class_names, modality
from poisonkit.core.texts import holding
from poisonkit.poisoning import classes
from poisonkit.poisoning.plan import Plan
from poisonkit.triggers import registry as triggers


def of_source(source) -> list[str]:
    """What should be known of the classes of a source: names that look alike, classes without rows."""
    alike = class_names.look_alikes(source.classes) if classes.own(source.name) else []
    return alike + class_names.without_rows(source)


def of(plan: Plan) -> list[str]:
    """The notices of a plan."""
    if plan.clean:
        return []
    found = classes.towards_nothing(plan.request, plan.source)
    return found + (_of_texts(plan) if plan.source.modality == modality.TEXT else [])


def _of_texts(plan: Plan) -> list[str]:
    steps = plan.request.steps
    found = [line for given in plan.request.pictures.values() for line in getattr(given, "notices", ())]
    found += _read_alike(plan) if plan.request.pictures else []
    found += _in_clean_rows(plan, list(dict.fromkeys(piece for step in steps for piece in _pieces(step))))
    for name, _ in steps:
        why = triggers.text_trigger(name).wants_covers
        if why and plan.request.cover_rate == "0":
            found.append(f"{name} without cover rows: {why} (--cover-rate 2x, or --preset covered)")
    return found


def _read_alike(plan: Plan) -> list[str]:
    """A line for rewritten training texts that a reader takes for their originals."""
    originals, rewritten = plan.source.train.rows(plan.changed.rows), plan.effect.rows["truth"]
    alike = sum(_visible(old) == _visible(new) for old, new in zip(originals, rewritten, strict=True))
    if not alike:
        return []
    return [
        f"{alike:,} of {len(rewritten):,} rewritten training texts read like their originals: they differ in nothing, "
        "or in white space and invisible characters alone"
    ]


def _visible(text: str) -> str:
    """What of a text can be seen: composed, without characters that format, with single spaces."""
    kept = (letter for letter in unicodedata.normalize("NFC", text) if unicodedata.category(letter) != "Cf")
    return " ".join("".join(kept).split())


def _pieces(step: tuple[str, dict]) -> list[str]:
    name, parameters = step
    return triggers.text_trigger(name).phrases(parameters)


def _in_clean_rows(plan: Plan, pieces: list[str]) -> list[str]:
    """A line for each piece that stands in clean texts already."""
    splits = {"training": plan.source.train, "test": plan.source.test}
    counts = {
        part: holding((text for _, block in split.blocks() for text in block), pieces) for part, split in splits.items()
    }
    lines = []
    for piece in pieces:
        if any(found[piece] for found in counts.values()):
            said = (f"{found[piece]:,} of {len(splits[part]):,} {part}" for part, found in counts.items())
            lines.append(f"{piece!r} stands in clean texts already: in {' and '.join(said)} rows")
    return lines
