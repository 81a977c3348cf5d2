"""`make --from`: the same file, to the byte, from its manifest alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from poisonkit.build import build
from poisonkit.build.produce import BuildResult
from poisonkit.build.request import read_user_files
from poisonkit.build.runtime import Runtime
from poisonkit.core.errors import Failure, Usage
from poisonkit.format import reader
from poisonkit.format import saved as saved_manifests
from poisonkit.format.manifest import describe
from poisonkit.format.records import Pictures
from poisonkit.format.saved import SavedManifest
from poisonkit.inspection.verify import texts
from poisonkit.poisoning import from_file, supported
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.clean_images import CleanData, clean_images
from poisonkit.poisoning.plan import pictures_record
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.base import Source
from poisonkit.triggers import registry as triggers


@contextmanager
def _of_the_file(saved: SavedManifest, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Provide what a file of the format holds itself of the users' files that were not given, by trigger: pictures in
    the size in which they were put on its images, arrays, whole rows. Nothing of a sidecar.

    Whole images that lie beneath a camouflage cannot be had from it."""
    wanted = {one.name for one in saved.manifest.recipe.triggers} - given.keys()
    if saved.path.suffix != ".h5" or not wanted:
        yield {}
        return
    with reader.reading(saved.path) as data:
        try:
            found = from_file.pictures(data) | texts.rewrites(data)
        except Usage as error:
            raise Failure(f"{saved.path}: {error}") from None
        beneath = saved.manifest.camouflaged_last
        yield {name: found[name] for name in wanted & found.keys() if not (beneath and triggers.gives_rows(name))}


def with_user_files(recipe: Recipe, pictures: Pictures, given: dict[str, Any], held: dict[str, Any]) -> Recipe:
    """Add what the users' files hold, by trigger, as they were `given`, or as the file to follow has `held` them; of
    pictures that were given, the digests must be the manifest's."""
    needed = {recipe.steps[i][0]: picture.digest for i, picture in pictures.items() if picture.digest is not None}
    for name, digest in needed.items():
        option = triggers.file_option(name)
        if name in held:
            continue
        if name not in given:
            raise Failure(
                f"the recipe needs the {triggers.file_proof(name)} {digest}: give it with {option}, or `make --from` "
                "the data set itself, an .h5, which has it"
            )
        of_rows = not triggers.takes_picture(name)  # whose digest `plan` compares
        actual = digest if of_rows else pictures_record(given[name]).digest
        if actual != digest:
            raise Failure(f"{option}: another picture: its array is {actual}, the recipe's {digest}")
    for name in sorted(given.keys() - needed.keys()):
        raise Usage(f"{triggers.file_option(name)}: the recipe uses no file of yours")
    return replace(recipe, pictures=held | given)


def plan(source: Source, saved: SavedManifest, recipe: Recipe, held: dict[str, Any]) -> plans.Plan:
    """Plan what the manifest describes; of what the file itself has `held`, pictures were resized, so that its manifest
    alone has their digests. `Failure` where this version of the tool would write another manifest."""
    if not saved.manifest.camouflaged_last:
        source = replace(source, behind=None)  # in files of version 1 the trigger lies on top of a camouflage
    elif source.behind is None:
        raise Failure(
            f"{saved.path}: its training rows were camouflaged after the trigger was put on, so the plain images are "
            "needed: name with --source what they are read from, not a clean file of camouflaged ones"
        )
    resized = [i for i, (name, _) in enumerate(recipe.steps) if name in held and triggers.takes_picture(name)]
    proofs = {i: saved.manifest.pictures[i] for i in resized}
    planned = plans.plan(source, recipe, force=True, proofs=proofs)
    planned = replace(planned, expected=saved.manifest, sha256=saved.sha256)
    for number, record in saved.manifest.pictures.items():
        if (actual := planned.manifest.pictures.get(number)) != record:
            name, found = saved.manifest.recipe.triggers[number].name, None if actual is None else actual.json
            raise Failure(f"{triggers.file_option(name)}: another file: {found}, the recipe's {record.json}")
    differing = list(describe(planned.manifest.json, saved.manifest.as_draft.json))
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
    trigger, of which those need not be given that a file of the format holds itself. Raises `Unknown` where its recipe
    is not known here, `Failure` where another file would be written.
    """
    saved = saved_manifests.read(path)
    supported.demand(path, saved.manifest, "so the file cannot be made again")
    given = read_user_files(user_files)
    with _of_the_file(saved, given) as held:
        followed = with_user_files(recipes.recipe_of(saved.manifest.recipe), saved.manifest.pictures, given, held)
        source = clean_images(saved.manifest.source, clean, runtime.progress, runtime.warn)
        return build.deliver(plan(source, saved, followed, held), output, runtime, force, dry_run)
