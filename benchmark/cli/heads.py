"""`benchmark heads`: the commands on an encoder's attention heads."""

from pathlib import Path
from typing import Any

import click

from benchmark.cli.choices import Choice
from benchmark.cli.options import BASE, JSON, QUIET, RUN_FOLDERS
from benchmark.cli.printing import end, say, say_json


def common(command):
    """Add the options of all three commands: runs, where their data is, what is written."""
    options = [
        click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN..."),
        click.option("--data", "file", type=click.Path(path_type=Path), metavar="FILE",
                     help="The data set that the run was trained on  [default: its path at that time]"),
        BASE,
        JSON,
        QUIET,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def detector(command):
    """Add the options of the detector."""
    options = [
        click.option("--metric", type=Choice(["cosine", "pearson"]), default="cosine", show_default=True,
                     help="Similarity metric between two heads."),
        click.option("--map", type=Choice(["row", "full", "output"]), default="row", show_default=True,
                     help="What is compared: attention from [CLS], the whole attention map, or a head's contribution "
                          "to [CLS], reduced to 32 dimensions by PCA."),
        click.option("--min-words", type=click.IntRange(1), metavar="N", default=5, show_default=True,
                     help="Minimum length of a text to be ranked."),
        click.option("--flag", default="0.03", show_default=True, metavar="SHARE",
                     help="Share of the ranked rows that each pass flags: 0.03 or 3%."),
        click.option("--heads", type=click.IntRange(1), default=8, show_default=True, metavar="N",
                     help="Number of heads to treat as contaminated, at most half of all."),
        click.option("--threshold", type=click.FloatRange(0, min_open=True), metavar="Z",
                     help="Instead of --heads: all heads whose |median z| over the flagged rows is at least Z."),
        click.option("--rows", type=click.IntRange(1), metavar="N",
                     help="Number of rows of the suspect file to use, drawn at random  [default: all]"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def detector_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return a command's options with what decides the detector as its settings have it."""
    from benchmark.analysis.heads.detector import share_of

    return options | {"flag": share_of(options["flag"])}


@click.group()
def heads():
    """Analyse the attention heads of an encoder.

    Detect poisoned texts by them, realign contaminated ones, ablate them.

    \b
    Example:
      benchmark heads detect runs/RUN
    """


@heads.command()
@common
@detector
def detect(paths, file, base, as_json, quiet, **options):
    """Find poisoned rows and contaminated heads.

    The detector needs the model and its held-out rows, nothing else. Where the file holds the truth, its ranking of the
    file that RUN was trained on is measured against it. Controls (rare words, an ordinary sentence, shuffled words,
    random word pieces), on the model and on the clean run that CAD is against, show what else raises the alarm. With
    several runs, their mean follows. The scores of every row are written to scores.npz, pictures beside it
    (matplotlib).

    \b
    Example:
      benchmark heads detect runs/sst2-word-* --flag 5%
    """
    from benchmark.analysis.heads import detect as detecting
    from benchmark.analysis.heads import tables
    from benchmark.analysis.heads.detector import DetectorSettings

    settings = DetectorSettings(**detector_settings(options))
    results = [detecting.run(path, file, base, settings, logger(quiet)) for path in paths]
    say_json([one.raw for one in results]) if as_json else say(tables.report(results, paths))


@heads.command()
@common
@detector
@click.option(
    "--one-target/--any-target",
    default=True,
    show_default=True,
    help="Learn only from those flagged rows that get the class which most of them get, or from all of them.",
)
@click.option("--clean-rows", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
              help="Number of held-out rows to learn from.")  # fmt: skip
@click.option("--unlearn", is_flag=True, help="Also push flagged rows towards a flat prediction.")
@click.option("--unlearn-weight", type=click.FloatRange(0, min_open=True), metavar="X", default=1.0, show_default=True,
              help="Weight of the unlearning loss.")  # fmt: skip
@click.option("--flat", type=Choice(["rows", "mean"]), default="mean", show_default=True,
              help="What is to be flat: each flagged row's prediction, or their mean.")  # fmt: skip
@click.option("--lean", type=click.FloatRange(0, 1), metavar="SHARE", default=0.5, show_default=True,
              help="How far the flat prediction leans away from the class predicted before: 0, not at all; 1, that "
                   "class gets nothing.")  # fmt: skip
@click.option(
    "--strength",
    type=click.FloatRange(0),
    metavar="λ",
    help="Weight of the alignment loss, the mean of min(z², 100) on flagged rows  [default: 10; with --unlearn 1]",
)
@click.option("--epochs", type=click.IntRange(1), metavar="N",
              help="Epochs for head-only tuning  [default: 6; with --unlearn 2]")  # fmt: skip
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), metavar="RATE",
              help="Learning rate for head-only tuning  [default: 0.001; with --unlearn 0.0003]")  # fmt: skip
@click.option("--full-epochs", type=click.IntRange(1), metavar="N",
              help="Epochs of full fine-tuning  [default: 3; with --unlearn 2]")  # fmt: skip
@click.option("--full-rate", type=click.FloatRange(0, min_open=True), metavar="RATE", default=5e-5, show_default=True,
              help="Learning rate of full fine-tuning.")  # fmt: skip
@click.option("--keep-models", is_flag=True, help="Also save the baseline models.")
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True,
              help="Seed of the order of rows and of the random heads.")  # fmt: skip
def align(paths, file, base, as_json, quiet, **options):
    """Realign contaminated heads, with baselines.

    Only those heads' slices of query, key, value and output projection move. The loss is the cross-entropy on clean
    held-out rows, the deviation of the heads' similarity on the flagged rows from its reference statistics and, with
    --unlearn, the distance from a flat prediction on those rows. Baselines: the untouched model, the heads switched
    off, full fine-tuning on the same clean rows, as many random heads, and each part of the loss left out. The aligned
    network, tables and pictures are written to the run's folder.

    \b
    Example:
      benchmark heads align runs/RUN --unlearn
    """
    from benchmark.analysis.heads import align as aligning
    from benchmark.analysis.heads import tables

    settings = aligning.complete(detector_settings(options))
    results = [aligning.run(path, file, base, settings, logger(quiet)) for path in paths]
    say_json([one.raw for one in results]) if as_json else say(tables.report(results))


@heads.command()
@common
@click.option("--head", "pairs", multiple=True, metavar="LAYER,HEAD",
              help="Also switch these off together; may be given several times.")  # fmt: skip
def ablate(paths, file, base, as_json, quiet, pairs):
    """Measure the effect of disabling each head.

    BA and ASR of RUN with one head switched off at a time.

    \b
    Example:
      benchmark heads ablate runs/RUN --head 5,0 --head 5,1
    """
    from benchmark.analysis.heads import ablate as ablating
    from benchmark.analysis.heads import tables

    off = [ablating.parse_head(pair) for pair in pairs]
    results = [ablating.run(path, file, base, off, logger(quiet)) for path in paths]
    say_json([one.raw for one in results]) if as_json else say(tables.report(results))


@heads.command("table")
@RUN_FOLDERS
@click.option("--format", "form", type=Choice(["text", "markdown", "latex"]), default="text", show_default=True,
              help="latex: needs the package booktabs.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show tables in one part, however wide  [default: at most 100 characters].")
@JSON
def table_command(paths, form, wide, as_json):
    """Summarise these results over the seeds.

    A folder of runs stands for all finished runs in it [default: runs]. Runs that differ in their seeds alone are
    summarised for each command and set of options: mean and 95 % interval (Student's).

    \b
    Example:
      benchmark heads table runs --format latex
    """
    from benchmark.analysis.heads import aggregate
    from benchmark.core.errors import Failure
    from benchmark.reporting import tables
    from benchmark.runs import results

    found = results.gather(paths or ["runs"])
    groups = aggregate.collect(found, found.wrong)
    if not groups and not found.wrong:
        raise Failure("no result of `benchmark heads` in these runs")
    if as_json:
        say_json([{"title": group.title, "results": [one.raw for one in group.results]} for group in groups])
        end(found.wrong)
        return
    below = [f"% {line}" if form == "latex" else line for line in tables.left_out(found.wrong)]
    say("\n\n".join(filter(None, [aggregate.render(groups, form, wide), *below])))
    end(found.wrong)


def logger(quiet: bool):
    """Return what prints a line on standard error, or nothing."""
    return lambda line: None if quiet else say(line, err=True)
