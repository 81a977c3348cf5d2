"""`make --rewrite-list`: the texts that another tool is to rewrite, as a CSV that `--rewrite-file` takes back."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.build import build, warnings
from poisonkit.build.request import BuildRequest
from poisonkit.build.runtime import Runtime
from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.poisoning import classes, plan, selection
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.base import Source

COLUMNS = ("part", "row", "text")


@dataclass(frozen=True)
class RewriteList:
    """The list that was written (`written` is False in a dry run): its path, and how many texts it has by part."""

    path: Path
    counts: dict[str, int]
    written: bool


def make_list(request: BuildRequest, runtime: Runtime, dry_run: bool = False) -> RewriteList:
    """Write the texts that the recipe of the highest rate changes, which are those of the lower ones too.

    Raises `Usage` where there is nothing to rewrite, or the name is none of a CSV; `Failure` where the file exists and
    `request.force` is not given: it may be the list with its texts rewritten.
    """
    target = request.rewrite_list
    if target is None or target.suffix.lower() != ".csv":  # a slip of the finger must not replace a data set
        raise Usage(f"--rewrite-list: expected a name that ends in .csv, got {target}")
    source = build.open_source(request.source, runtime)
    lines = dict.fromkeys(warnings.of_source(source))
    resolved = [classes.resolve_class_names(one, source, lines.setdefault) for one in request.recipes]
    for line in lines:
        runtime.warn(line)
    highest = max(resolved, key=lambda one: float(one.rate))
    if highest.clean:
        raise Usage("--rewrite-list: nothing is rewritten at --rate 0")
    needed = _needed_rows(highest, source)
    counts = {part: len(rows) for part, rows in needed.items()}
    if target.exists() and not request.force:
        raise Failure(f"{target}: already exists: use --force to overwrite it, or choose another --rewrite-list")
    if not dry_run:
        _write(source, needed, target, request.force)
    return RewriteList(target, counts, not dry_run)


def _needed_rows(recipe: Recipe, source: Source) -> dict[str, np.ndarray]:
    """Return the rows of each part that are to be rewritten, ascending."""
    selection.check_classes(recipe, len(source.classes))
    recipes.check_modality(recipe, source.modality)
    choice = selection.choose(recipe, source.train.labels, source.test.labels, source.classes)
    selection.check_tested(recipe, choice, source.name, source.classes)
    tested = {"triggered": {"rows": choice.triggered}, "others": {"rows": choice.others}}
    return plan.needed_rows(selection.Changed(choice.rows, choice.role, choice.rows), tested)


def _write(source: Source, needed: dict[str, np.ndarray], target: Path, force: bool) -> None:
    try:
        with (
            files.atomic_write(target, new=not force) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(COLUMNS)
            for part, split in (("train", source.train), ("test", source.test)):
                rows = needed[part]
                writer.writerows((part, row, text) for row, text in zip(rows.tolist(), split.rows(rows), strict=True))
    except OSError as error:
        raise Failure(f"{target}: could not be written: {files.reason(error)}") from error
