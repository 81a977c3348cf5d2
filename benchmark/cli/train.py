"""`benchmark train`."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import click

from benchmark.cli.common import INTERRUPTED
from benchmark.cli.options import BASE, MOST_SEEDS, RUNS, SEED, chosen_settings, setting_options
from benchmark.cli.scores import print_results


@click.command()
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
    from benchmark.format import dataset
    from benchmark.runs import results
    from benchmark.runs.run import Run
    from benchmark.sweep import processes

    processes.end_with_parent()
    manifests = {file: dataset.peek(file) for file in dict.fromkeys(files)}
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
    from benchmark.runs import experiment
    from benchmark.runs.progress import Progress

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
    from benchmark.sweep import processes

    command = [sys.executable, "-m", "benchmark", *processes.arguments(file, settings, common)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:  # the terminal told the child too; it says the line
            child.wait()
            code = INTERRUPTED
    if code:
        click.get_current_context().exit(code if code > 0 else 1)


COMMANDS = (train,)
