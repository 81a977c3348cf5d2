"""Find the clean images that a manifest was made from, and check that they are those."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import hashing, hints
from poisonkit.core.errors import Failure, Usage
from poisonkit.core.files import path_text
from poisonkit.format import reader, records
from poisonkit.sources.base import Source


@dataclass(frozen=True)
class CleanData:
    """Where the clean data of an existing file are: `path` is a clean file of the format or what `make --source` takes
    (read as the source `dataset`, if that is another than the file's); without it they are looked up in the `cache`,
    else obtained as `make` does. `fresh`: read them again, whatever the cache holds."""

    path: Path | None = None
    dataset: str | None = None
    cache: Path | None = None
    fresh: bool = False


def check_and_relabel(source: Source, record: records.Source) -> Source:
    """Return the clean images at hand under the name and licence that a manifest records.

    Raises `Failure` where they are others: it says which arrays differ, and where these came from.
    """
    expected = record.arrays
    if source.arrays != expected:
        source = _relabelled(source, record.classes)
    differing = [path for path in sorted(expected) if source.arrays.get(path) != expected[path]]
    if differing:
        where = source.origin.get("path", f"the built-in {source.name}")
        raise Failure(
            f"another source: {', '.join(differing)} of {where} differ from those of the recipe "
            f"({source.digest[:23]}… here, {str(record.digest)[:23]}… there): give the right one"
        )
    return replace(
        source,
        name=record.name,
        title=record.title,
        licence=record.licence,
        url=record.url,
        options=record.options,
        classes=record.classes,
    )


def _relabelled(source: Source, classes: tuple[str, ...]) -> Source:
    """Return the source with the numbers that a manifest's list of the same class names gives them, in whatever
    order."""
    if source.classes == classes or len(set(classes)) < len(classes) or sorted(source.classes) != sorted(classes):
        return source
    number = {name: label for label, name in enumerate(classes)}
    numbers = np.array([number[name] for name in source.classes], np.int64)
    parts: dict[str, Any] = {"train": source.train, "test": source.test}
    splits = {name: replace(part, labels=numbers[part.labels]) for name, part in parts.items()}
    digests = {f"{name}/labels": hashing.array_digest(part.labels) for name, part in splits.items()}
    return replace(source, classes=classes, arrays=source.arrays | digests, **splits)


def clean_images(record: records.Source, where: CleanData, progress, warn) -> Source:
    """Find the clean images that a manifest records, under the name and licence that it gives them.

    Raises `Failure` where those that `where` names are others.
    """
    from poisonkit.core.progress import processors
    from poisonkit.sources import base, camouflage
    from poisonkit.sources._cache.cache import Cache

    for source in _candidates(record, where, progress, warn):
        if source.digest != record.digest and record.camouflage is not None:
            _, disguise = camouflage.split(record.options)
            if disguise is not None:
                context = base.SourceContext(processors(), progress, warn)
                source = camouflage.derive(source, disguise, Cache(where.cache), context)
        if source.digest == record.digest:
            break
    return check_and_relabel(source, record)


def _candidates(record: records.Source, where: CleanData, progress, warn) -> Iterator[Source]:
    """Yield what the clean images of a record may be, or may be made from where they are camouflaged; the last one is
    obtained as `make` does."""
    from poisonkit.sources import camouflage
    from poisonkit.sources._cache.cache import Cache

    look_up = where.path is None and not where.fresh
    if look_up and record.camouflage is not None:
        yield from camouflage.beneath(record.name, record.arrays, Cache(where.cache), warn)
    elif look_up and (cached := Cache(where.cache).by_digest(str(record.digest), warn)):
        yield cached
    yield plain_images(record, where, progress, warn)


def plain_images(record: records.Source, where: CleanData, progress, warn) -> Source:
    """Read the images that `where` names as the record has them, without camouflage."""
    from poisonkit.sources import camouflage
    from poisonkit.sources import opening as sources
    from poisonkit.sources.registry import SOURCES

    if where.path is not None and where.path.suffix == ".h5":
        return clean_file(where.path)
    plain, _ = camouflage.split(record.options)
    name = SOURCES.find(where.dataset) if where.dataset else record.name
    if name not in SOURCES:
        raise Failure(f"the recipe's clean images are {name!r:.60}: say with --dataset and --source where they are")
    options = {**SOURCES[name].former_options, **plain} if name == record.name else {}
    return sources.open_source(
        name, source=where.path, cache=where.cache, options=options, fresh=where.fresh, progress=progress, say=warn
    )


def clean_file(path: Path) -> Source:
    """Return the clean images of a clean file of the format, read where they lie in it."""
    with reader.reading(path) as data:
        if not data.clean:
            advice = command_for_clean_file(data.manifest.source)
            raise Usage(f"{path}: expected a clean file (`{advice}`), this one is poisoned")
        record, parts = data.manifest.source, {part: data.split(part) for part in ("train", "test")}
        arrays = {name: entry.digest for name, entry in data.manifest.arrays.items()}
    return Source(
        name=record.name,
        title=record.title,
        licence=record.licence,
        url=record.url,
        classes=record.classes,
        train=parts["train"],
        test=parts["test"],
        arrays=arrays,
        origin={"kind": "clean file", "path": path_text(path), "official": None},
        cached=False,
    )


def command_for_clean_file(record: records.Source) -> str:
    """Return the command that makes the clean file of a source again, from a manifest's record of it."""
    from poisonkit.sources.registry import SOURCES, is_user_data

    name = record.name
    implied = SOURCES[name].unrecorded(record.classes, record.options) if name in SOURCES else {}
    return hints.clean_file(name, record.options | implied, is_user_data(name))
