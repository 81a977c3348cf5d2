"""`poisonkit make`, `grid`, `pack` and `unpack`: the commands that write data sets."""

import dataclasses
from pathlib import Path

import click

from poisonkit.cli import blind
from poisonkit.cli.common import cache_option, command_line, fresh_option, progress_bar, warn
from poisonkit.cli.make_options import A_PATH, MakeCommand, attack_options, check_typed
from poisonkit.cli.printing import tell
from poisonkit.core.errors import Usage


@click.command(cls=MakeCommand)
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
    how = {"command": command_line(), "progress": progress_bar, "say": warn}
    if wanted.origin is not None:
        from poisonkit.build import regenerate

        tell(regenerate.carry_out(wanted, threads, dry_run, **how))
        return
    for line in request.carry_out(wanted, threads, dry_run, **how):
        tell(line)


@click.command()
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


@click.command()
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
    how = {"threads": threads, "dry_run": dry_run, "command": command_line(), "progress": progress_bar, "say": warn}
    for line in grids.carry_out(wanted, source, cache, output, how | {"fresh": fresh}):
        tell(line)


@click.command()
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

    how = {"threads": threads, "force": force, "dry_run": False, "command": command_line(), "progress": progress_bar}
    tell(delta.unpack(file, base, dataset, cache, output, how | {"say": warn, "fresh": fresh}))


COMMANDS = (
    make,
    grid,
    pack,
    unpack,
)
