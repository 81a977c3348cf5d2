"""`make --from`: the same file, to the byte, from its manifest alone."""

from dataclasses import dataclass, replace
from pathlib import Path

from poisonkit.build import request as order
from poisonkit.core import hashing, numbers
from poisonkit.core.errors import Failure, Unknown, Usage
from poisonkit.format import manifest, schema, structure
from poisonkit.poisoning import plan as make
from poisonkit.poisoning import recipe, supported
from poisonkit.poisoning.clean_images import clean_images
from poisonkit.poisoning.recipe import Request
from poisonkit.sources.base import Source
from poisonkit.triggers import registry as triggers


@dataclass(frozen=True)
class Said:
    """What a manifest says is to be made, and the SHA-256 of the file that it came with, if it says that too."""

    path: Path
    facts: dict
    sha256: str | None = None


def read(path: Path) -> Said:
    """The manifest that a sidecar, a bare manifest or a file of the format holds; `Failure` where it is not sound."""
    if path.suffix == ".h5":
        return Said(path, structure.inspect(path))
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
    wrong = schema.problem(facts)
    if wrong is None and not isinstance(facts.get("arrays"), dict):
        wrong = "its manifest names no arrays"
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
        option = triggers.file_option(name)
        if name not in given:
            what = "picture whose array is" if option.endswith("image") else "file whose needed rows are"
            raise Failure(f"the recipe needs the {what} {digest}: give it with {option}")
        found = hashing.array_digest(given[name]) if option.endswith("image") else digest  # its rows: see `plan`
        if found != digest:
            raise Failure(f"{option}: another picture: its array is {found}, the recipe's {digest}")
    for name in sorted(given.keys() - wanted.keys()):
        raise Usage(f"{triggers.file_option(name)}: given, but the recipe uses no file of yours")
    return replace(request, pictures=given)


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
            raise Failure(f"{triggers.file_option(name)}: another file: {found}, the recipe's {record}")
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
    supported.demand(asked.origin, said.facts, "so the file cannot be made again")
    request = with_pictures(recipe.request_of(said.facts), said.facts, order.pictures_of(asked.given))
    source = clean_images(said.facts, asked.source, asked.dataset, asked.cache, progress, say, asked.fresh)
    return order.deliver(plan(source, said, request), asked.output, threads, asked.force, dry_run, command, progress)
