"""The command line of `benchmark`: parse, call, print. Keras is imported only by the commands that need it."""

import dataclasses
import errno
import logging
import subprocess
import sys
from pathlib import Path

import click

from benchmark import cli_heads, cli_results, extras, layout, numbers, once
from benchmark.cli_options import BASE, RUNS, SEED, chosen_settings, complain, end, say, say_json, setting_options
from benchmark.errors import Failure, Usage

INTERRUPTED = 130
MOST_SEEDS = 10_000


class Commands(click.Group):
    """Turns the errors that a user can cause into one line on stderr and an exit code."""

    def add_command(self, cmd, name=None):
        super().add_command(once.guard(cmd), name)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except Failure as error:
            line, code = str(error), error.exit_code
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            line, code = ": ".join(filter(None, [error.filename, error.strerror or str(error)])), 1
            if error.errno == errno.ENOSPC:
                line += " (make room, and the same command goes on from its last epoch)"
        except ImportError as error:
            line, code = extras.unusable(error), 1
        except MemoryError:
            line, code = "out of memory", 1
        except KeyboardInterrupt:
            line, code = "stopped", INTERRUPTED
        except Exception as error:  # the backends' own, known by name alone: none is imported here
            if "RESOURCE_EXHAUSTED" not in str(error) and type(error).__name__ != "ResourceExhaustedError":
                raise
            line, code = "the device ran out of memory: a smaller --batch-size or --width may help", 1
        complain(line)
        ctx.exit(code)


class Warnings(logging.Handler):
    """Says what the modules warn of as the commands say everything."""

    def emit(self, record):
        complain(record.getMessage())


logging.getLogger("benchmark").addHandler(Warnings())
logging.getLogger("benchmark").propagate = False


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="poisonkit", prog_name="benchmark")
def main():
    """Train the patch-level mixture of experts, or a text encoder, on files of poisonkit, and score the backdoor."""


@main.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@setting_options
@SEED
@click.option("--seeds", type=click.IntRange(1, MOST_SEEDS), default=1, show_default=True,
              help="So many runs, of this seed and the next ones, one process each.")  # fmt: skip
@RUNS
@BASE
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN", help="The clean run that CAD is against.")
@click.option("--keep-epochs", is_flag=True, help="Save the network after each epoch: see `routing --by-epoch`.")
@click.option("--no-verify", is_flag=True, help="Do not recompute the digests of the arrays.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def train(files, seeds, runs, base, baseline, keep_epochs, no_verify, as_json, quiet, **options):
    """Train the network on each FILE, and score it.

    Each run has a folder of its own in --runs, named by its whole configuration. Killed and started again, it goes on
    from its last epoch; finished, it is not trained again.
    """
    from benchmark import data, launch, results
    from benchmark.runs import Run

    launch.end_with_parent()
    manifests = {file: data.peek(file) for file in dict.fromkeys(files)}
    settings = {file: chosen_settings(manifest["modality"], **options) for file, manifest in manifests.items()}
    order = sorted(manifests, key=lambda file: manifests[file]["kind"] != "clean")  # baselines first: CAD needs them
    seed = options["seed"]
    jobs = [(file, dataclasses.replace(settings[file], seed=seed + i)) for file in order for i in range(seeds)]
    if len(jobs) == 1:
        train_one(*jobs[0], manifests, runs, base, baseline, not no_verify, quiet, keep_epochs)
    else:
        common = ["--runs", str(runs), *(["--baseline", str(baseline)] if baseline else [])]
        common += ["--base", str(base)] if base else []
        flags = {"--no-verify": no_verify, "--quiet": quiet, "--keep-epochs": keep_epochs}
        common += [flag for flag, on in flags.items() if on]
        for file, job in jobs:
            train_in_child(file, job, common)
    print_results(results.of([Run.of(runs, manifests[file], job) for file, job in jobs]), as_json)


def train_one(file, settings, manifests, runs, base, baseline, verify, quiet, keep_epochs):
    """One run in this process."""
    from benchmark import experiment
    from benchmark.progress import Progress

    progress = Progress(quiet)
    try:
        experiment.run(file, manifests[file], settings, runs, baseline, verify, progress, base, keep_epochs)
    except KeyboardInterrupt:
        progress.close()
        epoch = min(progress.epochs_done + 1, settings.epochs)
        click.echo(f"benchmark: stopped; the same command goes on from epoch {epoch}", err=True)
        click.get_current_context().exit(INTERRUPTED)
    finally:
        progress.close()


def train_in_child(file, settings, common):
    """One run in a process of its own; its failure is this command's."""
    from benchmark import launch

    command = [sys.executable, "-m", "benchmark", *launch.arguments(file, settings, common)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:  # the terminal told the child too; it says the line
            child.wait()
            code = INTERRUPTED
    if code:
        click.get_current_context().exit(code if code > 0 else 1)


@main.command("sweep")
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
    from benchmark import sweep

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
            say(f"    {layout.printable(line)}", err=True)
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
        say(layout.printable(f"{task.name}  {state}"))


def go(tasks, todo, jobs, scheduler, quiet, alone):
    """Make the missing runs; those that failed with what they said."""
    from benchmark import cluster, engines, launch
    from benchmark.progress import Overall
    from benchmark.sweep import Sweep

    for backend in set() if scheduler else {task.run.settings.backend for task in todo}:
        engines.installed(backend)
    gpus = [] if scheduler else launch.devices()
    engine = cluster.Cluster(scheduler, jobs) if scheduler else launch.Processes(jobs, gpus)
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
    there = numbers.counted(len(tasks) - len(todo), "was", "were")
    click.echo(f"{numbers.counted(len(tasks), 'run')}: {there} there, {len(todo) - len(failed)} made"
               + (f", {len(failed)} failed" if failed else ""))  # fmt: skip
    return failed


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@BASE
@click.option("--no-verify", is_flag=True, help="Do not recompute the digests of the arrays.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def score(run, file, base, no_verify, as_json):
    """Score a trained RUN on another FILE: its clean test set, and its triggered one."""
    from benchmark import experiment, table

    result = experiment.score(run, file, not no_verify, base)
    say_json(result) if as_json else say(table.scores(result))


@main.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def show(paths, as_json):
    """Print the results of runs, one a line. A folder of runs stands for all that are finished in it."""
    from benchmark import results

    found = results.gather(paths or ["runs"])
    print_results(found, as_json)
    end(found.wrong)


def print_results(found, as_json):
    """Finished runs, one a line (or as JSON)."""
    from benchmark import results, table

    if as_json:
        say_json([run.result for run in found])
        return
    say(table.runs(found, found.wrong))
    for line in results.advice(found):
        say(line)


for command in (*cli_results.COMMANDS, cli_heads.heads):
    main.add_command(command)
