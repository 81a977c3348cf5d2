"""`benchmark heads`: what is measured of an encoder's attention heads, and results on them over the seeds."""

from pathlib import Path

import click

from benchmark.cli.choices import Choice
from benchmark.cli.options import BASE, JSON, QUIET, RUN_FOLDERS
from benchmark.cli.printing import end, say, say_json


@click.group()
def heads():
    """Analyse the attention heads of an encoder.

    Ablate them; and sum up what the detector and the repair `heads` have found (`benchmark detect`, `benchmark
    repair`).

    \b
    Example:
      benchmark heads ablate runs/RUN
    """


@heads.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN...")
@click.option("--data", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="The data set that the run was trained on  [default: its path at that time]")  # fmt: skip
@BASE
@JSON
@QUIET
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
    from benchmark.runs.results import each_once

    paths = each_once(paths)
    off = [ablating.parse_head(pair) for pair in pairs]
    log = (lambda line: None) if quiet else (lambda line: say(line, err=True))
    results = [ablating.run(path, file, base, off, log) for path in paths]
    say_json([one.raw for one in results]) if as_json else say(tables.report(results))


@heads.command("table")
@RUN_FOLDERS
@click.option("--format", "form", type=Choice(["text", "markdown", "latex"]), default="text", show_default=True,
              help="latex: needs the package booktabs.")  # fmt: skip
@click.option("--wide", is_flag=True, help="Show tables in one part, however wide  [default: at most 100 characters].")
@JSON
def table_command(paths, form, wide, as_json):
    """Summarise results on heads over the seeds.

    Of the detector and the repair `heads`, and of `heads ablate`. A folder of runs stands for all finished runs in it
    [default: runs]. Runs that differ in their seeds alone are summarised for each method and set of options: mean and
    95 % interval (Student's).

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
        raise Failure("no result on attention heads in these runs")
    if as_json:
        say_json([{"title": group.title, "results": [one.raw for one in group.results]} for group in groups])
        end(found.wrong)
        return
    below = [f"% {line}" if form == "latex" else line for line in tables.left_out(found.wrong)]
    say("\n\n".join(filter(None, [aggregate.render(groups, form, wide), *below])))
    end(found.wrong)
