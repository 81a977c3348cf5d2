"""Find the clean images that a manifest was made from, and check that they are those."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from poisonkit.core import hashing, hints
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.files import path_text
from poisonkit.format import reader
from poisonkit.sources.base import Source


def check_and_relabel(source: Source, facts: dict) -> Source:
    """The clean images at hand under the name and licence that the manifest gives them.

    Raises `Failure` where they are others: it says which arrays differ, and where these came from.
    """
    said, wanted = facts["source"], facts["source"]["arrays"]
    if source.arrays != wanted:
        source = _relabelled(source, tuple(said["classes"]))
    differing = [path for path in sorted(wanted) if source.arrays.get(path) != wanted[path]]
    if differing:
        where = source.origin.get("path", f"the built-in {source.name}")
        raise Failure(
            f"another source: {', '.join(differing)} of {where} differ from those of the recipe "
            f"({source.digest[:23]}… here, {facts['source']['digest'][:23]}… there): give the right one"
        )
    return replace(
        source,
        **{key: said[key] for key in ("name", "title", "licence", "url", "options")},
        classes=tuple(said["classes"]),
    )


def _relabelled(source: Source, classes: tuple[str, ...]) -> Source:
    """The source with the numbers that a manifest's list of the same class names gives them, in whatever order."""
    if source.classes == classes or len(set(classes)) < len(classes) or sorted(source.classes) != sorted(classes):
        return source
    number = {name: label for label, name in enumerate(classes)}
    numbers = np.array([number[name] for name in source.classes], np.int64)
    splits = {name: replace(part, labels=numbers[part.labels]) for name, part in _parts(source).items()}
    digests = {f"{name}/labels": hashing.array_digest(part.labels) for name, part in splits.items()}
    return replace(source, classes=classes, arrays=source.arrays | digests, **splits)


def _parts(source: Source) -> dict:
    return {"train": source.train, "test": source.test}


def clean_images(
    facts: dict, source: Path | None, dataset: str | None, cache: Path | None, progress, say, fresh: bool = False
) -> Source:
    """The clean images that a manifest was made from, under the name and licence that it gives them.

    They are read from `source`: a clean file of the format, or what `make --source` takes (as `dataset`, if it is
    another kind of source than the manifest names). Without it they are looked up in the cache, else got as `make` gets
    them, as they are at once where they are wanted `fresh`. Raises `Failure` where they are others.
    """
    from poisonkit.core.progress import processors
    from poisonkit.sources import base, camouflage
    from poisonkit.sources._cache.cache import Cache

    said = facts["source"]
    for found in _candidates(facts, source, dataset, cache, progress, say, fresh):
        if found.digest != said["digest"] and "camouflage" in said["options"]:
            _, disguise = camouflage.split(said["options"])
            if disguise is not None:
                found = camouflage.derive(
                    found, disguise, Cache(cache), base.SourceContext(processors(), progress, say)
                )
        if found.digest == said["digest"]:
            break
    return check_and_relabel(found, facts)


def _candidates(facts: dict, source: Path | None, dataset: str | None, cache: Path | None, progress, say, fresh: bool):
    """Yield what the clean images of a manifest may be, or may be made from where they are camouflaged; the last one is
    got as `make` gets it."""
    from poisonkit.sources import camouflage
    from poisonkit.sources._cache.cache import Cache

    said = facts["source"]
    if source is None and "camouflage" in said["options"] and not fresh:
        yield from camouflage.beneath(facts, Cache(cache), say)
    elif source is None and not fresh and (found := Cache(cache).by_digest(said["digest"], say)):
        yield found
    yield plain_images(facts, source, dataset, cache, progress, say, fresh)


def plain_images(
    facts: dict, source: Path | None, dataset: str | None, cache: Path | None, progress, say, fresh: bool = False
) -> Source:
    """The images that `source` (see `clean_images`) holds, read as the manifest's source says, without camouflage."""
    from poisonkit.sources import camouflage
    from poisonkit.sources import opening as sources
    from poisonkit.sources.registry import SOURCES

    said = facts["source"]
    if source is not None and source.suffix == ".h5":
        return clean_file(source)
    plain, _ = camouflage.split(said["options"])
    name = dataset or said["name"]
    if name not in SOURCES:
        raise Failure(f"the recipe's clean images are {name!r:.60}: say with --dataset and --source where they are")
    options = {**SOURCES[name].former_options, **plain} if name == said["name"] else {}
    how = {"options": options, "fresh": fresh, "progress": progress, "say": say}
    return sources.open_source(name, source=source, cache=cache, **how)


def clean_file(path: Path) -> Source:
    """The clean images of a clean file of the format, read where they lie in it."""
    with reader.reading(path) as data:
        if not data.clean:
            advice = command_for_clean_file(data.manifest["source"])
            raise Usage(f"{path}: expected a clean file (`{advice}`), this one is poisoned")
        said, parts = data.manifest["source"], {part: data.split(part) for part in ("train", "test")}
        arrays = {name: entry["digest"] for name, entry in data.manifest["arrays"].items()}
    return Source(
        **{key: said[key] for key in ("name", "title", "licence", "url")},
        classes=tuple(said["classes"]),
        **parts,
        arrays=arrays,
        origin={"kind": "clean file", "path": path_text(path), "official": None},
        cached=False,
    )


def command_for_clean_file(record: dict) -> str:
    """Return the command that makes the clean file of a source again, from a manifest's record of it."""
    from poisonkit.sources.registry import SOURCES, is_user_data

    name, options = record["name"], record.get("options", {})
    implied = SOURCES[name].unrecorded(record) if name in SOURCES else {}
    return hints.clean_file(name, options | implied, is_user_data(name))
