"""`poisonkit show`, `verify`, `preview`, `stats`, `diff`, `apply` and `export`: the commands that read one."""

import click

from poisonkit.cli.common import A_PATH, cache_option, complain, progress_bar, warn
from poisonkit.cli.export_options import ExportCommand
from poisonkit.cli.printing import tell, tell_json
from poisonkit.core.errors import Failure


@click.command()
@click.argument("file", type=A_PATH)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest, for programs.")
def show(file, as_json):
    """What a file is: source, trigger, rate, counts, digests."""
    from poisonkit.blind import file_kinds as kinds

    facts = kinds.facts(file)
    if as_json:
        tell_json(facts, sort_keys=True)
    else:
        tell(*kinds.lines(file, facts))


@click.command()
@click.argument("files", nargs=-1, required=True, type=A_PATH)
@click.option(
    "--source", type=A_PATH, metavar="PATH", help="Of camouflaged files: the plain images, as `unpack --base` has them."
)
@click.option(
    "--dataset", metavar="NAME", help="How to read --source, if it is another kind of source than the file's."
)
@cache_option
@click.pass_context
def verify(context, files, source, dataset, cache):
    """Recompute everything that files claim; exit code 3 where something differs.

    4: all arrays are what their digests say and fit one another, but the file was made with a trigger, a label mode or
    a version of the recipe or the source that this version does not know, so that the rest cannot be computed.

    Training images that were camouflaged after the trigger are made again from the plain ones, which are looked for in
    the cache, or read from --source; where there are none it says so, and their digests stand for them.
    """
    from poisonkit.blind import file_kinds as kinds
    from poisonkit.inspection.verify.verify import Look

    codes = set()
    for file in files:
        notes = []
        try:
            wrong = kinds.differences(file, Look(source, dataset, cache, notes.append, progress_bar, warn))
            unknown = None if wrong else kinds.unknown(file)
        except Failure as error:
            complain(error)
            codes.add(error.exit_code)
            continue
        codes.add(3 if wrong else 4 if unknown else 0)
        tell(f"{file}: {'DIFFERS' if wrong else 'arrays agree, recipe unknown here' if unknown else 'OK'}")
        wrong = [f"{unknown}: a newer poisonkit made it, or somebody's own"] if unknown else wrong
        for line in [*wrong, *notes]:
            tell(f"  {line}")
    context.exit(next(code for code in (3, 1, 2, 4, 0) if code in codes))


@click.command()
@click.argument("file", type=A_PATH)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PNG|TXT", help="The picture to write; texts are printed without it."
)
@click.option("--rows", type=click.IntRange(1, 100), default=6, show_default=True, help="How many poisoned rows.")
@click.option("--amplify", type=click.IntRange(1, 128), default=4, show_default=True, help="Factor on the difference.")
def preview(file, output, rows, amplify):
    """A picture of originals, poisoned images and the difference; of texts, the change marked: a [+cf+] word put in."""
    from poisonkit.inspection import preview as previewing

    for line in previewing.carry_out(file, output, rows, amplify):
        tell(line)


@click.command()
@click.argument("file", type=A_PATH)
@click.option("--json", "form", flag_value="json", help="The summary, for programs.")
@click.option("--csv", "form", flag_value="csv", help="Every changed row's figures.")
def stats(file, form):
    """How visible the change is: PSNR, SSIM, largest change, share of changed bytes; of texts, words and edits."""
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


@click.command()
@click.argument("first", type=A_PATH)
@click.argument("second", type=A_PATH)
@click.pass_context
def diff(context, first, second):
    """In what two files differ; exit code 3 where they do."""
    from poisonkit.inspection.diff import differences

    found = differences(first, second)
    tell(*(found or ["no difference"]))
    context.exit(3 if found else 0)


@click.command()
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
def apply(file, pictures, output):
    """Put a file's trigger on any picture, or on any texts (a file with one a line), by the file alone.

    Pictures are decoded as those of a source are (PNG, PPM, PGM, JPEG, WebP, BMP; EXIF orientation is ignored,
    animations are refused), and one of another size than the data set's images is resized to theirs first. Line 1 of a
    file of texts is given what test row 0 is given, and so on.
    """
    from poisonkit.inspection import apply as applying

    for line in applying.apply_to_files(file, pictures, output):
        tell(line)


@click.command(cls=ExportCommand)
@click.argument("file", type=A_PATH)
@click.option("--format", "form", required=True, metavar="FORMAT")
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="Where to.  [default: beside FILE, under the format's own name]"
)
@click.option("--force", is_flag=True, help="Replace what lies there (a folder only if it is such an export).")
@click.option("--no-truth", is_flag=True, help="what a victim gets, and nothing else.")
@click.option("--creator", metavar="NAME", help="who made the data set.")
@click.option("--url", metavar="URL", help="its page.  [default: the source's]")
def export(file, form, output, force, no_truth, **more):
    """Write a file in another format, for other tools."""
    from poisonkit.exporters.run import export_file

    asked = {key: value for key, value in more.items() if value is not None} | ({"truth": False} if no_truth else {})
    tell(export_file(file, form, output, force, asked, progress_bar).line())


COMMANDS = (
    show,
    verify,
    preview,
    stats,
    diff,
    apply,
    export,
)
