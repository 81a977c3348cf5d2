"""`make --NAME-list`: the rows that another tool is to change, as a CSV; of texts with the texts, as `--rewrite-file`
takes it back, of images with their clean pictures, where these are asked for."""

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.build import build, warnings
from poisonkit.build.request import BuildRequest
from poisonkit.build.runtime import Runtime
from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.poisoning import apply, classes, plan, selection
from poisonkit.poisoning import recipe as recipes
from poisonkit.poisoning.recipe import Recipe
from poisonkit.poisoning.selection import COVER, Choice
from poisonkit.sources.base import Source

COLUMNS = {"text": ("part", "row", "text"), "image": ("part", "row", "role", "label", "class", "wanted")}
AT_ONCE = 512


@dataclass(frozen=True)
class RowList:
    """The list that was written (`written` is False in a dry run): its path, the folder of clean pictures, which
    trigger's file is made of it, what a row is, and how many rows it has by part."""

    path: Path
    counts: dict[str, int]
    written: bool
    trigger: str
    rows: str
    folder: Path | None = None


def make_list(request: BuildRequest, runtime: Runtime, dry_run: bool = False) -> RowList:
    """Write the rows that the recipe of the highest rate changes, which are those of the lower ones too.

    Raises `Usage` where there is nothing to change, or the name is none of a CSV; `Failure` where the file exists and
    `request.force` is not given: it may be the list with its texts rewritten.
    """
    if request.listing is None:
        raise Usage("there is no list to write")
    name, target, folder = request.listing
    option = f"--{name}-list"
    if target is None or target.suffix.lower() != ".csv":  # a slip of the finger must not replace a data set
        raise Usage(f"{option}: expected a name that ends in .csv, got {target}")
    source = build.open_source(request.source, runtime)
    lines = dict.fromkeys(warnings.of_source(source))
    resolved = [classes.resolve_class_names(one, source, lines.setdefault) for one in request.recipes]
    for line in lines:
        runtime.warn(line)
    highest = max(resolved, key=lambda one: float(one.rate))
    if highest.clean:
        raise Usage(f"{option}: nothing is changed at --rate 0")
    choice = _choice(highest, source)
    needed = _needed_rows(choice)
    if target.exists() and not request.force:
        raise Failure(f"{target}: already exists: use --force to overwrite it, or choose another {option}")
    if folder is not None and os.path.lexists(folder):
        raise Failure(f"{folder}: already exists, and nothing in it is replaced: choose another --{name}-folder")
    if folder is not None and folder.absolute() in (target.absolute(), *target.absolute().parents):
        raise Usage(f"{option}: {target} is the folder of the pictures, or lies in it: choose another")
    if not dry_run:
        if folder is not None:
            _write_pictures(source, needed, folder, runtime)
        rows = _texts(source, needed) if source.modality.is_text else _images(highest, choice, source)
        try:
            _write(rows, COLUMNS[source.modality.name], target, request.force)
        except BaseException:  # without the list nobody knows whose pictures they are, and the next try needs the name
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    counts = {part: len(rows) for part, rows in needed.items()}
    return RowList(target, counts, not dry_run, name, source.modality.rows, folder)


def _choice(recipe: Recipe, source: Source) -> Choice:
    """Draw the rows, as `plan` does."""
    selection.check_classes(recipe, len(source.classes))
    recipes.check_modality(recipe, source.modality)
    recipes.check_alone(recipe)
    if not source.modality.is_text:
        recipes.tile_shape(recipe, source.train.shape[1:])
    choice = selection.choose(recipe, source.train.labels, source.test.labels, source.classes)
    selection.check_tested(recipe, choice, source.name, source.classes)
    return choice


def _needed_rows(choice: Choice) -> dict[str, np.ndarray]:
    """Return the rows of each part that are to be changed, ascending."""
    tested = {"triggered": {"rows": choice.triggered}, "others": {"rows": choice.others}}
    return plan.needed_rows(selection.Changed(choice.rows, choice.role, choice.rows), tested)


def _texts(source: Source, needed: dict[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    for part, split in (("train", source.train), ("test", source.test)):
        rows = needed[part]
        yield from ((part, row, text) for row, text in zip(rows.tolist(), split.rows(rows), strict=True))


def _images(recipe: Recipe, choice: Choice, source: Source) -> Iterator[tuple[Any, ...]]:
    """Yield what is to be known of each image: what it is changed for, its true class, and the label that it gets, or
    that the attacker wants of it."""
    labels = source.train.labels[choice.rows].astype(np.int64)
    classes = len(source.classes)
    wanted = selection.target_labels(recipe, labels, classes, choice.rows)
    for row, role, label, given in zip(choice.rows, choice.role, labels, wanted, strict=True):
        cover = role == COVER
        name = source.classes[label]
        yield "train", int(row), "cover" if cover else "poisoned", int(label), name, int(label if cover else given)
    for role, rows in (("triggered", choice.triggered), ("other", choice.others)):
        labels = source.test.labels[rows].astype(np.int64)
        aimed = role == "triggered"
        wanted = selection.target_labels(recipe, labels, classes, rows, "test") if aimed else labels
        for row, label, given in zip(rows, labels, wanted, strict=True):
            yield "test", int(row), role, int(label), source.classes[label], int(given)


def _write(rows: Iterator[tuple[Any, ...]], columns: tuple[str, ...], target: Path, force: bool) -> None:
    try:
        with (
            files.atomic_write(target, new=not force) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as error:
        raise Failure(f"{target}: could not be written: {files.reason(error)}") from error


def _write_pictures(source: Source, needed: dict[str, np.ndarray], folder: Path, runtime: Runtime) -> None:
    """Write the clean pictures of the rows, part/ROW.png: what the trigger is put on, which under a camouflage are the
    plain training images. The folder gets its name when all are there."""
    from poisonkit.exporters.base import png

    total = sum(map(len, needed.values()))
    try:
        with files.scratch(folder) as temporary, runtime.progress(total, folder.name, "images") as bar:
            for part, split in (("train", source.train), ("test", source.test)):
                place = temporary / folder.name / part
                place.mkdir(parents=True)
                for start in range(0, len(needed[part]), AT_ONCE):
                    rows = needed[part][start : start + AT_ONCE]
                    plain = apply.plain_training_rows(source, rows) if part == "train" else split.rows(rows)
                    for row, picture in zip(rows.tolist(), plain, strict=True):
                        (place / f"{row}.png").write_bytes(png(picture))
                    bar.update(len(rows))
            os.rename(temporary / folder.name, folder)
    except OSError as error:
        raise Failure(f"{folder}: could not be written: {files.reason(error)}") from error
