"""Canonical JSON, digests, and the manifest. See data/FORMAT.md, "The manifest"."""

from poisonkit.core.hashing import digest

FORMAT = "poisonkit"
FORMAT_VERSION = 1
RECIPE_VERSION = 1
CAMOUFLAGED_LAST = 2
"""The recipe version of a poisoned file whose training rows got the trigger first, then the camouflage; in version 1 it
was the other way round."""
SECRETS = ("camouflage-seed",)
"""Options of a source whose values no line for people says."""

NOTICE = (
    "Research data for defending against backdoor attacks. Some training rows of this data set were changed on "
    "purpose (see recipe, counts and the group truth), so that a model trained on it misclassifies inputs that "
    "carry the trigger. Do not train anything on it that will be put to use."
)
CLEAN_NOTICE = (
    "Clean data, unchanged, as the baseline for research into backdoor attacks. Its labels and {rows} are those of "
    "the source."
)


def dataset_digest(manifest: dict) -> str:
    """SHA-256 of the manifest without its own `dataset_digest`."""
    return digest({key: value for key, value in manifest.items() if key != "dataset_digest"})


def told(options: dict) -> dict:
    """Those of a source's options that may be told to people."""
    return {key: value for key, value in options.items() if key not in SECRETS}


def recipe_versions(facts: dict) -> tuple[int, ...]:
    """The recipe versions of which this program makes a file such as the one whose manifest is given."""
    source = facts.get("source")
    options = source.get("options") if isinstance(source, dict) else None
    hidden = facts.get("kind") == "poisoned" and isinstance(options, dict) and "camouflage" in options
    return (RECIPE_VERSION, CAMOUFLAGED_LAST) if hidden else (RECIPE_VERSION,)


def camouflaged_last(facts: dict) -> bool:
    """Whether a file's training rows got the trigger first, and the camouflage then."""
    return facts["recipe_version"] == CAMOUFLAGED_LAST and CAMOUFLAGED_LAST in recipe_versions(facts)


def describe(asked, there, where: str = ""):
    """One short line for each value in which two JSON values differ; of secrets, that they do."""
    if isinstance(asked, dict) and isinstance(there, dict):
        for key in sorted(asked.keys() | there.keys()):
            yield from describe(asked.get(key), there.get(key), f"{where}.{key}" if where else key)
    elif isinstance(asked, list) and isinstance(there, list) and len(asked) == len(there):
        for i, (left, right) in enumerate(zip(asked, there, strict=True)):
            yield from describe(left, right, f"{where}[{i}]")
    elif asked != there and where.rsplit(".", 1)[-1] in SECRETS:
        yield f"{where}: another here than there"
    elif asked != there:
        yield f"{where}: {_short(asked)} here, {_short(there)} there"


def _short(value) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
