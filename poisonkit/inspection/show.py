"""`poisonkit show`: a summary of a file, and of a source, for people."""

from pathlib import Path

import numpy as np

from poisonkit.core import class_names
from poisonkit.core.numbers import counted
from poisonkit.format import reader
from poisonkit.format.manifest import Manifest, SealedManifest
from poisonkit.format.records import Json, Picture, Recipe, TriggerStep
from poisonkit.poisoning import apply, supported
from poisonkit.triggers import own
from poisonkit.triggers import registry as triggers


def lines(path: Path, manifest: Manifest) -> list[str]:
    """Summarise a file for people."""
    chosen = _chosen(path, manifest) if manifest.poisoned and manifest.recipe.one_of else None
    return [f"file      {path} ({path.stat().st_size / 1e6:,.1f} MB)", *manifest_lines(manifest, chosen)]


def _chosen(path: Path, manifest: Manifest) -> list[int]:
    """Count the changed rows that got each of the triggers, where each row got one."""
    choice, number = apply.one_of(manifest.recipe), len(manifest.recipe.triggers)
    if choice is None:
        return []
    with reader.reading(path) as data:
        which = apply.which_one(choice, number, data["truth/rows"])
    return np.bincount(which, minlength=number).tolist()


def manifest_lines(manifest: Manifest, chosen: list[int] | None = None) -> list[str]:
    """Summarise a data set's manifest for people; `chosen` are the changed rows of each trigger, where each row got one
    and that is known."""
    kind = manifest.modality.rows
    what = f"clean {kind}, the baseline" if manifest.clean else "POISONED training data, for defensive research only"
    rows = [
        ("what", what),
        (kind, f"{manifest.source.title}; licence: {manifest.source.licence}"),
        ("size", size(manifest)),
    ]
    if options := {key: one for key, one in manifest.source.options.items() if not key.startswith("camouflage")}:
        rows.append(("options", ", ".join(f"{key} {_value(value)}" for key, value in options.items())))
    rows += [] if manifest.clean else _poisoning(manifest, chosen)
    if unknown := supported.problem(manifest):
        rows.append(("recipe", f"unknown here ({unknown}){supported.made_by(unknown)}"))
    if steps := manifest.source.camouflage:
        last = "" if manifest.clean else f", {'after' if manifest.camouflaged_last else 'before'} the trigger"
        rows.append(("altered", f"every image, by --camouflage {steps} with a secret seed{last}"))
    rows += [("source", str(manifest.source.digest)), ("dataset", manifest.dataset_digest)]
    return [f"{label:10}{text}" for label, text in rows]


def _poisoning(manifest: Manifest, chosen: list[int] | None) -> list[tuple[str, str]]:
    """Triggers, changed rows, labels and the rows that measure them."""
    recipe, counts = manifest.recipe, manifest.counts
    changed = f"{counts.poisoned:,} of {counts.train:,} rows (asked: {recipe.rate}; "
    changed += (
        f"{counted(counts.already_target, 'was', 'were')} of the target class, {counts.unchanged:,} did not change)"
    )
    rows = []
    for number, step in enumerate(recipe.triggers):
        rows += [("trigger", _step(step)), *(("with", text) for text in _given(manifest, number))]
    if recipe.one_of:
        names = (f"{count:,} {step.name}" for count, step in zip(chosen or (), recipe.triggers, strict=False))
        counted_ = f": {', '.join(names)}" if chosen else ""
        rows.append(("one of", f"each changed row has one of these{counted_}; triggered test rows have all"))
    if recipe.patch:
        rows.append(("applied", f"to every patch of {'×'.join(map(str, recipe.patch))} (BadPatches)"))
    elif recipe.application == "image":
        rows.append(("applied", "to the whole image"))
    rows += [("poisoned", changed), ("label", _labels(recipe, manifest.source.classes))]
    if counts.cover:
        own = ", each with noise of its own" if recipe.cover_jitter else ""
        rows.append(("cover", f"{counted(counts.cover, 'row')} with the trigger and their own label{own}"))
    rows.append(("triggered", f"{counted(counts.triggered, 'test row')}, to score ASR on"))
    if counts.others:
        text = f"{counted(counts.others, 'test row')} of other classes, triggered: not to be classified as the target"
        rows.append(("others", text))
    return [*rows, ("seed", str(recipe.seed))]


def size(manifest: Manifest | SealedManifest) -> str:
    """How many rows a file has, and of what size images are."""
    counts, shape = manifest.counts, manifest.shape(manifest.modality.path("train"))
    sides = f", {'×'.join(map(str, shape[1:]))}" if shape[1:] else ""
    return f"{counts.train:,} training + {counts.test:,} test{sides}"


def source_lines(source: Json) -> list[str]:
    """Return what `poisonkit sources` says of one source (see `sources.describe`)."""
    state = {True: "in the cache, official", False: "in the cache, not the official data", None: "in the cache"}
    image = f", {'×'.join(map(str, source['image']))}" if source["image"] else ""
    size = f"{source['train']:,} training + {source['test']:,} test{image}"
    classes = f", {len(source['classes'])} classes" if source["classes"] else ""
    rows = [
        ("size", f"{size}{classes}" if source["train"] else "as they are"),
        ("licence", source["licence"]),
        ("from", source["url"]),
        ("how", source["how"]),
        ("cache", state[source["official"]] if source["cached"] else "not there"),
    ]
    for archive in source["archives"]:
        digest = f"SHA-256 {archive['sha256']}" if archive["sha256"] else f"MD5 {archive['md5']}"
        rows.append(("archive", f"{archive['name']} ({digest})"))
    if source["options"]:
        options = ", ".join(f"{key}={value}" for key, value in source["options"].items())
        rows.append(("options", f"--source-option, defaults {options}"))
    title = source["title"].removeprefix(f"{source['name']}: ")
    return [f"{source['name']}: {title}", *(f"  {label:9}{text}" for label, text in rows if text)]


def _labels(recipe: Recipe, classes: tuple[str, ...]) -> str:
    """Label mode, target and the rows that were eligible."""
    text = recipe.label_mode
    if recipe.target is not None:
        text += f", target {class_names.spelled(classes, recipe.target)}"
    if recipe.source_classes:
        text += f", from {', '.join(class_names.spelled(classes, label) for label in recipe.source_classes)}"
    elif recipe.select == "non-target":
        text += ", from all other classes"
    if recipe.cover_classes:
        text += f"; covers of {', '.join(class_names.spelled(classes, label) for label in recipe.cover_classes)}"
    return text


def _step(step: TriggerStep) -> str:
    """Name a trigger and its parameters; of somebody's own, the file and the function."""
    name, parameters = step.name, dict(step.parameters)
    if name == own.NAME:
        name = f"{name} {parameters.pop('file', '?')}:{parameters.pop('function', '?')}"
        parameters.pop("digest", None)
    values = ", ".join(f"{key} {_value(value)}" for key, value in parameters.items())
    return f"{name}: {values}" if values else name


def _given(manifest: Manifest, number: int) -> list[str]:
    """Say what a trigger was given by the user: code, a picture, an array, or whole rows."""
    step, picture = manifest.recipe.triggers[number], manifest.pictures.get(number, Picture())
    if step.name == own.NAME:
        return [f"code of the user's, {_short(step.parameters.get('digest'))}, a copy is in trigger/{number}/source"]
    if picture.digest is None or step.name not in triggers.TRIGGERS:
        return []
    size = "×".join(map(str, picture.shape or ()))
    if triggers.gives_rows(step.name):
        counts, kind = manifest.counts, manifest.modality.rows
        changed, tested = counts.poisoned + counts.cover, counts.triggered + counts.others
        what = f"{kind} made with another tool, of {changed:,} training rows and {tested:,} test rows"
    elif triggers.takes_file(step.name):
        what = f"array of {size}"
    else:
        what = f"{size} pictures" if triggers.takes_folder(step.name) else f"picture of {size}"
    return [f"{what}, {_short(picture.digest)}"]


def _short(digest: object) -> str:
    return f"{str(digest)[:23]}…"


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
