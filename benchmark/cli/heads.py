"""`benchmark heads`: the commands on an encoder's attention heads. As thin as cli.py's."""

from pathlib import Path

import click

from benchmark.cli.options import BASE
from benchmark.cli.printing import end, say, say_json


def common(command):
    """What all three take: runs, where their data is, what is written."""
    options = [
        click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN..."),
        click.option("--data", "file", type=click.Path(path_type=Path), metavar="FILE",
                     help="The data set that the run was trained on  [default: where it was then]"),
        BASE,
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def detector(command):
    """The options of the detector."""
    options = [
        click.option("--metric", type=click.Choice(["cosine", "pearson"]), default="cosine", show_default=True,
                     help="How alike two heads are."),
        click.option("--map", type=click.Choice(["row", "full", "output"]), default="row", show_default=True,
                     help="Of what: attention from [CLS], the whole map, or what a head adds to [CLS], by PCA in 32 "
                          "dimensions."),
        click.option("--min-words", type=click.IntRange(1), default=5, show_default=True,
                     help="Shorter texts are not ranked."),
        click.option("--flag", default="0.03", show_default=True, metavar="SHARE",
                     help="Of the ranked rows, those that a pass flags: 0.03 or 3%."),
        click.option("--heads", type=click.IntRange(1), default=8, show_default=True, metavar="N",
                     help="So many heads are contaminated, and at most half of all."),
        click.option("--threshold", type=click.FloatRange(0, min_open=True), metavar="Z",
                     help="Instead, all heads whose |median z| over the flagged rows is at least that."),
        click.option("--rows", type=click.IntRange(1), metavar="N",
                     help="So many rows of the suspect file, drawn at random.  [default: all]"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def detector_settings(options: dict) -> dict:
    """What of a command's options decides the detector."""
    from benchmark.analysis.heads.detector import share_of

    names = ("metric", "map", "min_words", "heads", "threshold", "rows")
    return {name: options.pop(name) for name in names} | {"flag": share_of(options.pop("flag"))}


@click.group()
def heads():
    """An encoder's attention heads: find poisoned texts by them, align them, switch them off."""


@heads.command()
@common
@detector
def detect(paths, file, base, as_json, quiet, **options):
    """Which rows of the file that RUN was trained on are poisoned, and which heads say so.

    All that is needed is the model and the held-out rows. Where the file holds the truth, it is measured against it;
    and controls (rare words, an ordinary sentence, shuffled words, gibberish), on the model and on the clean run that
    CAD is against, say what else raises the alarm. Several runs: also the mean over them. Scores of every row go into
    scores.npz, pictures beside it (matplotlib).
    """
    from benchmark.analysis.heads import detect as detecting
    from benchmark.analysis.heads import tables

    settings = detector_settings(options)
    results = [detecting.run(path, file, base, settings, teller(quiet)) for path in paths]
    say_json(results) if as_json else say(tables.report(results, paths))


@heads.command()
@common
@detector
@click.option(
    "--one-target/--any-target",
    default=True,
    show_default=True,
    help="Of the flagged rows, learn from those alone that are given the class which most of them are given.",
)
@click.option("--clean-rows", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
              help="Held-out rows to learn from.")  # fmt: skip
@click.option("--unlearn", is_flag=True, help="Also push flagged rows towards a flat prediction.")
@click.option("--unlearn-weight", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="How hard.")  # fmt: skip
@click.option("--flat", type=click.Choice(["rows", "mean"]), default="mean", show_default=True,
              help="What is to be flat: each flagged row's prediction, or their mean.")  # fmt: skip
@click.option("--lean", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="How far flat leans away from the class predicted before: 0, not at all; 1, none of "
                   "it.")  # fmt: skip
@click.option(
    "--strength",
    type=click.FloatRange(0),
    metavar="λ",
    help="Of the alignment: λ · mean of min(z², 100) on flagged rows.  [default: 10; with --unlearn 1]",
)
@click.option("--epochs", type=click.IntRange(1), help="Of the heads alone.  [default: 6; with --unlearn 2]")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True),
              help="Of the heads alone.  [default: 0.001; with --unlearn 0.0003]")  # fmt: skip
@click.option("--full-epochs", type=click.IntRange(1), help="Of full fine-tuning.  [default: 3; with --unlearn 2]")
@click.option("--full-rate", type=click.FloatRange(0, min_open=True), default=5e-5, show_default=True,
              help="Learning rate of full fine-tuning.")  # fmt: skip
@click.option("--keep-models", is_flag=True, help="Save the networks of what it is compared with, too.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the order of rows and of the random heads.")  # fmt: skip
def align(paths, file, base, as_json, quiet, **options):
    """Make the contaminated heads of RUN usual again, beside everything that this has to be better than.

    Only those heads' slices of query, key, value and output projection move: by the cross-entropy on clean held-out
    rows, by how far the heads' similarity on the flagged rows is from what is usual and, with --unlearn, towards a flat
    prediction on those rows. Beside it: nothing done, the heads switched off, full fine-tuning on the same clean rows,
    as many random heads, and each part left out. The aligned network, tables and pictures go into the run's folder.
    """
    from benchmark.analysis.heads import align as aligning
    from benchmark.analysis.heads import tables

    settings = detector_settings(options) | aligning.complete(options)
    results = [aligning.run(path, file, base, settings, teller(quiet)) for path in paths]
    say_json(results) if as_json else say(tables.report(results))


@heads.command()
@common
@click.option("--head", "pairs", multiple=True, metavar="LAYER,HEAD",
              help="Switch these off together as well; may be given several times.")  # fmt: skip
def ablate(paths, file, base, as_json, quiet, pairs):
    """What each head of RUN is worth: BA and ASR with that head switched off, one head after the other."""
    from benchmark.analysis.heads import ablate as ablating
    from benchmark.analysis.heads import tables

    settings = {"heads": [ablating.parse_head(pair) for pair in pairs]}
    results = [ablating.run(path, file, base, settings, teller(quiet)) for path in paths]
    say_json(results) if as_json else say(tables.report(results))


@heads.command("table")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="RUN...")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "latex"]), default="text", show_default=True,
              help="latex: needs the package booktabs.")  # fmt: skip
def table_command(paths, form):
    """Print what these commands found, over the seeds.

    A folder of runs (default: runs) stands for all that are finished in it. Runs that differ in their seeds alone are
    summed up, those of one command with one set of options together: mean and 95 % interval (Student's).
    """
    from benchmark.analysis.heads import aggregate
    from benchmark.core.errors import Failure
    from benchmark.reporting import tables
    from benchmark.runs import results

    found = results.gather(paths or ["runs"])
    groups = aggregate.collect(found, found.wrong)
    if not groups and not found.wrong:
        raise Failure("no result of `benchmark heads` in these runs")
    below = [f"% {line}" if form == "latex" else line for line in tables.left_out(found.wrong)]
    say("\n\n".join(filter(None, [aggregate.render(groups, form), *below])))
    end(found.wrong)


def teller(quiet: bool):
    """Says a line on standard error, or nothing."""
    return lambda line: None if quiet else say(line, err=True)
