"""The commands of `benchmark` for finished runs: tables, figures, report, defences, routing."""

import sys
from pathlib import Path

import click

from benchmark.cli.beside import beside_option
from benchmark.cli.choices import Choice
from benchmark.cli.options import BASE, JSON, RUN_FOLDERS
from benchmark.cli.printing import complain, end, say, say_json
from benchmark.cli.shape import COLUMNS, WIDE

FORMS = ("text", "markdown", "latex", "csv", "json")
PARTS = ("attacks", "detectors", "repairs")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--image",
    "rows",
    type=click.IntRange(0),
    multiple=True,
    metavar="ROW",
    help="Row of the test set to draw; may be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder for routing.json and the pictures  [default: routing/ in the run's folder]",
)
@click.option(
    "--beside",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="NETWORK",
    help="Also draw --image for this network: another run, or a defence's network (RUN/repair-…/….keras).",
)
@click.option("--by-epoch", is_flag=True, help="Also draw --image after each epoch, for a run with --keep-epochs.")
@BASE
@JSON
def routing(run, file, rows, output, beside, by_epoch, base, as_json):
    """Show which patches the experts select.

    Over the whole test set of FILE, and for single images. RUN is a run's folder, or a .keras file inside one (a
    defence's network). Patches are drawn at the centre of their receptive fields.

    \b
    Example:
      benchmark routing runs/RUN data/signs-square.h5 --image 3
    """
    from benchmark.analysis.routing import command
    from benchmark.core import files

    for line in command.routing(run, file, base, rows, output, beside, by_epoch):
        if not as_json:
            say(line)
    if as_json:
        say_json(files.read_json(command.target_of(run, output) / "routing.json"))


@click.command("table")
@RUN_FOLDERS
@click.option("--format", "form", type=Choice(FORMS, {"md": "markdown", "tex": "latex"}),
              help="csv and json have all columns; latex needs the package booktabs.  [default: text]")  # fmt: skip
@click.option("--of", "part", type=Choice(PARTS), help="Only this table  [default: all that there are results for]")
@beside_option("none")
@click.option("--all", "every", is_flag=True, help="With --beside: also the published results that were not run.")
@COLUMNS
@WIDE
@JSON
def table_command(paths, form, part, beside, every, names, wide, as_json):
    """Summarise BA, ASR and CAD over the seeds.

    Runs that differ in their seeds alone are one row; a folder of runs stands for all finished runs in it [default:
    runs]. Points of fine-pruning (`benchmark repair --method fine-pruning`), what detectors found and what repairs left
    follow, each beside the same on the clean twin.

    With --beside, published figures stand beside ours where data set, network, attack and rate are the same. Only a
    run with the published attack, training and precision counts: it agrees within 2 points, or if the published number
    is inside an interval of half-width 5 or less over 3 seeds or more; with a wider interval or fewer seeds
    it is undecided.

    \b
    Examples:
      benchmark table runs --columns trigger,rate,asr --format latex
      benchmark table runs --beside badpatches
      benchmark table runs --of detectors --columns trigger,rate,method,tpr-at-1
    """
    from benchmark.core.errors import Usage
    from benchmark.reporting import records, tables
    from benchmark.reporting.parts import Parts
    from benchmark.reporting.published import Sources
    from benchmark.runs import published, results

    if as_json and form not in (None, "json"):
        raise Usage(f"--json and --format {form}: choose one of them")
    form = "json" if as_json else form or "text"
    if form in ("json", "csv") and (names is not None or wide):
        raise Usage(f"--columns and --wide are for tables to read: --format {form} has all columns")
    sources = Sources(published.chosen(beside), every)
    if every and not sources:
        raise Usage("--all is for --beside")
    paths = paths or ["runs"]
    found = results.gather(paths)
    parts = Parts(found, sources, part)
    if form in ("json", "csv"):
        say(records.flat(parts.records())) if form == "csv" else say_json(parts.records())
    else:
        say("\n\n".join(parts.pages(tables.Shape(form, names, wide))))
    counts = {
        "unfinished runs": results.unfinished(paths),
        "runs that were found twice (the first one counts)": results.doubles(found),
        "runs on sealed files, omitted": results.sealed(found),
    }
    for line in [*results.advice(found), *(f"{what}: {count}" for what, count in counts.items() if count)]:
        complain(line)
    end(found.wrong)


@click.command()
@RUN_FOLDERS
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("report"),
    show_default=True,
    metavar="FOLDER",
    help="Folder for report.html.",
)
@beside_option("all that come with the program")
@JSON
def report(paths, output, beside, as_json):
    """Write a self-contained HTML report.

    What works, attack by defence; tables, figures, attack examples, routing, and the commands that reproduce it all.
    The page needs no network, and can be read without its script. Figures and pictures need matplotlib. A folder of
    runs stands for all finished runs in it [default: runs].

    \b
    Example:
      benchmark report runs -o report
    """
    from benchmark.reporting.html import report as reports
    from benchmark.runs import published, results

    sources = published.chosen(beside, published.PUBLISHED)
    paths, target = paths or [Path("runs")], output / "report.html"
    found = results.gather(paths)
    reports.write_of(found, paths, target, sources, _on_a_terminal)
    say_json({"page": str(target)}) if as_json else say(target)
    if (line := reports.without_pictures()) is not None:
        say(f"benchmark: {line}", err=True)
    end(found.wrong)


def _on_a_terminal(line: str) -> None:
    """Say on a terminal what is being made; a file of messages needs none of it."""
    if sys.stderr.isatty():
        say(line, err=True)


@click.command("figures")
@RUN_FOLDERS
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    show_default=True,
    metavar="FOLDER",
    help="Folder for the figures.",
)
@click.option("--format", "forms", type=Choice(["png", "svg", "pdf"]), multiple=True,
              help="Output format; may be given several times  [default: png and svg].")  # fmt: skip
@beside_option("all that come with the program")
@JSON
def figures_command(paths, output, forms, beside, as_json):
    """Plot ASR and BA by rate, and training curves.

    One figure for every data set and its settings. Bands are 95 % intervals, those of the training curves the range
    over the seeds; hollow markers are published numbers, of the same network and trigger. Needs matplotlib. A folder of
    runs stands for all finished runs in it [default: runs].

    \b
    Example:
      benchmark figures runs --format pdf -o figures
    """
    from benchmark.reporting import figures
    from benchmark.runs import groups, published, results

    sources = published.chosen(beside, published.PUBLISHED)
    found = results.gather(paths or ["runs"])
    written = []
    for path in figures.write(groups.group(found), output, forms or ("png", "svg"), sources, found.wrong):
        written.append(str(path))
        if not as_json:
            say(path)
    if as_json:
        say_json({"figures": written})
    end(found.wrong)


COMMANDS = (routing, table_command, report, figures_command)
