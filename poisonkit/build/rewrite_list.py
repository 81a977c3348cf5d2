"""`make --rewrite-list`: the texts that another tool is to rewrite, as a CSV that `--rewrite-file` takes back."""

import csv
from pathlib import Path

from poisonkit.core import files
from poisonkit.core.errors import Failure, Usage
from poisonkit.poisoning import classes, plan, recipe, selection
from poisonkit.poisoning.recipe import Recipe
from poisonkit.sources.base import Source

COLUMNS = ("part", "row", "text")


def write_list(source: Source, asked: list[Recipe], target: Path, dry_run: bool, force: bool = False) -> str:
    """Write the texts of the highest rate asked for, which are those of the lower ones too. One line about it.

    Raises `Usage` where there is nothing to rewrite, or the name is none of a CSV; `Failure` where something lies there
    and `force` is not given: it may be the list with its texts rewritten.
    """
    if target.suffix.lower() != ".csv":  # a slip of the finger must not replace a data set
        raise Usage(f"--rewrite-list: expected a name that ends in .csv, got {target}")
    request = max(asked, key=lambda one: float(one.rate))
    if request.clean:
        raise Usage("--rewrite-list: nothing is rewritten at --rate 0")
    request = classes.resolve_class_names(request, source)
    selection.check_classes(request, len(source.classes))
    recipe.check_modality(request, source.modality)
    choice = selection.choose(request, source.train.labels, source.test.labels, source.classes)
    selection.check_tested(request, choice, source.name, source.classes)
    tested = {"triggered": {"rows": choice.triggered}, "others": {"rows": choice.others}}
    needed = plan.needed_rows(plan.Changed(choice.rows, choice.role, choice.rows), tested)
    counts = " and ".join(f"{len(rows):,} {part}" for part, rows in needed.items())
    if target.exists() and not force:
        raise Failure(f"{target}: lies there already: --force replaces it, --rewrite-list names another")
    if dry_run:
        return f"would write {target}: {counts} texts to rewrite"
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
    return f"wrote {target}: {counts} texts to rewrite; --rewrite-file takes it back"
