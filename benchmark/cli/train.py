"""`benchmark train`."""

from pathlib import Path

import click

from benchmark.cli.common import INTERRUPTED, without_sidecars
from benchmark.cli.options import (
    BASE,
    JSON,
    MOST_SEEDS,
    QUIET,
    RUNS,
    SEED,
    VERIFY,
    setting_options,
)
from benchmark.cli.scores import print_results


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@setting_options
@SEED
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, show_default=True,
              help="Number of runs, using consecutive seeds starting at --seed (one process per run).")  # fmt: skip
@RUNS
@BASE
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN",
              help="The clean run that CAD is measured against.")  # fmt: skip
@click.option("--keep-epochs", is_flag=True, help="Save the network after each epoch: see `routing --by-epoch`.")
@VERIFY
@JSON
@QUIET
def train(files, seeds, runs, base, baseline, keep_epochs, verify, as_json, quiet, seed, **options):
    """Train on data sets and score the backdoor.

    Each run has its own folder in --runs, named by its whole configuration. Killed and started again, it goes on from
    its last epoch; finished, it is not trained again.

    \b
    Example:
      benchmark train data/signs-clean.h5 data/signs-square-patch8-0.05-s0.h5 --preset tiny
    """
    from benchmark.format import dataset
    from benchmark.runs import results
    from benchmark.runs.spec import RunSpec
    from benchmark.sweep import processes
    from benchmark.training.choose import settings_of_files

    processes.end_with_parent()
    manifests = {file: dataset.peek(file) for file in dict.fromkeys(without_sidecars(files))}
    specs = [
        RunSpec(file, settings, manifests[file], runs, base, baseline, verify, keep_epochs)
        for file, settings in settings_of_files(manifests, **options).items()
    ]
    specs.sort(key=lambda spec: not spec.is_clean)  # baselines first: CAD needs them
    jobs = [spec.with_seed(seed + number) for spec in specs for number in range(seeds)]
    if len(jobs) == 1:
        train_here(jobs[0], quiet)
    else:
        for spec in jobs:
            if code := processes.foreground(spec.arguments(*(["--quiet"] if quiet else []))):
                click.get_current_context().exit(code if code > 0 else 1)
    print_results(results.of([spec.run for spec in jobs]), as_json)


def train_here(spec, quiet):
    """Make one run in this process."""
    from benchmark.runs import experiment
    from benchmark.runs.progress import Progress

    progress = Progress(quiet)
    try:
        experiment.run(spec, [progress], progress.say)
    except KeyboardInterrupt:
        progress.close()
        epoch = min(progress.epochs_done + 1, spec.settings.epochs)
        click.echo(f"benchmark: stopped; the same command goes on from epoch {epoch}", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        progress.close()


COMMANDS = (train,)
