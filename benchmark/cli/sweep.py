"""`benchmark sweep`."""

from pathlib import Path

import click

from benchmark.cli.common import INTERRUPTED
from benchmark.cli.options import BASE, MOST_SEEDS, RUNS, chosen_settings, setting_options
from benchmark.cli.printing import complain, say
from benchmark.core import text_tables
from benchmark.core.errors import Usage


@click.command("sweep")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PATH...")
@setting_options
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    metavar="N",
    help="Train every file with the seeds 0 to N-1, instead of the seed that it was poisoned with.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Runs at a time. On GPUs one a device, and all of them unless told otherwise; on CPUs 1.",
)
@click.option(
    "--engine",
    type=click.Choice(["processes", "dask"]),
    default="processes",
    show_default=True,
    help="dask: on the workers of a Dask cluster, which see the same folders.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of the Dask cluster: tcp://HOST:8786, or its scheduler file.")
@RUNS
@BASE
@click.option("--no-verify", is_flag=True, help="Do not recompute the digests of the arrays.")
@click.option("-n", "--dry-run", is_flag=True, help="List the runs and what there is to do for each.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def sweep_command(paths, seeds, jobs, engine, scheduler, runs, base, no_verify, dry_run, quiet, **options):
    """Train on every file that has not been trained on yet.

    A PATH is a data set file, or a folder of them. The clean ones come first, then seed after seed. A file that was
    poisoned with seed 3 is trained with seed 3, so that both vary from one replicate to the next; a clean file is
    trained with every seed that occurs.

    Stop it, start it again, add files or seeds: it does what is missing in --runs, and nothing twice. A run that fails
    is reported at the end and stops no other. CUDA_VISIBLE_DEVICES says which GPUs; a device that is named twice takes
    two runs.
    """
    from benchmark.sweep import sweep

    if (engine == "dask") != (scheduler is not None):
        raise Usage("--engine dask and --scheduler ADDRESS go together")
    files = sweep.find(paths)
    if len(files) > 20 and not quiet:
        click.echo(f"reading the manifests of {len(files)} files", err=True)
    found, wrong = sweep.manifests(files)
    common = [*(["--no-verify"] if no_verify else []), *(["--base", str(base.resolve())] if base else [])]
    settings = {path: chosen_settings(manifest["modality"], **options) for path, manifest in found.items()}
    tasks = sweep.plan(found, settings, seeds, runs, common)
    others = {}
    todo = sweep.missing(tasks, others)
    for line in others.values():
        complain(f"{line}: no run is compared with it")
    alone = sweep.without_baseline(found)
    if dry_run:
        list_tasks(tasks, todo)
        for line in alone:
            say(line, err=True)
    else:
        wrong |= go(tasks, todo, jobs, scheduler, quiet, alone)
    for name, problem in wrong.items():
        complain(problem if isinstance(problem, str) else f"{name} failed")
        for line in problem if not isinstance(problem, str) else ():
            say(f"    {text_tables.printable(line)}", err=True)
    click.get_current_context().exit(1 if wrong else 0)


def list_tasks(tasks, todo):
    """One line a run: its name and what there is to do."""
    for task in tasks:
        if task not in todo:
            state = "finished"
        elif problem := task.problem():
            state = problem
        elif done := task.trained():
            state = (
                "to be compared with its clean run" if done == task.images else f"{100 * done // task.images} % done"
            )
        else:
            state = "to do"
        say(text_tables.printable(f"{task.name}  {state}"))


def go(tasks, todo, jobs, scheduler, quiet, alone):
    """Make the missing runs; those that failed with what they said."""
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
        watch.say(f"one run a device: {len(gpus)} at a time")
    if scheduler and not engine.workers():
        watch.say("no worker has joined the cluster yet: waiting for one")
    try:
        failed = Sweep(todo, engine, watch).go()
    except KeyboardInterrupt:
        watch.close()
        click.echo("benchmark: stopped; the same command goes on with what is missing", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        watch.close()
    click.echo(f"{len(tasks)} runs: {len(tasks) - len(todo)} were there, {len(todo) - len(failed)} made"
               + (f", {len(failed)} failed" if failed else ""))  # fmt: skip
    return failed


COMMANDS = (sweep_command,)
