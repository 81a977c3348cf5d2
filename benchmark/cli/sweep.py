"""`benchmark sweep`."""

from pathlib import Path

import click

from benchmark.cli.common import INTERRUPTED, without_sidecars
from benchmark.cli.options import BASE, JSON, MOST_SEEDS, QUIET, RUNS, VERIFY, setting_options
from benchmark.cli.printing import complain, say, say_json
from benchmark.core import numbers, text_tables
from benchmark.core.errors import Usage


@click.command("sweep")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH...")
@setting_options
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
    help="Number of parallel runs  [default: one per GPU, or 1 on CPU]",
)
@click.option(
    "--engine",
    type=click.Choice(["processes", "dask"]),
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
def sweep_command(paths, seeds, jobs, engine, scheduler, runs, base, verify, dry_run, as_json, quiet, **options):
    """Train on every file not trained on yet.

    A PATH is a data set file, or a folder of them. The clean files come first, then seed after seed. A file that was
    poisoned with seed 3 is trained with seed 3, so that both vary from one replicate to the next; a clean file is
    trained with every seed that occurs.

    Stop it, start it again, add files or seeds: it makes the runs that are missing in --runs, and none twice. A run
    that fails is reported at the end and stops no other. CUDA_VISIBLE_DEVICES selects the GPUs; a device that is named
    twice takes two runs.

    \b
    Example:
      benchmark sweep data/ --preset tiny --seeds 3
    """
    from benchmark.runs.spec import RunSpec
    from benchmark.sweep import sweep
    from benchmark.training.choose import settings_of_files

    if (engine == "dask") != (scheduler is not None):
        raise Usage("--engine dask and --scheduler ADDRESS go together")
    files = sweep.find(without_sidecars(paths))
    if len(files) > 20 and not quiet:
        click.echo(f"reading the manifests of {len(files)} files", err=True)
    found, errors = sweep.manifests(files)
    specs = [
        RunSpec(path, settings, found[path], runs, base, verify=verify)
        for path, settings in settings_of_files(found, **options).items()
    ]
    tasks = sweep.plan(specs, seeds)
    unreadable = {}
    todo = sweep.missing(tasks, unreadable)
    for line in unreadable.values():
        complain(f"{line}: no run is compared with it")
    alone = sweep.without_baseline(specs)
    failed = {}
    if dry_run:
        list_tasks(tasks, todo, as_json)
        for line in alone:
            say(line, err=True)
    else:
        failed = go(tasks, todo, jobs, scheduler, quiet, alone, as_json)
    for line in errors.values():
        complain(line)
    for name, lines in failed.items():
        complain(f"{name} failed")
        for line in lines:
            say(f"    {text_tables.printable(line)}", err=True)
    click.get_current_context().exit(1 if errors or failed else 0)


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
    trained = task.trained()
    if trained == task.images:
        return "to be compared with its clean run"
    return f"{100 * trained // task.images} % done" if trained else "to do"


def go(tasks, todo, jobs, scheduler, quiet, alone, as_json):
    """Make the missing runs; the names of those that failed, with what was wrong."""
    from benchmark.nn import engines
    from benchmark.sweep import dask, processes
    from benchmark.sweep.progress import Overall
    from benchmark.sweep.sweep import Sweep

    for backend in set() if scheduler else {task.run.settings.backend for task in todo}:
        engines.installed(backend)
    gpus = [] if scheduler else processes.devices()
    engine = dask.Cluster(scheduler, jobs) if scheduler else processes.Processes(jobs, gpus)
    watch = Overall(todo, len(tasks), quiet)
    for line in alone:
        watch.say(line)
    if gpus and jobs and jobs > len(gpus):
        watch.say(f"one run per device: {len(gpus)} at a time")
    if scheduler and not engine.workers():
        watch.say("waiting for a Dask worker to join")
    try:
        failed = Sweep(todo, engine, watch).go()
    except KeyboardInterrupt:
        watch.close()
        click.echo("benchmark: stopped; the same command goes on with what is missing", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        watch.close()
    counts = {"runs": len(tasks), "existing": len(tasks) - len(todo), "made": len(todo) - len(failed)}
    if as_json:
        say_json(counts | {"failed": failed})
    else:
        say(f"{numbers.counted(counts['runs'], 'run')}: {counts['existing']:,} existed, {counts['made']} made"
            + (f", {len(failed)} failed" if failed else ""))  # fmt: skip
    return failed


COMMANDS = (sweep_command,)
