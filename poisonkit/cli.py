"""The command line: parse, call, print. Nothing else in the package prints or exits.

Everything heavy is imported inside the commands, so that `poisonkit --help` answers at once.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import click

from poisonkit import __version__, cli_blind
from poisonkit.errors import Failure, Usage
from poisonkit.make_options import A_PATH, MakeCommand, attack_options, check_typed

INTERRUPTED = 130
STOPPED = "stopped; nothing half-written was left"


class Group(click.Group):
    """Turns the errors that a user is meant to read into one line and an exit code."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except Failure as error:
            _complain(error)
            context.exit(error.exit_code)
        except MemoryError:
            _complain("out of memory: fewer --threads, or a machine with more")
            context.exit(1)
        except KeyboardInterrupt:
            _complain(STOPPED)
            context.exit(INTERRUPTED)
        except BrokenPipeError:
            _forget_output()
            context.exit(1)
        except OSError as error:
            _complain(f"{os.fspath(error.filename)}: {error.strerror}" if error.filename else error.strerror or error)
            _forget_output()
            context.exit(1)


def _complain(message) -> None:
    """One line on standard error, whatever file names and foreign files put into it."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(message))
    click.echo(f"poisonkit: {text if len(text) <= 800 else text[:800] + '…'}", err=True)


def _forget_output() -> None:
    """What could not be printed is not tried again at exit, where Python would complain in its own way."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="poisonkit")
def cli():
    """Poisoned data sets, of images and of texts, as files, for defensive research into backdoor attacks.

    Make one, look at it, check it, share it; `benchmark` trains on it. Exit codes: 0 done, 1 failed, 2 wrong usage,
    3 a check says "differs".
    """


for command in cli_blind.COMMANDS:
    cli.add_command(command)


def _progress(total, label, unit):
    """A progress bar on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        from poisonkit.sources.base import Silent

        return Silent()
    from tqdm import tqdm

    return tqdm(total=total, desc=label, unit=f" {unit}", leave=False)


def _warn(line: str) -> None:
    _complain(line)


cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where decoded sources are kept  [default: $POISONKIT_CACHE, else ~/.cache/poisonkit]",
)


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
    help="Option of the source itself (signs: train, test, seed; folder: size, channels; csv: text, label, train, "
    "test; phrases: train, test, seed, classes).",
)
@click.option("--size", metavar="N|HxW", help="Resize the images of a folder; the same as --source-option size=…")
@cli_blind.camouflage_options
@cache_option
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
    from poisonkit import order

    check_typed(context, values["origin"])
    typed = {name: value for name, value in values.items() if name in order.Order.__dataclass_fields__}
    wanted = order.Order(**typed, given=order.trigger_options(context.command.params, values))
    how = {"command": _command(), "progress": _progress, "say": _warn}
    if wanted.origin is not None:
        from poisonkit import regenerate

        click.echo(regenerate.carry_out(wanted, threads, dry_run, **how))
        return
    for line in order.carry_out(wanted, threads, dry_run, **how):
        click.echo(line)


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


@cli.command()
@click.argument("file", type=A_PATH)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside]"
)
def pack(file, output):
    """Only what differs from the clean data, as NAME.delta.h5: kilobytes; `unpack` gives the file back."""
    from poisonkit import delta

    target = delta.target_path(file, output)
    size = delta.pack(file, target)
    click.echo(f"wrote {target} ({size / 1e3:,.1f} kB, {size / file.stat().st_size:.2%} of {file.name})")


@cli.command()
@click.argument("file", type=A_PATH, metavar="[GRID.toml]", required=False)
@click.option(
    "--paper",
    type=click.Choice(["table1", "table2", "table3", "small"]),
    help="The files of a table of BadPatches'; small: three triggers, both applications, three rates.",
)
@click.option("--dataset", metavar="NAME", help="Another data set than the grid's.  [small: signs]")
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Seeds 0 … N − 1.  [default: the grid's, else 1]")
@click.option("--source", type=A_PATH, metavar="PATH", help="Archive or folder of the clean data.")
@cache_option
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
def grid(file, paper, dataset, seeds, source, cache, output, threads, dry_run):
    """Every file of a table, as deltas on one clean file: `benchmark sweep` trains on all of them.

    A grid of one's own is a TOML file with dataset, triggers, image and patch (the rates of either application; of
    texts: rates), and if need be seeds, patch_size, target, and options (a table for each trigger).
    """
    from poisonkit import grid as grids

    if (file is None) == (paper is None):
        raise Usage("grid: expected either --paper TABLE or a TOML file")
    wanted = grids.of_paper(paper) if paper else grids.read(file)
    wanted = dataclasses.replace(wanted, seeds=seeds or wanted.seeds, dataset=dataset or wanted.dataset)
    how = {"threads": threads, "dry_run": dry_run, "command": _command(), "progress": _progress, "say": _warn}
    for line in grids.carry_out(wanted, source, cache, output, how):
        click.echo(line)


@cli.command()
@click.argument("file", type=A_PATH, metavar="DELTA")
@click.option(
    "--base", type=A_PATH, metavar="PATH", help="The clean data: a clean .h5 file, or what `make --source` takes."
)
@click.option(
    "--dataset", metavar="NAME", help="How to read --base, if it is another kind of source than the original's."
)
@cache_option
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside]"
)
@click.option("--threads", type=click.IntRange(1, 256), metavar="N", help="[default: the processors]")
@click.option("--force", is_flag=True, help="Replace what lies there.")
def unpack(file, base, dataset, cache, output, threads, force):
    """The file that a delta was made of, to the byte, from it and the clean data (default: those in the cache)."""
    from poisonkit import delta

    how = {"threads": threads, "force": force, "dry_run": False, "command": _command(), "progress": _progress}
    click.echo(delta.unpack(file, base, dataset, cache, output, how | {"say": _warn}))


@cli.command()
@click.argument("file", type=A_PATH)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest, for programs.")
def show(file, as_json):
    """What a file is: source, trigger, rate, counts, digests."""
    from poisonkit import kinds

    facts = kinds.facts(file)
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    click.echo(text if as_json else "\n".join(kinds.lines(file, facts)))


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

    Training images that were camouflaged after the trigger are made again from the plain ones, which are looked for in
    the cache, or read from --source; where there are none it says so, and their digests stand for them.
    """
    from poisonkit import kinds
    from poisonkit.verify import Look

    worst = 0
    for file in files:
        notes = []
        try:
            wrong = kinds.differences(file, Look(source, dataset, cache, notes.append, _progress, _warn))
        except Failure as error:
            _complain(error)
            worst = max(worst, 1)
            continue
        click.echo(f"{file}: OK" if not wrong else f"{file}: DIFFERS")
        for line in [*wrong, *notes]:
            click.echo(f"  {line}")
        worst = 3 if wrong else worst
    context.exit(worst)


@cli.command()
@click.argument("file", type=A_PATH)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PNG|TXT", help="The picture to write; texts are printed without it."
)
@click.option("--rows", type=click.IntRange(1, 100), default=6, show_default=True, help="How many poisoned rows.")
@click.option("--amplify", type=click.IntRange(1, 128), default=4, show_default=True, help="Factor on the difference.")
def preview(file, output, rows, amplify):
    """A picture of originals, poisoned images and the difference; of texts, the change marked: a [+cf+] word put in."""
    from poisonkit import previewing

    for line in previewing.carry_out(file, output, rows, amplify):
        click.echo(line)


@cli.command()
@click.argument("file", type=A_PATH)
@click.option("--json", "form", flag_value="json", help="The summary, for programs.")
@click.option("--csv", "form", flag_value="csv", help="Every changed row's figures.")
def stats(file, form):
    """How visible the change is: PSNR, SSIM, largest change, share of changed bytes; of texts, words and edits."""
    from poisonkit import stats as measures

    collected = measures.collect(file)
    if form == "csv":
        click.echo(measures.table(collected))
        return
    summary = measures.summarise(collected)
    click.echo(json.dumps(summary, indent=1) if form else "\n".join(measures.lines(summary)))


@cli.command()
@click.argument("first", type=A_PATH)
@click.argument("second", type=A_PATH)
@click.pass_context
def diff(context, first, second):
    """In what two files differ; exit code 3 where they do."""
    from poisonkit import summary

    found = summary.differences(first, second)
    click.echo("\n".join(found) if found else "no difference")
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

    A picture of another size than the data set's images is resized to theirs first, as the sources are. Line 1 of a
    file of texts is given what test row 0 is given, and so on.
    """
    from poisonkit import applying

    for line in applying.apply_to_files(file, pictures, output):
        click.echo(line)


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
    from poisonkit import export as formats

    asked = {key: value for key, value in more.items() if value is not None} | ({"truth": False} if no_truth else {})
    click.echo(formats.carry_out(file, form, output, force, asked, _progress))


@cli.command()
def triggers():
    """The triggers, with their parameters."""
    from poisonkit.triggers import listing

    for line in listing.lines():
        click.echo(line)


@cli.command()
@cache_option
def sources(cache):
    """The sources of clean images and texts: where they come from, what is in the cache."""
    from poisonkit import sources as table
    from poisonkit import summary

    for source in table.describe(cache):
        click.echo("\n".join(summary.source_lines(source)))


@cli.command("cache")
@cache_option
@click.option("--clear", is_flag=True, help="Remove everything that lies there.")
def cache_command(cache, clear):
    """Where decoded sources are kept, and how much; --clear removes them."""
    from poisonkit.manifest import told
    from poisonkit.sources.cache import Cache

    store = Cache(cache)
    if clear:
        click.echo(f"{store.root}: {store.clear() / 1e6:,.1f} MB removed")
        return
    click.echo(f"{store.root}: {store.size() / 1e6:,.1f} MB")
    for entry in store.entries():
        options = "".join(f", {key} {value}" for key, value in told(entry["options"]).items())
        official = {True: ", official", False: ", not the official data", None: ""}[entry["official"]]
        click.echo(f"  {entry['name']}{options}{official}: {entry['size'] / 1e6:,.1f} MB, {entry['digest']}")


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
