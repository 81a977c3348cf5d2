"""What of a file's recipe this version of the tool does not know: made by a newer one, or with a custom trigger.

Such a file is not damaged. Its arrays can be held against their digests and against one another; what its trigger makes
of an image cannot be computed, so whoever would have to stops with exit code 4.
"""

from poisonkit.core import label_modes
from poisonkit.core.errors import Unknown, Usage
from poisonkit.format import manifest, schema
from poisonkit.sources.registry import SOURCES
from poisonkit.triggers import registry as triggers

PICTURES = ("frog",)  # the built-in ones
_RECORDS = {"arrays": {"digest", "dtype", "shape"}, "pictures": {"digest", "shape", "built_in"}}
"""Every key that each of the entries of a table may have."""


def problem(facts: dict) -> str | None:
    """Return what is not known here of the recipe of a file of any kind, in a few words; None where all of it is."""
    if (of := facts.get("of")) is not None:
        return problem(of) or strange_key(facts)
    if manifest.is_sealed(facts):  # which says nothing of a recipe
        return strange_key(facts)
    if facts["recipe_version"] not in manifest.recipe_versions(facts):
        return f"recipe version {facts['recipe_version']}"
    if wrong := strange_key(facts):
        return wrong
    if wrong := _source(facts["source"]):
        return wrong
    return None if manifest.is_clean(facts) else _recipe(facts)


def strange_key(facts: dict) -> str | None:
    """Return the first key that is known to no version here, by its place in the manifest."""
    known = schema.known_keys(facts["kind"])
    if manifest.is_poisoned(facts):
        del known["recipe"]  # which `_recipe` looks at
    tables = [(place, facts[place] if place else facts, keys) for place, keys in known.items()]
    for place, keys in _RECORDS.items():
        tables += [(f"{place}.{name}", entry, keys) for name, entry in facts.get(place, {}).items()]
    for place, table, keys in tables:
        if more := sorted(table.keys() - keys):
            return f"key {f'{place}.{more[0]}'.lstrip('.')!r:.60}"
    return None


def label_mode(facts: dict) -> bool:
    """Whether it is known here what becomes of the labels under the recipe of a poisoned file."""
    recipe = facts["recipe"]
    known = facts["recipe_version"] in manifest.recipe_versions(facts)
    return known and recipe["label_mode"] in label_modes.SELECTIONS and recipe["select"] in label_modes.CHOICES


def note(facts: dict, before: str = "; ") -> str:
    """Return what a line about a file ends in where its recipe is not known here, else nothing."""
    unknown = problem(facts)
    return f"{before}its recipe is unknown here ({unknown})" if unknown else ""


def demand(path, facts: dict, why: str) -> None:
    """`Unknown`, in one line, where something of the recipe is not known here; `why` says what follows."""
    if unknown := problem(facts):
        raise Unknown(
            f"{path}: its recipe is unknown here ({unknown}), {why}: use the version of the tool that made it"
        )


def _recipe(facts: dict) -> str | None:
    recipe = facts["recipe"]
    for kind, value, known in (
        ("label mode", recipe["label_mode"], label_modes.SELECTIONS),
        ("select", recipe["select"], label_modes.CHOICES),
        *(("recipe key", key, schema.known_keys("poisoned")["recipe"]) for key in sorted(recipe)),
        *(("built-in picture", record.get("built_in", PICTURES[0]), PICTURES) for record in facts["pictures"].values()),
    ):
        if value not in known:
            return f"{kind} {value!r:.60}"
    return next(filter(None, map(_trigger, recipe["triggers"])), None)


def _trigger(step: dict) -> str | None:
    name = step["name"]
    if name not in triggers.TRIGGERS:
        return f"trigger {name!r:.60}"
    options = {option.key: option for option in triggers.spec(name).options}
    for key, value in step.items():
        if key == "name":
            continue
        if key not in options:
            return f"parameter {key!r:.60} of {name}"
        try:
            options[key].parse(",".join(map(str, value)) if isinstance(value, list) else str(value))
        except ValueError as error:
            return f"{name}: {key}: {error}"
    return None


def _source(source: dict) -> str | None:
    from poisonkit.sources import camouflage

    if source["name"] not in SOURCES:  # somebody's own: nothing of it is computed
        return None
    spec = SOURCES[source["name"]]
    try:
        plain, _ = camouflage.split(source["options"])
    except Usage:
        return f"camouflage {source['options'].get('camouflage')!r:.60}"
    for key, value in plain.items():
        if key not in spec.options:
            return f"option {key!r:.60} of the source {source['name']}"
        try:
            spec.parsers.get(key, lambda same: same)(value)
        except ValueError as error:
            return f"option {key!r:.60} of the source {source['name']}: {error}"
    return None
