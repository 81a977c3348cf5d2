"""`benchmark score` and `show`."""

from pathlib import Path

import click

from benchmark.cli.options import BASE, JSON, VERIFY
from benchmark.cli.printing import end, say, say_json
from benchmark.cli.shape import COLUMNS, WIDE


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@BASE
@VERIFY
@JSON
def score(run, file, base, verify, as_json):
    """Score a trained run on another file.

    RUN's network, on the clean test rows of FILE and on its triggered ones.

    \b
    Example:
      benchmark score runs/signs-square-0.05-s0--tiny-tf-t0-1a2b3c4d data/signs-blend-0.05-s0.h5
    """
    from benchmark.reporting import tables
    from benchmark.runs import experiment

    result = experiment.score(run, file, verify, base)
    say_json(result.json()) if as_json else say(tables.scores(result))


@click.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="RUN...")
@COLUMNS
@WIDE
@JSON
def show(paths, as_json, names, wide):
    """List finished runs with their scores.

    A folder of runs stands for all finished runs in it.

    \b
    Example:
      benchmark show runs --columns run,ba,asr
    """
    from benchmark.runs import results

    found = results.gather(paths or ["runs"])
    print_results(found, as_json, names, wide)
    end(found.wrong)


def print_results(found, as_json, names=None, wide=False):
    """Print finished runs, one per line (or as JSON)."""
    from benchmark.reporting import tables
    from benchmark.runs import results

    if as_json:
        say_json([run.result.raw for run in found])
        return
    say(tables.runs(found, found.wrong, tables.Shape("text", names, wide)))
    for line in results.advice(found):
        say(line)


COMMANDS = (
    score,
    show,
)
