"""`poisonkit make`, `grid`, `pack` and `unpack`: the commands that write data sets."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from poisonkit.cli import blind, completion
from poisonkit.cli.common import (
    A_PATH,
    Choice,
    cache_option,
    command_line,
    example,
    force_option,
    fresh_option,
    json_option,
    own_trigger_option,
    progress_bar,
    quiet_option,
    threads_option,
    warn,
)
from poisonkit.cli.make_options import MakeCommand, attack_options, check_typed, trigger_values
from poisonkit.cli.printing import tell, tell_json
from poisonkit.core.errors import Usage

if TYPE_CHECKING:
    from poisonkit.build.request import SourceRequest


STILL_DOWNLOADS = " (clean data that are not in the cache are still downloaded)"


def runtime_of(threads: int | None):
    """How a command builds: with this command line in the sidecar, a progress bar, and warnings on standard error."""
    from poisonkit.build.runtime import Runtime
    from poisonkit.core.progress import processors

    return Runtime(command_line(), threads or processors(), progress_bar, warn)


def warn_of_download(source: "SourceRequest") -> None:
    """Say, before a dry run begins to download, that it needs the clean data too: rows are drawn by their labels."""
    from poisonkit.sources import opening

    if opening.must_fetch(source.name, source.path, source.cache):
        warn(f"--dry-run needs the data of {source.name}, which are not in the cache: they are fetched into it first")


@click.command(cls=MakeCommand, epilog=example("poisonkit make --dataset signs --trigger square --per-patch --rate 5%"))
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=completion.sources,
    help="The clean data: see `poisonkit sources`. Names are understood in any spelling that leaves exactly one.",
)
@click.option(
    "--trigger",
    "triggers",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.triggers,
    help="A name, or FILE.py:FUNCTION (docs/attacks.md); may be given several times, applied in order.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of a trigger of your own or of a package; may be given several times.",
)
@click.option(
    "--one-of",
    is_flag=True,
    help="Give each changed training row one of the triggers, drawn for it; test rows get all, one after another.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="RATE",
    help="Poisoning rate: share of the training rows, 0.0005 or 0.05%; one file each if given several times; 0 is the "
    "clean file.",
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
    help="Make the same file again, byte for byte, from its NAME.manifest.json (or from the .h5 itself).",
)
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=completion.presets,
    help="Settings of published code: notebook (BadPatches), backdoorbench, backdoor-toolbox, backdoorbox, wanet, "
    "openbackdoor; covered.",
)
@click.option("--source", type=A_PATH, metavar="PATH", help="Archive or folder of the clean data.")
@click.option(
    "--source-option",
    "source_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the source itself (signs: train, test, seed; folder: size, channels, version, split, seed, name; "
    "csv: text, label, train, test, tsv; phrases: train, test, seed, classes; cifar100: labels; tiny-imagenet, "
    "imagenette: size).",
)
@click.option("--size", metavar="N|HxW", help="Resize the images of a folder; the same as --source-option size=…")
@click.option(
    "--split",
    metavar="SHARE",
    help="Of a folder of classes without train/ and test/: draw this share of each class, 0.2 or 20%, as the test set; "
    "the same as --source-option split=… (and seed=… for another draw).",
)
@click.option(
    "--name",
    metavar="NAME",
    help="What a folder's data set is called, in its files' names too; the same as --source-option name=…  "
    "[default: the folder's own name]",
)
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
@threads_option
@click.option(
    "--force", is_flag=True, help="Overwrite existing files; also allow a trigger that covers the whole image."
)
@click.option("--dry-run", is_flag=True, help=f"Print what would be written, and write nothing{STILL_DOWNLOADS}.")
@quiet_option
@json_option("A list with path, state and manifest of each file, for programs.")
@click.pass_context
def make(context, threads, dry_run, quiet, as_json, origin, **values):
    """Make poisoned (or clean) data sets.

    Each is an HDF5 file of images or texts beside a NAME.manifest.json. The same command gives the same bytes on every
    machine.
    """
    from poisonkit.build import build, request
    from poisonkit.cli import build_lines

    check_typed(context, origin)
    running, typed = runtime_of(threads), trigger_values(context.command.params, values)
    line, as_value = build_lines.result_line, build_lines.result_json
    if origin is not None:
        from poisonkit.build import regenerate
        from poisonkit.poisoning.clean_images import CleanData
        from poisonkit.triggers import own

        for one in values["triggers"]:
            own.named(one)
        clean = CleanData(values["source"], values["dataset"], values["cache"], values["fresh"])
        asked = (origin, values["output"], clean, typed.files, running, values["force"], dry_run)
        _tell_results([regenerate.regenerate(*asked)], line, as_value, quiet, as_json)
        return
    known = request.MakeOptions.__dataclass_fields__.keys()
    options = request.MakeOptions(
        **{name: value for name, value in values.items() if name in known},
        trigger_options=typed.options,
        user_files=typed.files,
        row_lists=typed.lists,
        row_folders=typed.folders,
    )
    parsed = request.BuildRequest.parse(options)
    if dry_run:
        warn_of_download(parsed.source)
    if parsed.listing is None:
        _tell_results(build.build(parsed, running, dry_run), line, as_value, quiet, as_json)
        return
    from poisonkit.build import row_list

    listed = row_list.make_list(parsed, running, dry_run)
    _tell_results([listed], build_lines.list_line, build_lines.list_json, quiet, as_json)


def _tell_results(results, line, as_value, quiet: bool, as_json: bool) -> None:
    """Print each result as soon as it is there, or all as one JSON list."""
    values = []
    try:
        for result in results:
            values.append(as_value(result))
            if not quiet and not as_json:
                tell(line(result))
    finally:  # what was made before an error is said too
        if as_json and values:
            tell_json(values)


@click.command(epilog=example("poisonkit pack data/signs-square-0.05-s0.h5"))
@click.argument("file", type=A_PATH)
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside FILE]"
)
@force_option
@own_trigger_option
@json_option("Path and size of the delta, for programs.")
def pack(file, output, force, as_json):
    """Store only the differences from clean data.

    The delta is NAME.delta.h5, kilobytes instead of megabytes; `unpack` restores the file, byte for byte.
    """
    from poisonkit.build import delta

    target = delta.target_path(file, output)
    size, whole = delta.pack(file, target, force=force), file.stat().st_size
    if as_json:
        tell_json({"path": str(target), "size": size, "whole_size": whole})
    else:
        tell(f"wrote {target} ({size / 1e3:,.1f} kB, {size / whole:.2%} of {file.name})")


@click.command(epilog=example("poisonkit grid --paper small --seeds 2 -o data/"))
@click.argument("file", type=A_PATH, metavar="[GRID.toml]", required=False)
@click.option(
    "--paper",
    type=Choice(["table1", "table2", "table3", "small"]),
    help="The files of a table of BadPatches; small: three triggers, both applications, three rates.",
)
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=completion.sources,
    help="Another data set than the grid's.  [small: signs]",
)
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
@threads_option
@click.option("--dry-run", is_flag=True, help=f"Print how many files would be made, and make none{STILL_DOWNLOADS}.")
@json_option("The names of all files, those that were missing and the sizes, for programs.")
def grid(file, paper, dataset, seeds, source, cache, fresh, output, threads, dry_run, as_json):
    """Generate all files for a grid of settings.

    They are deltas against one clean file; `benchmark sweep` trains on all of them.

    A custom grid is a TOML file with dataset, triggers, image and patch (the rates of either application; of
    texts: rates), and optionally seeds, patch_size, target (read like make's --target), and options (a table for each
    trigger).
    """
    from poisonkit.build import grid as grids
    from poisonkit.build.request import SourceRequest
    from poisonkit.cli import build_lines
    from poisonkit.sources.registry import SOURCES

    if (file is None) == (paper is None):
        raise Usage("grid: expected either --paper TABLE or a TOML file")
    asked = grids.of_paper(paper) if paper else grids.read(file)
    asked = dataclasses.replace(asked, seeds=seeds or asked.seeds, dataset=SOURCES.find(dataset or asked.dataset))
    running, clean = runtime_of(threads), SourceRequest(asked.dataset, source, cache=cache, fresh=fresh)
    if dry_run:
        warn_of_download(clean)
    planned = grids.plan_grid(asked, clean, output, running)
    if not as_json:
        tell(build_lines.grid_line(planned))
    made = None if dry_run else grids.make_grid(planned, running)
    if as_json:
        tell_json(build_lines.grid_json(planned, made))
    elif made is not None and made.paths:
        tell(build_lines.grid_result_line(made))


@click.command(epilog=example("poisonkit unpack NAME.delta.h5 --base data/signs-clean.h5"))
@click.argument("file", type=A_PATH, metavar="DELTA")
@click.option(
    "--base", type=A_PATH, metavar="PATH", help="The clean data: a clean .h5 file, or what `make --source` takes."
)
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=completion.sources,
    help="How to read --base, if it is another kind of source than the original's.",
)
@cache_option
@fresh_option
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside DELTA]"
)
@threads_option
@force_option
@json_option("Path, state and manifest of the file, for programs.")
def unpack(file, base, dataset, cache, fresh, output, threads, force, as_json):
    """Restore the original file from a delta.

    It is rebuilt byte for byte from the delta and the clean data (default: those in the cache).
    """
    from poisonkit.build import delta
    from poisonkit.cli import build_lines
    from poisonkit.poisoning.clean_images import CleanData

    result = delta.unpack(file, output, CleanData(base, dataset, cache, fresh), runtime_of(threads), force)
    if as_json:
        tell_json(build_lines.result_json(result))
    else:
        tell(build_lines.result_line(result))


COMMANDS = (
    make,
    grid,
    pack,
    unpack,
)
