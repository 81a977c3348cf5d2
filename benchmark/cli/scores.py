"""`benchmark score` and `show`."""

from pathlib import Path

import click

from benchmark.cli.options import BASE, CODE, JSON, RUN_FOLDERS, RUNS, VERIFY, allow
from benchmark.cli.printing import end, say, say_json
from benchmark.cli.shape import COLUMNS, WIDE
from benchmark.core.errors import Usage


@click.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="[RUN] FILE")
@click.option("--predictions", type=click.Path(path_type=Path), metavar="NPZ|CSV",
              help="Score these instead of a RUN: what a network that was trained elsewhere predicts for the rows of "
                   "FILE, classes or a score for each class, as .npz or CSV.")  # fmt: skip
@click.option("--name", metavar="NAME", help="With --predictions: what tables call that network.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="With --predictions: its training seed, where it was trained with several.")  # fmt: skip
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN",
              help="With --predictions: the clean run that CAD is measured against  [default: the one of the same "
                   "name]")  # fmt: skip
@RUNS
@CODE
@BASE
@VERIFY
@JSON
@click.pass_context
def score(context, paths, predictions, name, seed, baseline, runs, code, base, verify, as_json):
    """Score a trained run on another file.

    RUN's network, on the clean test rows of FILE and on its triggered ones.

    With --predictions there is no RUN: the predictions of a network that was trained elsewhere on FILE become a run in
    --runs, marked *predictions only* wherever runs are shown. CAD is against the clean run of the same name.

    \b
    Example:
      benchmark score runs/signs-square-0.05-s0--tiny-tf-t0-1a2b3c4d data/signs-blend-0.05-s0.h5
      benchmark score --predictions p.npz data/signs-square-0.05-s0.h5 --name "our ResNet"
    """
    from benchmark.reporting import tables
    from benchmark.runs import elsewhere, experiment, results

    _check(context, predictions, name, paths, code)
    if predictions is None:
        allow(code)
        result = experiment.score(*paths, verify, base)
        say_json(result.json()) if as_json else say(tables.scores(result))
        return
    run, _ = elsewhere.score(paths[0], predictions, name, seed, runs, base, baseline, verify)
    print_results(results.of([run]), as_json)


def _check(context, predictions, name, paths, code):
    """Raise `Usage` where what is given is neither a run and a file nor predictions, their name and a file."""
    if predictions is not None:
        if name is None:
            raise Usage('--predictions goes with --name: what tables are to call the network, such as "our ResNet"')
        if len(paths) != 1:
            raise Usage(f"--predictions: expected one FILE, got {len(paths)} paths")
        if code is not None:
            raise Usage("--network goes with a RUN, not with --predictions")
        return
    for option in ("name", "seed", "baseline", "runs"):
        if context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT:
            raise Usage(f"--{option} goes with --predictions")
    if len(paths) == 1:
        raise click.UsageError("Missing argument 'FILE'", context)
    if len(paths) != 2:
        raise Usage(f"expected RUN and FILE, got {len(paths)} paths")


@click.command()
@RUN_FOLDERS
@COLUMNS
@WIDE
@JSON
def show(paths, as_json, names, wide):
    """List finished runs with their scores.

    A folder of runs stands for all finished runs in it [default: runs].

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
