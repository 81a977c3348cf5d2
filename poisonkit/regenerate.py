"""`make --from`: the same file, to the byte, from its manifest alone."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poisonkit import guard, hints, known, make, manifest, numbers, order, recipe, schema, store, triggers
from poisonkit.errors import Failure, Unknown, Usage
from poisonkit.recipe import Request
from poisonkit.sources.base import Source, text


@dataclass(frozen=True)
class Said:
    """What a manifest says is to be made, and the SHA-256 of the file that it came with, if it says that too."""

    path: Path
    facts: dict
    sha256: str | None = None


def read(path: Path) -> Said:
    """The manifest that a sidecar, a bare manifest or a file of the format holds; `Failure` where it is not sound."""
    if path.suffix == ".h5":
        return Said(path, guard.inspect(path))
    try:
        said = numbers.loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: could not be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path}: is no JSON ({error}): expected a NAME.manifest.json or a file of the format") from None
    facts = said.get("manifest", said) if isinstance(said, dict) else None
    wrong = _wrong(facts)
    if wrong:
        raise (Unknown if _of_another_version(facts) else Failure)(f"{path}: {wrong}")
    file = said.get("file")
    sha256 = file.get("sha256") if isinstance(file, dict) else None
    return Said(path, facts, sha256 if isinstance(sha256, str) else None)


def _wrong(facts) -> str | None:
    """Why a JSON value is no manifest to go by; None where it is one."""
    if not isinstance(facts, dict) or facts.get("format") != manifest.FORMAT:
        return "holds no manifest of poisonkit: expected a NAME.manifest.json or a file of the format"
    version, known = (facts.get("format_version"), facts.get("recipe_version")), manifest.recipe_versions(facts)
    if version[0] != manifest.FORMAT_VERSION or version[1] not in known:
        return (
            f"is of format {version[0]!r:.20}, recipe version {version[1]!r:.20}; this poisonkit makes format "
            f"{manifest.FORMAT_VERSION}, recipe version {' or '.join(map(str, known))}, whose bytes are others: take "
            "the version of the tool that made it (the sidecar's `tool` says which)"
        )
    wrong = schema.problem(facts) or schema.arrays_problem(facts)
    if wrong is None and facts["dataset_digest"] != _digest(facts):
        wrong = "its manifest was altered: its dataset_digest is not that of the rest"
    return wrong


def _of_another_version(facts) -> bool:
    """Whether it is its recipe's version alone that is in the way."""
    mine = isinstance(facts, dict) and facts.get("format_version") == manifest.FORMAT_VERSION
    return mine and facts.get("recipe_version") not in manifest.recipe_versions(facts)


def _digest(facts: dict) -> str:
    try:
        return manifest.dataset_digest(facts)
    except (TypeError, ValueError, RecursionError):
        return "none: it cannot be spelled"


def with_pictures(request: Request, facts: dict, given: dict) -> Request:
    """Add the users' pictures, whose digests must be the manifest's. `given` is trigger name → array."""
    wanted = {}
    for number, record in facts["pictures"].items():
        if "digest" in record and number.isdecimal() and int(number) < len(request.steps):
            wanted[request.steps[int(number)][0]] = record["digest"]
    for name, digest in wanted.items():
        option = triggers.given_option(name)
        if name not in given:
            what = "picture whose array is" if option.endswith("image") else "file whose needed rows are"
            raise Failure(f"the recipe needs the {what} {digest}: give it with {option}")
        found = manifest.array_digest(given[name]) if option.endswith("image") else digest  # its rows: see `plan`
        if found != digest:
            raise Failure(f"{option}: another picture: its array is {found}, the recipe's {digest}")
    for name in sorted(given.keys() - wanted.keys()):
        raise Usage(f"{triggers.given_option(name)}: given, but the recipe uses no file of yours")
    return replace(request, pictures=given)


def adopt(source: Source, facts: dict) -> Source:
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
    digests = {f"{name}/labels": manifest.array_digest(part.labels) for name, part in splits.items()}
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
    from poisonkit.sources import base, camouflage
    from poisonkit.sources.cache import Cache

    said = facts["source"]
    for found in _candidates(facts, source, dataset, cache, progress, say, fresh):
        if found.digest != said["digest"] and "camouflage" in said["options"]:
            _, wanted = camouflage.split(said["options"])
            found = camouflage.derive(found, wanted, Cache(cache), base.Context(base.processors(), progress, say))
        if found.digest == said["digest"]:
            break
    return adopt(found, facts)


def _candidates(facts: dict, source: Path | None, dataset: str | None, cache: Path | None, progress, say, fresh: bool):
    """Yield what the clean images of a manifest may be, or may be made from where they are camouflaged; the last one is
    got as `make` gets it."""
    from poisonkit.sources import camouflage
    from poisonkit.sources.cache import Cache

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
    from poisonkit import sources
    from poisonkit.sources import camouflage

    said = facts["source"]
    if source is not None and source.suffix == ".h5":
        return clean_file(source)
    plain, _ = camouflage.split(said["options"])
    name = dataset or said["name"]
    if name not in sources.TITLES:
        raise Failure(f"the recipe's clean images are {name!r:.60}: say with --dataset and --source where they are")
    options = getattr(sources.module(name), "OLD", {}) | plain if name == said["name"] else {}
    how = {"options": options, "fresh": fresh, "progress": progress, "say": say}
    return sources.open_source(name, source=source, cache=cache, **how)


def clean_file(path: Path) -> Source:
    """The clean images of a clean file of the format, read where they lie in it."""
    with store.reading(path) as data:
        if not data.clean:
            raise Usage(
                f"{path}: expected a clean file (`{hints.clean_file(data.manifest['source'])}`), this one is poisoned"
            )
        said, parts = data.manifest["source"], {part: data.split(part) for part in ("train", "test")}
        arrays = {name: entry["digest"] for name, entry in data.manifest["arrays"].items()}
    texts = (said[key] for key in ("name", "title", "licence", "url"))
    origin = {"kind": "clean file", "path": text(path), "official": None}
    return Source(*texts, tuple(said["classes"]), parts["train"], parts["test"], arrays, {}, origin, cached=False)


def plan(source: Source, said: Said, request: Request) -> make.Plan:
    """The plan that the manifest describes; `Failure` where this version of the tool would write another manifest."""
    if not manifest.camouflaged_last(said.facts):
        source = replace(source, behind=None)  # in files of version 1 the trigger lies on top of a camouflage
    elif source.behind is None:
        raise Failure(
            f"{said.path}: its training rows were camouflaged after the trigger was put on, so the plain images are "
            "needed: name with --source what they are read from, not a clean file of camouflaged ones"
        )
    made = replace(make.plan(source, request, force=True), expected=said.facts, sha256=said.sha256)
    for number, record in said.facts["pictures"].items():
        if (found := made.facts["pictures"].get(number)) != record:
            name = said.facts["recipe"]["triggers"][int(number)]["name"]
            raise Failure(f"{triggers.given_option(name)}: another file: {found}, the recipe's {record}")
    facts = {key: value for key, value in said.facts.items() if key not in ("arrays", "dataset_digest")}
    counts = {key: value for key, value in facts["counts"].items() if key != "unchanged"}
    differing = list(manifest.describe(made.facts, facts | {"counts": counts}))
    if differing:
        raise Failure(
            f"{said.path}: this poisonkit would write another manifest ({'; '.join(differing[:3])}): take the version "
            "of the tool that made it"
        )
    return made


def carry_out(asked, threads: int | None, dry_run: bool, command: list[str], progress, say) -> str:
    """`make --from`: `asked` is an `order.Order` of which only what says where things are counts. One line about it."""
    said = read(asked.origin)
    known.demand(asked.origin, said.facts, "so the file cannot be made again")
    request = with_pictures(recipe.request_of(said.facts), said.facts, order.pictures_of(asked.given))
    source = clean_images(said.facts, asked.source, asked.dataset, asked.cache, progress, say, asked.fresh)
    return order.deliver(plan(source, said, request), asked.output, threads, asked.force, dry_run, command, progress)
