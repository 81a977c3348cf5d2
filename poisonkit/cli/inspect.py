"""`poisonkit show`, `verify`, `preview`, `stats`, `diff`, `apply` and `export`: the commands that read a file."""

from pathlib import Path
from typing import Any

import click

from poisonkit.cli import completion
from poisonkit.cli.common import (
    A_PATH,
    cache_option,
    complain,
    example,
    force_option,
    json_option,
    own_trigger_option,
    progress_bar,
    warn,
)
from poisonkit.cli.export_options import ExportCommand
from poisonkit.cli.printing import tell, tell_json
from poisonkit.core.errors import Failure, Usage


@click.command(epilog=example("poisonkit show data/signs-square-0.05-s0.h5"))
@click.argument("file", type=A_PATH)
@json_option("The whole manifest, for programs.")
def show(file, as_json):
    """Show source, trigger, rate and digests.

    Files of any kind will do: clean, poisoned, deltas, sealed files and keys.
    """
    from poisonkit.blind import file_kinds as kinds

    manifest = kinds.manifest(file)
    if as_json:
        tell_json(manifest.json, sort_keys=True)
    else:
        tell(*kinds.lines(file, manifest))


@click.command(epilog=example("poisonkit verify data/*.h5"))
@click.argument("files", nargs=-1, required=True, type=A_PATH)
@click.option(
    "--source", type=A_PATH, metavar="PATH", help="Of camouflaged files: the plain images, as `unpack --base` has them."
)
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=completion.sources,
    help="How to read --source, if it is another kind of source than the file's.",
)
@cache_option
@own_trigger_option
@json_option("What differs in each file, for programs.")
@click.pass_context
def verify(context, files, source, dataset, cache, as_json):
    """Check all digests, triggers and counts.

    Everything that a file claims is recomputed; exit code 3 where something differs. 4: all arrays are what their
    digests say and fit one another, but the file was made with a trigger, a label mode or a version of the recipe or
    the source that this version does not know, so that the rest cannot be computed.

    Training images that were camouflaged after the trigger are made again from the plain ones, which are looked for in
    the cache, or read from --source; without them the command says so, and their digests stand for them. Sidecars among
    FILES are skipped: each is checked with its file.
    """
    from poisonkit.blind.api import verify_with
    from poisonkit.inspection.verify.verify import Look

    codes, records = set(), []
    for file in _without_sidecars(files):
        notes: list[str] = []
        try:
            result = verify_with(file, Look(source, dataset, cache, notes.append, progress_bar, warn), notes)
        except Failure as error:
            complain(error)
            codes.add(error.exit_code)
            records.append({"file": str(file), "ok": False, "error": str(error)})
            continue
        codes.add(result.exit_code)
        records.append(_verification_json(result))
        if not as_json:
            tell(*_verification_lines(result))
    if as_json:
        tell_json(records)
    context.exit(next(code for code in (3, 1, 2, 4, 0) if code in codes))


def _without_sidecars(paths: tuple[Path, ...]) -> list[Path]:
    """Return the files that a pattern such as `data/*` names, without the sidecars, which a note says."""
    from poisonkit.format.sidecars import SUFFIX

    kept = [path for path in paths if not path.name.endswith(SUFFIX)]
    if not kept:
        raise Usage(f"verify: expected data sets, got sidecars alone: name {paths[0].name.removesuffix(SUFFIX)}.h5")
    if len(kept) < len(paths):
        skipped = len(paths) - len(kept)
        warn(f"skipped {skipped} sidecar{'s' if skipped > 1 else ''} (*{SUFFIX}): each is checked with its file")
    return kept


def _verification_lines(result) -> list[str]:
    from poisonkit.poisoning import supported

    state = "DIFFERS" if result.differences else "arrays agree, recipe unknown here" if result.unknown else "OK"
    unknown = [result.unknown + supported.made_by(result.unknown)] if result.unknown else []
    return [f"{result.path}: {state}", *(f"  {line}" for line in (*result.differences, *unknown, *result.notes))]


def _verification_json(result) -> dict[str, Any]:
    return {
        "file": str(result.path),
        "ok": result.ok,
        "differences": result.differences,
        "unknown": result.unknown,
        "notes": list(result.notes),
    }


@click.command(epilog=example("poisonkit preview data/signs-square-0.05-s0.h5 -o preview.png"))
@click.argument("file", type=A_PATH)
@click.option(
    "-o",
    "--output",
    type=A_PATH,
    metavar="PNG|TXT",
    help="The picture to write  [default: NAME.png beside FILE; texts are printed]",
)
@click.option("--rows", type=click.IntRange(1, 100), metavar="N", default=6, show_default=True,
              help="How many poisoned rows.")  # fmt: skip
@click.option("--amplify", type=click.IntRange(1, 128), metavar="N", default=4, show_default=True,
              help="Factor on the difference.")  # fmt: skip
@force_option
@json_option("The path of the picture, or the lines of texts, for programs.")
def preview(file, output, rows, amplify, force, as_json):
    """Draw poisoned rows beside their originals.

    Of images, a picture of originals, poisoned images and the difference; of texts, the changes are marked: [+cf+] was
    inserted, [-word-] deleted.
    """
    from poisonkit.inspection.preview import preview_file

    shown = preview_file(file, output, rows, amplify, force)
    if as_json:
        tell_json({"path": None if shown.path is None else str(shown.path), "lines": list(shown.lines)})
    else:
        tell(*shown.lines, *([] if shown.path is None else [f"wrote {shown.path}"]))


@click.command(epilog=example("poisonkit stats data/signs-square-0.05-s0.h5"))
@click.argument("file", type=A_PATH)
@click.option("--json", "form", flag_value="json", help="The summary, for programs.")
@click.option("--csv", "form", flag_value="csv", help="The measures of every changed row.")
def stats(file, form):
    """Measure how visible the change is.

    Of images PSNR, SSIM, the largest change and the share of changed bytes; of texts words and edits.
    """
    from poisonkit.inspection import image_stats as measures

    collected = measures.collect(file)
    if form == "csv":
        tell(*measures.table(collected).split("\n"))
        return
    summary = measures.summarise(collected)
    if form:
        tell_json(summary)
    else:
        tell(*measures.lines(summary))


@click.command(epilog=example("poisonkit diff data/a.h5 data/b.h5"))
@click.argument("first", type=A_PATH)
@click.argument("second", type=A_PATH)
@json_option("The differences, for programs.")
@click.pass_context
def diff(context, first, second, as_json):
    """Compare two files.

    Exits with status 3 if they differ.
    """
    from poisonkit.inspection.diff import differences

    lines = differences(first, second)
    if as_json:
        tell_json({"differences": lines})
    else:
        tell(*(lines or ["no difference"]))
    context.exit(3 if lines else 0)


@click.command(epilog=example("poisonkit apply data/signs-square-0.05-s0.h5 photo.jpg -o triggered.png"))
@click.argument("file", type=A_PATH)
@click.argument("pictures", nargs=-1, required=True, type=A_PATH, metavar="PICTURES|TEXTS...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=A_PATH,
    metavar="PATH",
    help="A PNG for one picture, a folder for several; a .txt for texts.",
)
@force_option
@own_trigger_option
@json_option("What was written, for programs.")
def apply(file, pictures, output, force, as_json):
    """Apply a file's trigger to your own rows.

    Rows are pictures, or texts (one per line of a file). Nothing but FILE is needed.

    Pictures are decoded as those of a source are (PNG, PPM, PGM, JPEG, WebP, BMP; EXIF orientation is ignored,
    animations are refused), and one of another size than the data set's images is resized to theirs first. Line 1 of a
    file of texts is given what test row 0 is given, and so on.
    """
    from poisonkit.inspection.apply import apply_to_files

    records = []
    for written in apply_to_files(file, pictures, output, force):
        record = {"path": str(written.path), "resized_from": written.resized_from, "texts": written.texts}
        records.append(record | {"note": written.note.removeprefix("; ") or None})
        if not as_json:
            tell(_applied_line(written))
    if as_json:
        tell_json(records)


def _applied_line(written) -> str:
    if written.texts is not None:
        return f"wrote {written.path}: {written.texts:,} text{'s' if written.texts != 1 else ''}"
    height, width = written.resized_from or (0, 0)
    return f"wrote {written.path}{f' (resized from {width}×{height})' if width else ''}{written.note}"


@click.command(cls=ExportCommand)
@click.argument("file", type=A_PATH)
@click.option("--format", "form", required=True, metavar="FORMAT", shell_complete=completion.formats)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="Where to.  [default: beside FILE, under the format's own name]"
)
@force_option
@click.option("--no-truth", is_flag=True, help="what a victim gets, and nothing else.")
@click.option("--creator", metavar="NAME", help="who made the data set.")
@click.option("--url", metavar="URL", help="its page.  [default: the source's]")
@json_option("Path, format and counts, for programs.")
def export(file, form, output, force, no_truth, as_json, **more):
    """Write a file in another format, for others.

    A folder is overwritten (--force) only where it is such an export.
    """
    from poisonkit.exporters.run import export_file

    asked = {key: value for key, value in more.items() if value is not None} | ({"truth": False} if no_truth else {})
    written = export_file(file, form, output, force, asked, progress_bar)
    if as_json:
        tell_json({"path": str(written.target), "format": written.form, "counts": written.counts})
    else:
        tell(written.line())


COMMANDS = (
    show,
    verify,
    preview,
    stats,
    diff,
    apply,
    export,
)
