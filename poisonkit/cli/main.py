"""The command line: parse, call, print. Nothing else in the package prints or exits.

Everything heavy is imported inside the commands, so that `poisonkit --help` answers at once.
"""

import dataclasses
import logging
import os
import signal
import sys
from pathlib import Path

import click

from poisonkit import __version__
from poisonkit.cli import blind, once
from poisonkit.cli.make_options import A_PATH, MakeCommand, attack_options, check_typed
from poisonkit.cli.printing import printable, tell, tell_json
from poisonkit.core import hints, memory
from poisonkit.core.errors import Failure, Usage

INTERRUPTED = 130
STOPPED = "stopped; nothing half-written was left"


class Group(click.Group):
    """Turns the errors that a user is meant to read into one line and an exit code."""

    def add_command(self, command: click.Command, name: str | None = None) -> None:
        super().add_command(once.guard(command), name)

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except Failure as error:
            _complain(error)
            context.exit(error.exit_code)
        except MemoryError as error:
            _complain(_out_of_memory(error))
            context.exit(1)
        except KeyboardInterrupt:
            _complain(STOPPED)
            context.exit(INTERRUPTED)
        except BrokenPipeError:
            _forget_output()
            context.exit(1)
        except (ImportError, RuntimeError) as error:
            if memory.came_of_it(error):
                _complain(_out_of_memory(error))
            elif isinstance(error, ImportError):
                _complain(hints.unusable(error))
            else:
                raise
            context.exit(1)
        except OSError as error:
            _complain(f"{os.fspath(error.filename)}: {error.strerror}" if error.filename else error.strerror or error)
            _forget_output()
            context.exit(1)


def _out_of_memory(error: BaseException) -> str:
    """What to say where memory was not enough, and how much is allowed where that is known."""
    allowed, said = memory.limit(), str(error) if type(error) is MemoryError else ""
    if "ulimit" not in said:
        said = "" if allowed is None else f"{allowed >> 20} MB of address space are allowed (ulimit -v)"
    return f"out of memory{f', {said}' if said else ''}: fewer --threads, or a machine with more"


def _complain(message) -> None:
    """One line on standard error, whatever file names and foreign files put into it."""
    text = printable(message)
    click.echo(f"poisonkit: {text if len(text) <= 800 else text[:800] + '…'}", err=True)


def _forget_output() -> None:
    """What could not be printed is not tried again at exit, where Python would complain in its own way."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


class Warnings(logging.Handler):
    """Says what the modules warn of as the commands complain."""

    def emit(self, record):
        _complain(record.getMessage())


logging.getLogger("poisonkit").addHandler(Warnings())
logging.getLogger("poisonkit").propagate = False


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="poisonkit")
def cli():
    """Poisoned data sets, of images and of texts, as files, for defensive research into backdoor attacks.

    Make one, look at it, check it, share it; `benchmark` trains on it. Exit codes: 0 done, 1 failed, 2 wrong usage,
    3 a check says "differs", 4 all arrays agree, but the recipe is not known to this version.
    """


for command in blind.COMMANDS:
    cli.add_command(command)


def _progress(total, label, unit):
    """A progress bar on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        from poisonkit.sources.base import Silent

        return Silent()
    from tqdm import tqdm

    return tqdm(total=total, desc=printable(label), unit=f" {unit}", leave=False)


def _warn(line: str) -> None:
    _complain(line)


cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where decoded sources are kept  [default: $POISONKIT_CACHE, else ~/.cache/poisonkit]",
)
fresh_option = click.option("--fresh", is_flag=True, help="Read the clean data anew, whatever the cache holds of them.")


@cli.command(cls=MakeCommand)
@click.option("--dataset", metavar="NAME", help="The clean data: see `poisonkit sources`.")
@click.option("--trigger", "names", multiple=True, metavar="NAME", help="May be given several times, applied in order.")
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="RATE",
    help="Share of the training rows, 0.0005 or 0.05%; several give one file each; 0 is the clean file.",
)
@click.option("--per-patch", is_flag=True, help="Apply the triggers to every patch of the image (BadPatches).")
@click.option("--patch-size", metavar="N|HxW", help="Size of a patch; implies --per-patch.  [default: 8]")
@attack_options
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the rows and of whatever else is drawn.",
)
@click.option(
    "--from",
    "origin",
    type=A_PATH,
    metavar="MANIFEST",
    help="Make the same file again, to the byte, from its NAME.manifest.json (or from the .h5 itself).",
)
@click.option(
    "--preset",
    metavar="NAME",
    help="Others' settings: notebook (the paper's), backdoorbench, wanet, openbackdoor; covered.",
)
@click.option("--source", type=A_PATH, metavar="PATH", help="Archive or folder of the clean data.")
@click.option(
    "--source-option",
    "source_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the source itself (signs: train, test, seed; folder: size, channels, version; csv: text, label, "
    "train, test, tsv; phrases: train, test, seed, classes).",
)
@click.option("--size", metavar="N|HxW", help="Resize the images of a folder; the same as --source-option size=…")
@blind.camouflage_options
@cache_option
@fresh_option
@click.option(
    "-o",
    "--output",
    type=A_PATH,
    default=Path("data"),
    show_default=True,
    metavar="PATH",
    help="A folder, or a file that ends in .h5.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N", help="[default: the processors; never changes a byte]"
)
@click.option("--force", is_flag=True, help="Replace what lies there; allow a trigger that covers the whole image.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.pass_context
def make(context, threads, dry_run, **values):
    """Make poisoned (or clean) HDF5 files from clean images or texts."""
    from poisonkit.build import request

    check_typed(context, values["origin"])
    typed = {name: value for name, value in values.items() if name in request.Order.__dataclass_fields__}
    wanted = request.Order(**typed, given=request.trigger_options(context.command.params, values))
    how = {"command": _command(), "progress": _progress, "say": _warn}
    if wanted.origin is not None:
        from poisonkit.build import regenerate

        tell(regenerate.carry_out(wanted, threads, dry_run, **how))
        return
    for line in request.carry_out(wanted, threads, dry_run, **how):
        tell(line)


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


@cli.command()
@click.argument("file", type=A_PATH)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside]"
)
@click.option("--force", is_flag=True, help="Replace what lies there.")
def pack(file, output, force):
    """Only what differs from the clean data, as NAME.delta.h5: kilobytes; `unpack` gives the file back."""
    from poisonkit.build import delta

    target = delta.target_path(file, output)
    size = delta.pack(file, target, force=force)
    tell(f"wrote {target} ({size / 1e3:,.1f} kB, {size / file.stat().st_size:.2%} of {file.name})")


@cli.command()
@click.argument("file", type=A_PATH, metavar="[GRID.toml]", required=False)
@click.option(
    "--paper",
    type=click.Choice(["table1", "table2", "table3", "small"]),
    help="The files of a table of BadPatches'; small: three triggers, both applications, three rates.",
)
@click.option("--dataset", metavar="NAME", help="Another data set than the grid's.  [small: signs]")
@click.option("--seeds", type=click.IntRange(1, 10_000), metavar="N",
              help="Seeds 0 … N − 1.  [default: the grid's, else 1]")  # fmt: skip
@click.option("--source", type=A_PATH, metavar="PATH", help="Archive or folder of the clean data.")
@cache_option
@fresh_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    metavar="FOLDER",
)
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="[default: the processors]")
@click.option("--dry-run", is_flag=True, help="Say how many would be made, and make none.")
def grid(file, paper, dataset, seeds, source, cache, fresh, output, threads, dry_run):
    """Every file of a table, as deltas on one clean file: `benchmark sweep` trains on all of them.

    A grid of one's own is a TOML file with dataset, triggers, image and patch (the rates of either application; of
    texts: rates), and if need be seeds, patch_size, target (read like make's --target), and options (a table for each
    trigger).
    """
    from poisonkit.build import grid as grids

    if (file is None) == (paper is None):
        raise Usage("grid: expected either --paper TABLE or a TOML file")
    wanted = grids.of_paper(paper) if paper else grids.read(file)
    wanted = dataclasses.replace(wanted, seeds=seeds or wanted.seeds, dataset=dataset or wanted.dataset)
    how = {"threads": threads, "dry_run": dry_run, "command": _command(), "progress": _progress, "say": _warn}
    for line in grids.carry_out(wanted, source, cache, output, how | {"fresh": fresh}):
        tell(line)


@cli.command()
@click.argument("file", type=A_PATH, metavar="DELTA")
@click.option(
    "--base", type=A_PATH, metavar="PATH", help="The clean data: a clean .h5 file, or what `make --source` takes."
)
@click.option(
    "--dataset", metavar="NAME", help="How to read --base, if it is another kind of source than the original's."
)
@cache_option
@fresh_option
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside]"
)
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="[default: the processors]")
@click.option("--force", is_flag=True, help="Replace what lies there.")
def unpack(file, base, dataset, cache, fresh, output, threads, force):
    """The file that a delta was made of, to the byte, from it and the clean data (default: those in the cache)."""
    from poisonkit.build import delta

    how = {"threads": threads, "force": force, "dry_run": False, "command": _command(), "progress": _progress}
    tell(delta.unpack(file, base, dataset, cache, output, how | {"say": _warn, "fresh": fresh}))


@cli.command()
@click.argument("file", type=A_PATH)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest, for programs.")
def show(file, as_json):
    """What a file is: source, trigger, rate, counts, digests."""
    from poisonkit.cli import kinds

    facts = kinds.facts(file)
    if as_json:
        tell_json(facts, sort_keys=True)
    else:
        tell(*kinds.lines(file, facts))


@cli.command()
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
    from poisonkit.cli import kinds
    from poisonkit.inspection.verify.verify import Look

    codes = set()
    for file in files:
        notes = []
        try:
            wrong = kinds.differences(file, Look(source, dataset, cache, notes.append, _progress, _warn))
            unknown = None if wrong else kinds.unknown(file)
        except Failure as error:
            _complain(error)
            codes.add(error.exit_code)
            continue
        codes.add(3 if wrong else 4 if unknown else 0)
        tell(f"{file}: {'DIFFERS' if wrong else 'arrays agree, recipe unknown here' if unknown else 'OK'}")
        wrong = [f"{unknown}: a newer poisonkit made it, or somebody's own"] if unknown else wrong
        for line in [*wrong, *notes]:
            tell(f"  {line}")
    context.exit(next(code for code in (3, 1, 2, 4, 0) if code in codes))


@cli.command()
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


@cli.command()
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


@cli.command()
@click.argument("first", type=A_PATH)
@click.argument("second", type=A_PATH)
@click.pass_context
def diff(context, first, second):
    """In what two files differ; exit code 3 where they do."""
    from poisonkit.inspection import show as summary

    found = summary.differences(first, second)
    tell(*(found or ["no difference"]))
    context.exit(3 if found else 0)


@cli.command()
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


@cli.command()
@click.argument("file", type=A_PATH)
@click.option(
    "--format",
    "form",
    required=True,
    metavar="FORMAT",
    help="npz, imagefolder, backdoorbench, backdoor-toolbox, croissant, csv or jsonl.",
)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="Where to.  [default: beside FILE, under the format's own name]"
)
@click.option("--force", is_flag=True, help="Replace what lies there (a folder only if it is such an export).")
@click.option("--no-truth", is_flag=True, help="npz, imagefolder, csv, jsonl: what a victim gets, and nothing else.")
@click.option("--creator", metavar="NAME", help="croissant: who made the data set.")
@click.option("--url", metavar="URL", help="croissant: its page.  [default: the source's]")
def export(file, form, output, force, no_truth, **more):
    """Write a file in another format, for others' tools.

    npz: one NumPy file, which `make --dataset npz` reads again. imagefolder: PNGs, one folder a class, for torchvision
    and Keras. backdoorbench: the folders of a BackdoorBench attack, with a script that makes its attack_result.pt.
    backdoor-toolbox: a poisoned set as that toolbox reads it. croissant: croissant.json, a description of the file.
    csv: tables of texts, which `make --dataset csv` reads again. jsonl: the same, a JSON object a line. Texts go as
    npz, croissant, csv and jsonl, images as all but the last two.
    """
    from poisonkit.export import registry as export

    asked = {key: value for key, value in more.items() if value is not None} | ({"truth": False} if no_truth else {})
    tell(export.carry_out(file, form, output, force, asked, _progress))


@cli.command()
def triggers():
    """The triggers, with their parameters."""
    from poisonkit.triggers import listing

    for line in listing.lines():
        tell(line)


@cli.command()
@cache_option
def sources(cache):
    """The sources of clean images and texts: where they come from, what is in the cache."""
    from poisonkit.inspection import show as summary
    from poisonkit.sources import registry as sources

    for source in sources.describe(cache):
        tell(*summary.source_lines(source))


@cli.command("cache")
@cache_option
@click.option("--clear", is_flag=True, help="Remove everything that lies there.")
def cache_command(cache, clear):
    """Where decoded sources are kept, and how much; --clear removes them."""
    from poisonkit.format.manifest import told
    from poisonkit.sources._cache.cache import Cache

    store = Cache(cache)
    if clear:
        tell(f"{store.root}: {store.clear() / 1e6:,.1f} MB removed")
        return
    tell(f"{store.root}: {store.size() / 1e6:,.1f} MB")
    for entry in store.entries():
        options = "".join(f", {key} {value}" for key, value in told(entry["options"]).items())
        official = {True: ", official", False: ", not the official data", None: ""}[entry["official"]]
        tell(f"  {entry['name']}{options}{official}: {entry['size'] / 1e6:,.1f} MB, {entry['digest']}")


def main() -> None:
    """The entry point: Ctrl-C and a polite `kill` end in one line, with nothing half-written."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # (where it is ignored, as under nohup, it stays so)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a file name or a class name that this terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="poisonkit", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _complain(STOPPED)
        code = INTERRUPTED
    except click.exceptions.Exit as error:
        code = error.exit_code
    except Usage as error:
        _complain(error)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    sys.exit(code or 0)
