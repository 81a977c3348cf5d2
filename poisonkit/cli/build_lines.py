"""How the results of `make`, `grid`, `unpack` and `unseal` read as lines for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from poisonkit.core import class_names
from poisonkit.core.numbers import counted
from poisonkit.format.manifest import Manifest
from poisonkit.format.records import Recipe
from poisonkit.poisoning import supported
from poisonkit.poisoning.classes import own
from poisonkit.triggers import registry as triggers

if TYPE_CHECKING:  # a command imports what it does itself
    from poisonkit.build.grid import GridPlan, GridResult
    from poisonkit.build.produce import BuildResult
    from poisonkit.build.row_list import RowList


NO_TARGET = {
    "all-to-all": "all-to-all: each class becomes the next",
    "untargeted": "untargeted: each poisoned row gets another class, drawn for it",
}
"""Label mode without a target → what becomes of the labels."""


def result_line(result: "BuildResult") -> str:
    """One line about a file that was asked for."""
    note = published_otherwise(result.manifest)
    if result.state == "planned":
        what = counts(result.manifest, planned=True)
        return f"would write {result.path} ({result.size / 1e6:,.1f} MB): {what}{note}"
    if result.state == "existing":
        return existing_line(result)
    line = f"wrote {result.path} ({result.size / 1e6:,.1f} MB): {counts(result.manifest)}{note}"
    if not result.same_container:
        line += "; arrays and manifest are the same, the HDF5 library wrote other bytes around them"
    return line + supported.note(result.manifest)


def published_otherwise(manifest: Manifest) -> str:
    """Return the note, for the end of a line, on an attack that is published as clean-label and changes labels here;
    else nothing."""
    mode = manifest.recipe.label_mode
    names = [one.name for one in manifest.recipe.triggers if one.name in triggers.TRIGGERS]
    other = {name: triggers.spec(name).published for name in names if triggers.spec(name).published not in (None, mode)}
    return "".join(f"; {name} is published as a {usual} attack: --label-mode {usual}" for name, usual in other.items())


def existing_line(result: "BuildResult") -> str:
    """Return the line about a file that was there already."""
    known = supported.problem(result.manifest) is None
    state = "verifies" if known else "its arrays agree" + supported.note(result.manifest, ", ")
    return f"{result.path} already exists and {state}; nothing to do"


def result_json(result: "BuildResult") -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "path": str(result.path),
        "state": result.state,
        "size": result.size,
        "same_container": result.same_container,
        "warnings": list(result.warnings),
        "manifest": result.manifest.json,
    }


def list_line(written: "RowList") -> str:
    """One line about a list of rows that another tool is to change."""
    rows = " and ".join(f"{count:,} {part}" for part, count in written.counts.items())
    what = "texts to rewrite" if written.trigger == "rewrite" else f"{written.rows} to change"
    beside = "" if written.folder is None else f", their pictures in {written.folder}"
    if not written.written:
        return f"would write {written.path}: {rows} {what}{beside}"
    takes = "takes it back" if written.trigger == "rewrite" else "takes them back"
    return f"wrote {written.path}: {rows} {what}{beside}; --{written.trigger}-file {takes}"


def list_json(written: "RowList") -> dict[str, Any]:
    """Return the same for programs."""
    folder = {} if written.folder is None else {"folder": str(written.folder)}
    return {"path": str(written.path), "written": written.written, "counts": written.counts} | folder


def grid_line(planned: "GridPlan") -> str:
    """One line about the files of a grid, before they are made."""
    source, manifest = planned.base.source, planned.plans[0].manifest
    labels = own_classes(source.name, source.classes) + target(source.classes, manifest.recipe)
    files = f"{counted(len(planned.plans), 'file')} of {planned.dataset}, {len(planned.missing)} to make"
    return f"{files}, on {planned.base_path}; {labels.removesuffix('; ')}"


def grid_result_line(made: "GridResult") -> str:
    """One line about the deltas that were written."""
    size = f"{made.size / 1e6:,.1f} MB, as whole files {made.whole_size / 1e9:,.1f} GB"
    return f"wrote {counted(len(made.paths), 'delta')}: {size}"


def grid_json(planned: "GridPlan", made: "GridResult | None") -> dict[str, Any]:
    """Return the same for programs; `made` is None in a dry run."""
    return {
        "dataset": planned.dataset,
        "base": str(planned.base_path),
        "files": [one.name for one in planned.plans],
        "missing": [one.name for one in planned.missing],
        "written": [] if made is None else [str(path) for path in made.paths],
        "size": 0 if made is None else made.size,
    }


def counts(manifest: Manifest, planned: bool = False) -> str:
    """Return the user's classes, the target, and the counts of a file, in one line; of one that is only `planned` it is
    not known how many rows do not change."""
    rows, source = manifest.counts, manifest.source
    text = own_classes(source.name, source.classes)
    text += target(source.classes, manifest.recipe) if manifest.poisoned else ""
    text += counted(rows.train, "training row")
    if manifest.poisoned:
        said = [] if planned else [f"{rows.unchanged:,} without a changed byte"]
        if manifest.recipe.label_mode in ("all-to-one", "source-specific"):  # else none was, or all were
            said.insert(0, f"{rows.already_target:,} of the target class already")
        text += f", {rows.poisoned:,} poisoned" + (f" ({', '.join(said)})" if said else "")
        text += f", {rows.cover:,} cover" if rows.cover else ""
        text += f"; {counted(rows.triggered, 'triggered test row')}"
        text += f", {rows.others:,} of non-source classes" if rows.others else ""
    return f"{text}; {counted(rows.test, 'test row')}"


def own_classes(source: str, classes: Sequence[str]) -> str:
    """How many classes the user's data have, and the first, for the beginning of a line; nothing for other data."""
    if not own(source):
        return ""
    return f"{len(classes)} class{'es' if len(classes) > 1 else ''} ({class_names.listed(classes)}); "


def target(classes: Sequence[str], recipe: Recipe) -> str:
    """Return the target label of a recipe and its source classes, for the beginning of a line."""
    label, sources, mode = recipe.target, recipe.source_classes, recipe.label_mode
    text = NO_TARGET.get(mode, mode) if label is None else f"target {class_names.spelled(classes, label)}"
    text += f" from {', '.join(class_names.spelled(classes, one) for one in sources)}" if sources else ""
    text += ", clean-label: its own rows, no label changes" if mode == "clean-label" else ""
    return f"{text}; "
