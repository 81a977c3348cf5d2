"""Options that several commands of `benchmark` have: the settings of a run, where its data and its folder are."""

import dataclasses
from pathlib import Path

import click

from benchmark.settings import BACKENDS, PRECISIONS, PRESETS


def setting_options(command):
    """The options of all settings of a run but its seed. None means: as the preset says."""
    paper = PRESETS["paper"]
    whole = click.IntRange(min=1)
    options = [
        click.option("--preset", type=click.Choice(list(PRESETS)), default="paper", show_default=True,
                     help="paper: width 10, 25 epochs (a GPU's work); small: width 1, 8 epochs; tiny: 9, for signs."),
        click.option("--width", type=whole, help="Channels: 10 is the paper's network, 1 a laptop's."),
        click.option("--epochs", type=whole, help="Passes over the training data."),
        click.option("--batch-size", type=whole, help="Images a step."),
        click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Of plain SGD."),
        click.option("--experts", type=whole, help="Number of experts."),
        click.option("--top-k", type=whole, help="Patches that each expert takes of an image."),
        click.option("--hold-out", type=click.IntRange(min=0),
                     help="Training rows left out, for defences; the same rows in every run of a source."),
        click.option("--backend", type=click.Choice(BACKENDS), default=paper.backend, show_default=True,
                     help="What Keras computes with."),
        click.option("--precision", type=click.Choice(PRECISIONS), default=paper.precision, show_default=True,
                     help="tf32: the GPU's coarser float32; bfloat16: mixed precision."),
        click.option("--threads", type=whole, default=paper.threads, show_default=True,
                     help="CPU threads; they change the last digits, so they are a setting."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def chosen_settings(preset: str, **options):
    """The preset with what was given beside it."""
    return dataclasses.replace(PRESETS[preset], **{key: value for key, value in options.items() if value is not None})


BASE = click.option("--base", type=click.Path(path_type=Path), metavar="CLEAN",
                    help="The clean file that a delta is applied to  [default: the one beside it]")  # fmt: skip
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                    help="Of the initial weights and the order of rows.")  # fmt: skip
RUNS = click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"),
                    show_default=True, metavar="FOLDER", help="Where the run folders are.")  # fmt: skip
