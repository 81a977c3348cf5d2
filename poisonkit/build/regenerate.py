"""`make --from`: the same file, to the byte, from its manifest alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poisonkit.build import build
from poisonkit.build.produce import BuildResult
from poisonkit.build.request import read_user_files
from poisonkit.build.runtime import Runtime
from poisonkit.core import hashing, numbers
from poisonkit.core.errors import Failure, Unknown, Usage
from poisonkit.format import manifest as manifests
from poisonkit.format import schema, structure
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning import supported
from poisonkit.poisoning.clean_images import CleanData, clean_images
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.base import Source
from poisonkit.triggers import registry as triggers


@dataclass(frozen=True)
class SavedManifest:
    """A manifest to follow, the file it was read from, and the SHA-256 of its data set where the file says that too."""

    path: Path
    manifest: dict[str, Any]
    sha256: str | None = None


def read(path: Path) -> SavedManifest:
    """Read the manifest that a sidecar, a bare manifest or a file of the format holds.

    Raises `Failure` where it is not sound.
    """
    if path.suffix == ".h5":
        return SavedManifest(path, structure.inspect(path))
    try:
        record = numbers.loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: could not be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Failure(
            f"{path}: is not valid JSON ({error}): expected a NAME.manifest.json or a file of the format"
        ) from None
    manifest: Any = record.get("manifest", record) if isinstance(record, dict) else None
    error_text = _problem(manifest)
    if error_text:
        raise (Unknown if _of_another_version(manifest) else Failure)(f"{path}: {error_text}")
    file = record.get("file")
    sha256 = file.get("sha256") if isinstance(file, dict) else None
    return SavedManifest(path, manifest, sha256 if isinstance(sha256, str) else None)


def _problem(manifest) -> str | None:
    """Why a JSON value is no manifest to go by; None where it is one."""
    if not isinstance(manifest, dict) or manifest.get("format") != manifests.FORMAT:
        return "contains no poisonkit manifest: expected a NAME.manifest.json or a file of the format"
    version, known = (
        (manifest.get("format_version"), manifest.get("recipe_version")),
        manifests.recipe_versions(manifest),
    )
    if version[0] != manifests.FORMAT_VERSION or version[1] not in known:
        return (
            f"is of format {version[0]!r:.20}, recipe version {version[1]!r:.20}; this poisonkit makes format "
            f"{manifests.FORMAT_VERSION}, recipe version {' or '.join(map(str, known))}, which writes other bytes: use "
            "the version of the tool that made it (the sidecar's `tool` says which)"
        )
    problem = schema.problem(manifest)
    if problem is None and manifest["dataset_digest"] != _digest(manifest):
        problem = "its manifest was altered: its dataset_digest is not that of the rest"
    return problem


def _of_another_version(manifest) -> bool:
    """Whether nothing but its recipe's version is unknown here."""
    mine = isinstance(manifest, dict) and manifest.get("format_version") == manifests.FORMAT_VERSION
    return mine and manifest.get("recipe_version") not in manifests.recipe_versions(manifest)


def _digest(manifest: dict) -> str:
    try:
        return manifests.dataset_digest(manifest)
    except (TypeError, ValueError, RecursionError):
        return "none: it cannot be spelled"


def with_user_files(recipe: Recipe, manifest: dict[str, Any], contents: dict[str, Any]) -> Recipe:
    """Add what the users' files hold, by trigger; of pictures, the digests must be the manifest's."""
    needed = {}
    for number, record in manifest["pictures"].items():
        if "digest" in record and number.isdecimal() and int(number) < len(recipe.steps):
            needed[recipe.steps[int(number)][0]] = record["digest"]
    for name, digest in needed.items():
        option = triggers.file_option(name)
        if name not in contents:
            what = "picture whose array is" if option.endswith("image") else "file whose needed rows are"
            raise Failure(f"the recipe needs the {what} {digest}: give it with {option}")
        actual = hashing.array_digest(contents[name]) if option.endswith("image") else digest  # its rows: see `plan`
        if actual != digest:
            raise Failure(f"{option}: another picture: its array is {actual}, the recipe's {digest}")
    for name in sorted(contents.keys() - needed.keys()):
        raise Usage(f"{triggers.file_option(name)}: the recipe uses no file of yours")
    return replace(recipe, pictures=contents)


def plan(source: Source, saved: SavedManifest, recipe: Recipe) -> plans.Plan:
    """Plan what the manifest describes; `Failure` where this version of the tool would write another manifest."""
    if not manifests.camouflaged_last(saved.manifest):
        source = replace(source, behind=None)  # in files of version 1 the trigger lies on top of a camouflage
    elif source.behind is None:
        raise Failure(
            f"{saved.path}: its training rows were camouflaged after the trigger was put on, so the plain images are "
            "needed: name with --source what they are read from, not a clean file of camouflaged ones"
        )
    planned = replace(plans.plan(source, recipe, force=True), expected=saved.manifest, sha256=saved.sha256)
    for number, record in saved.manifest["pictures"].items():
        if (actual := planned.manifest["pictures"].get(number)) != record:
            name = saved.manifest["recipe"]["triggers"][int(number)]["name"]
            raise Failure(f"{triggers.file_option(name)}: another file: {actual}, the recipe's {record}")
    expected = {key: value for key, value in saved.manifest.items() if key not in ("arrays", "dataset_digest")}
    counts = {key: value for key, value in expected["counts"].items() if key != "unchanged"}
    differing = list(manifests.describe(planned.manifest, expected | {"counts": counts}))
    if differing:
        raise Failure(
            f"{saved.path}: this poisonkit would write another manifest ({'; '.join(differing[:3])}): use the version "
            "of the tool that made it"
        )
    return planned


def regenerate(
    path: Path,
    output: Path,
    clean: CleanData,
    user_files: dict[str, Path],
    runtime: Runtime,
    force: bool = False,
    dry_run: bool = False,
) -> BuildResult:
    """Make the file of a saved manifest again, to the byte.

    `path` is a sidecar, a bare manifest or a file of the format; `user_files` are the users' pictures and tables by
    trigger. Raises `Unknown` where its recipe is not known here, `Failure` where another file would be written.
    """
    saved = read(path)
    supported.demand(path, saved.manifest, "so the file cannot be made again")
    contents = read_user_files(user_files)
    followed = with_user_files(recipes.recipe_of(saved.manifest), saved.manifest, contents)
    source = clean_images(saved.manifest, clean, runtime.progress, runtime.warn)
    return build.deliver(plan(source, saved, followed), output, runtime, force, dry_run)
