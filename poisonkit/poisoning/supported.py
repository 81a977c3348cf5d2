"""What of a file's recipe this version of the tool does not know: made by a newer one, or with a custom trigger.

Such a file is not damaged. Its arrays can be held against their digests and against one another; what its trigger makes
of an image cannot be computed, so whoever would have to stops with exit code 4.
"""

from pathlib import Path

from poisonkit.core import label_modes
from poisonkit.core.errors import Unknown, Usage
from poisonkit.format import schema
from poisonkit.format.manifest import AnyManifest, Header, Manifest, SealedManifest
from poisonkit.format.records import Source, TriggerStep
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers import registry as triggers
from poisonkit.triggers.base import NOT_INSTALLED, UNNAMED

PICTURES = ("frog", "drawn")  # the built-in ones


def problem(manifest: AnyManifest) -> str | None:
    """Return what is not known here of the recipe of a file of any kind, in a few words; None where all of it is."""
    if isinstance(manifest, SealedManifest):  # which says nothing of a recipe
        return unknown_key(manifest)
    if not isinstance(manifest, Manifest):
        return problem(manifest.original) or unknown_key(manifest)
    if not manifest.known_version:
        return f"recipe version {manifest.recipe_version}"
    if unknown := unknown_key(manifest) or _source(manifest.source):
        return unknown
    return None if manifest.clean else _recipe(manifest)


def unknown_key(manifest: Header) -> str | None:
    """Return the first key that is known to no version here, by its place in the manifest, but of a recipe's."""
    return schema.unknown_key(manifest.json)


def label_mode(manifest: Manifest) -> bool:
    """Whether it is known here what becomes of the labels under the recipe of a poisoned file."""
    recipe = manifest.recipe
    known = recipe.label_mode in label_modes.SELECTIONS and recipe.select in label_modes.CHOICES
    return known and manifest.known_version


def note(manifest: AnyManifest, before: str = "; ") -> str:
    """Return what a line about a file ends in where its recipe is not known here, else nothing."""
    unknown = problem(manifest)
    return f"{before}its recipe is unknown here ({unknown})" if unknown else ""


def demand(path: Path, manifest: AnyManifest, why: str) -> None:
    """`Unknown`, in one line, where something of the recipe is not known here; `why` says what follows."""
    if unknown := problem(manifest):
        advice = "" if _says_itself(unknown) else ": use the version of the tool that made it"
        raise Unknown(f"{path}: its recipe is unknown here ({unknown}), {why}{advice}")


def made_by(unknown: str) -> str:
    """Say, for the end of a line, who may know what is not known of a recipe; of code the line says it itself."""
    return "" if _says_itself(unknown) else ": made by a newer poisonkit, or custom"


def _says_itself(unknown: str) -> bool:
    """Whether the words already say what to do, as they do of code that is not ours."""
    return unknown.startswith(UNNAMED) or NOT_INSTALLED in unknown


def _recipe(manifest: Manifest) -> str | None:
    recipe = manifest.recipe
    if recipe.label_mode not in label_modes.SELECTIONS:
        return f"label mode {recipe.label_mode!r:.60}"
    if recipe.select not in label_modes.CHOICES:
        return f"select {recipe.select!r:.60}"
    if unknown := schema.unknown_recipe_keys(manifest.json):
        return f"recipe key {unknown[0]!r:.60}"
    built_in = [picture.built_in for picture in manifest.pictures.values() if picture.built_in is not None]
    if others := [name for name in built_in if name not in PICTURES]:
        return f"built-in picture {others[0]!r:.60}"
    return next(filter(None, map(_trigger, recipe.triggers)), None)


def _trigger(step: TriggerStep) -> str | None:
    if (unknown := triggers.unknown(step.name, step.parameters)) or triggers.spec(step.name).free:
        return unknown
    options = {option.key: option for option in triggers.spec(step.name).options}
    for key, text in step.typed.items():
        if key not in options:
            return f"parameter {key!r:.60} of {step.name}"
        try:
            parsed = options[key].parse(text)
        except ValueError as error:
            return f"{step.name}: {key}: {error}"
        if isinstance(parsed, str) and parsed != text and parsed[:1].isalpha():  # only people spell names otherwise
            return f"{step.name}: {key} {text!r:.60}"
    return None


def _source(source: Source) -> str | None:
    from poisonkit.sources import camouflage

    if source.name not in SOURCES:  # somebody's own: nothing of it is computed
        return None
    spec = SOURCES[source.name]
    try:
        plain, _ = camouflage.split(source.options)
    except Usage:
        return f"camouflage {source.camouflage!r:.60}"
    for key, value in plain.items():
        if key not in spec.options:
            return f"option {key!r:.60} of the source {source.name}"
        try:
            spec.parsers.get(key, lambda same: same)(value)
        except ValueError as error:
            return f"option {key!r:.60} of the source {source.name}: {error}"
    return None
