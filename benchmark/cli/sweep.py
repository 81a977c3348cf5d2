"""`benchmark sweep`."""

import functools
import time
from pathlib import Path

import click

from benchmark.cli.choices import Choice
from benchmark.cli.common import INTERRUPTED, without_sidecars
from benchmark.cli.options import BASE, JSON, MOST_SEEDS, QUIET, RUNS, STOP_AFTER, VERIFY, setting_options
from benchmark.cli.printing import complain, say, say_json
from benchmark.core import numbers, text_tables
from benchmark.core.errors import Usage


@click.command("sweep")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH...")
@functools.partial(setting_options, several=True)
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    metavar="N",
    help="Train every file with the seeds 0 to N-1  [default: the seed that it was poisoned with]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of parallel runs: on each GPU, or in all where there is none  [default: 1]; with dask: tasks sent at "
    "a time  [default: all]",
)
@STOP_AFTER
@click.option(
    "--order",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Text file with a data set on each line, the most wanted first: name, path or pattern; # begins a comment  "
    "[default: the order of the PATHs]",
)
@click.option(
    "--engine",
    type=Choice(["processes", "dask"]),
    default="processes",
    show_default=True,
    help="dask: on the workers of a Dask cluster, which share the folders.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler: tcp://HOST:8786, or its scheduler file.")
@RUNS
@BASE
@VERIFY
@click.option("-n", "--dry-run", is_flag=True, help="List the runs and what is left to do for each.")
@JSON
@QUIET
def sweep_command(
    paths, seeds, jobs, stop_after, order, engine, scheduler, runs, base, verify, dry_run, as_json, quiet, **options
):
    """Train on every file not trained on yet.

    A PATH is a data set file, or a folder of them. What is named first is trained first; of a folder the clean files
    come first, then seed after seed. A file that was poisoned with seed 3 is trained with seed 3, so that both vary
    from one replicate to the next; a clean file is trained with every seed that occurs. A run that comes before the
    clean run which it is compared with is compared when that has ended. With several networks and presets every file is
    trained with each.

    Stop it, start it again, add files or seeds: it makes the runs that are missing in --runs, and none twice. A run
    that fails is reported at the end and stops no other. CUDA_VISIBLE_DEVICES selects the GPUs; a device that is named
    twice counts as two.

    With --stop-after no run is started that would not end in time, by those of its kind that ran; the exit code is 0,
    and the last line says what is left.

    \b
    Example:
      benchmark sweep data/ --preset tiny --seeds 3
    """
    from benchmark.sweep import order as order_file
    from benchmark.sweep import plan
    from benchmark.sweep.sweep import Allocation

    if (engine == "dask") != (scheduler is not None):
        raise Usage("--engine dask and --scheduler ADDRESS go together")
    if scheduler and stop_after:
        raise Usage("--stop-after is not for --engine dask: its scheduler decides when a run starts")
    begun = time.monotonic()
    files = plan.find(without_sidecars(paths))
    if len(files) > 20 and not quiet:
        click.echo(f"reading the manifests of {len(files)} files", err=True)
    found, errors = plan.manifests(files)
    ranks = order_file.ranks(order, files, found) if order else files
    specs = specs_of(found, options, runs=runs, base=base, verify=verify)
    tasks = plan.plan(specs, seeds, ranks)
    unreadable = {}
    todo = plan.missing(tasks, unreadable)
    for line in unreadable.values():
        complain(f"{line}: no run is compared with it")
    alone = plan.without_baseline(specs)
    failed = {}
    if dry_run:
        list_tasks(tasks, todo, as_json)
        for line in alone:
            say(line, err=True)
    else:
        limit = None if stop_after is None else Allocation(stop_after, begun)
        failed = go(tasks, todo, jobs, scheduler, quiet, alone, as_json, limit)
    report(errors, failed)


def report(errors, failed):
    """Say what could not be read and what failed, and end the command with 1 if there is any."""
    for line in errors.values():
        complain(line)
    for name, lines in failed.items():
        complain(f"{name} failed")
        for line in lines:
            say(f"    {text_tables.printable(line)}", err=True)
    click.get_current_context().exit(1 if errors or failed else 0)


def specs_of(found, options, **others):
    """Return the runs that the files and options ask for, but for their seeds."""
    from benchmark.runs.spec import RunSpec
    from benchmark.training.choose import settings_of_files

    networks, presets = options.pop("network"), options.pop("preset")
    chosen = settings_of_files(found, networks, presets, **options)
    return [RunSpec(path, settings, found[path], **others) for path, settings in chosen]


def list_tasks(tasks, todo, as_json):
    """Print one line for each run: its name and what is left to do."""
    states = {task.name: _state(task, task in todo) for task in tasks}
    if as_json:
        say_json([{"run": name, "state": state} for name, state in states.items()])
        return
    for name, state in states.items():
        say(text_tables.printable(f"{name}  {state}"))


def _state(task, to_do: bool) -> str:
    if not to_do:
        return "finished"
    if problem := task.problem():
        return problem
    saved = task.saved()
    if saved == task.epochs:
        return "to be compared with its clean run"
    return f"{100 * saved // task.epochs} % done" if saved else "to do"


def go(tasks, todo, jobs, scheduler, quiet, alone, as_json, allocation=None):
    """Make the missing runs; the names of those that failed, with what was wrong."""
    from benchmark.nn import engines
    from benchmark.sweep import dask, processes
    from benchmark.sweep.progress import Overall
    from benchmark.sweep.sweep import Sweep

    for backend in set() if scheduler else {task.run.settings.backend for task in todo}:
        engines.installed(backend)
    gpus = [] if scheduler else processes.devices()
    at_once = None if jobs is None else min(jobs, max(len(todo), 1))  # however many were asked for
    engine = dask.Cluster(scheduler, at_once) if scheduler else processes.Processes(at_once, gpus)
    watch = Overall(todo, len(tasks), quiet)
    for line in alone:
        watch.say(line)
    if scheduler and not engine.workers():
        watch.say("waiting for a Dask worker to join")
    sweep = Sweep(todo, engine, watch, allocation, known(tasks, allocation, bool(gpus)))
    try:
        sweep.go()
    except KeyboardInterrupt:
        watch.close()
        click.echo("benchmark: stopped; the same command goes on with what is missing", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        watch.close()
    summarise(tasks, todo, sweep, as_json, allocation)
    return sweep.failed


def known(tasks, allocation, on_gpu):
    """Return what earlier runs say of how long these take; nothing where the time is not limited."""
    from benchmark.runs import baseline
    from benchmark.sweep.estimates import Estimates, earlier

    if allocation is None:
        return Estimates()
    folders = {task.folder.parent for task in tasks}
    results = [result for folder in folders for result in baseline.finished(folder).values()]
    return Estimates(earlier(results, tasks, on_gpu))


def summarise(tasks, todo, sweep, as_json, allocation):
    """Print how many runs there are now, and what is left where the time was limited."""
    made = len(todo) - len(sweep.failed) - len(sweep.left)
    counts = {"runs": len(tasks), "existing": len(tasks) - len(todo), "made": made}
    if as_json:
        left = {} if allocation is None else {"left": {task.name: _state(task, True) for task in sweep.left}}
        say_json(counts | {"failed": sweep.failed} | left)
        return
    words = [f"{counts['existing']:,} existed", f"{made} made"]
    words += [f"{len(sweep.failed)} failed"] if sweep.failed else []
    say(f"{numbers.counted(counts['runs'], 'run')}: {', '.join(words)}{_what_is_left(sweep.left)}")


def _what_is_left(tasks):
    """Return the end of the last line: how many runs are left, and how far they are."""
    if not tasks:
        return ""
    begun = {task: saved for task in tasks if (saved := task.saved())}
    first = [
        f"{task.name} after epoch {saved} of {task.epochs}" for task, saved in begun.items() if saved < task.epochs
    ]
    compared = sum(saved == task.epochs for task, saved in begun.items())
    words = [
        *first[:1],
        *([f"{len(first) - 1} more begun"] if len(first) > 1 else []),
        *([f"{compared} to be compared with their clean runs"] if compared else []),
        *([f"{len(tasks) - len(begun)} not begun"] if len(tasks) > len(begun) else []),
    ]
    return (
        f", {len(tasks)} left ({', '.join(words)}); the same command goes on with {'them' if len(tasks) > 1 else 'it'}"
    )


COMMANDS = (sweep_command,)
