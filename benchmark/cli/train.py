"""`benchmark train`."""

import contextlib
import sys
import threading
import time
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
    STOP_AFTER,
    VERIFY,
    setting_options,
)
from benchmark.cli.printing import complain
from benchmark.cli.scores import print_results


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@setting_options
@SEED
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), metavar="N", default=1, show_default=True,
              help="Number of runs, using consecutive seeds starting at --seed (one process per run).")  # fmt: skip
@RUNS
@BASE
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN",
              help="The clean run that CAD is measured against.")  # fmt: skip
@click.option("--keep-epochs", is_flag=True, help="Save the network after each epoch: see `routing --by-epoch`.")
@STOP_AFTER
@VERIFY
@JSON
@QUIET
def train(files, seeds, runs, base, baseline, keep_epochs, stop_after, verify, as_json, quiet, seed, **options):
    """Train on data sets and score the backdoor.

    Each run has its own folder in --runs, named by its whole configuration. Killed and started again, it goes on from
    its last epoch, as it does when --stop-after has stopped it (exit code 0); finished, it is not trained again.

    \b
    Example:
      benchmark train data/signs-clean.h5 data/signs-square-patch8-0.05-s0.h5 --preset tiny
    """
    from benchmark.format import dataset
    from benchmark.runs import results
    from benchmark.runs.position import Reported
    from benchmark.runs.spec import RunSpec
    from benchmark.runs.stopping import StopInTime
    from benchmark.sweep import processes
    from benchmark.training.choose import settings_of_files

    stop = StopInTime(stop_after) if stop_after is not None else None
    watched = processes.end_with_parent()
    manifests = {file: dataset.peek(file) for file in dict.fromkeys(without_sidecars(files))}
    specs = [
        RunSpec(file, settings, manifests[file], runs, base, baseline, verify, keep_epochs)
        for file, settings in settings_of_files(manifests, *_alone(options), **options)
    ]
    specs.sort(key=lambda spec: not spec.is_clean)  # baselines first: CAD needs them
    jobs = [spec.with_seed(seed + number) for spec in specs for number in range(seeds)]
    if len(jobs) == 1:
        train_here(jobs[0], quiet, stop, [Reported()] if watched else [])
    else:
        train_each(jobs, quiet, stop)
    made = [spec.run for spec in jobs if stop is None or finished(spec)]
    if made or as_json:
        print_results(results.of(made), as_json)


def _alone(options):
    """Take network and preset out of the options, each as a list of one, or none."""
    return [[one] if (one := options.pop(name)) else [] for name in ("network", "preset")]


def train_each(jobs, quiet, stop):
    """Make several runs, each in its own process, as long as there is time for another as long as the last."""
    from benchmark.sweep import processes

    took = 0.0
    for spec in jobs:
        limit = [] if stop is None else [f"--stop-after={stop.left():.1f}s"]
        if stop is not None and stop.left() <= took:
            break
        begun = time.monotonic()
        if code := processes.foreground(spec.arguments(*(["--quiet"] if quiet else []), *limit)):
            click.get_current_context().exit(code if code > 0 else 1)
        if stop is not None and not finished(spec):
            break
        took = time.monotonic() - begun
    left = sum(not finished(spec) for spec in jobs) if stop is not None else 0
    if left:
        from benchmark.core.numbers import counted

        complain(f"{left} of {counted(len(jobs), 'run')} left when the time was up; the same command goes on")


def finished(spec) -> bool:
    """Tell whether a run has its result."""
    return spec.run.result is not None


@contextlib.contextmanager
def ended_in_time(stop, name):
    """End this process when its time is up, in the middle of an epoch: the run goes on from the one before."""
    from benchmark.core import child_process

    if stop is None:
        yield
        return

    def end():
        complain(f"{name}: stopped in the middle of an epoch, to end in time; the same command repeats that epoch")
        sys.stderr.flush()
        child_process.end(0)

    timer = threading.Timer(max(0.0, stop.left()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def train_here(spec, quiet, stop=None, others=()):
    """Make one run in this process. `stop`: what stops it in time; `others`: more callbacks, with `close`."""
    from benchmark.runs import experiment
    from benchmark.runs.progress import Progress
    from benchmark.runs.stopping import OutOfTime

    progress = Progress(quiet)
    try:
        with ended_in_time(stop, spec.run.folder.name):
            experiment.run(spec, [progress, *others, *([stop] if stop else [])], progress.say)
    except OutOfTime as error:
        progress.close()
        after = f"after epoch {error.epoch} of {spec.settings.epochs}" if error.epoch else "before its first epoch"
        complain(f"{spec.run.folder.name}: stopped {after}, to end in time; the same command goes on")
    except KeyboardInterrupt:
        progress.close()
        epoch = min(progress.epochs_done + 1, spec.settings.epochs)
        click.echo(f"benchmark: stopped; the same command goes on from epoch {epoch}", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        for callback in (progress, *others):
            callback.close()


COMMANDS = (train,)
