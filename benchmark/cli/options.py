"""Options that several commands of `benchmark` have: the settings of a run, where its data and its folder are."""

import dataclasses
from pathlib import Path

import click

from benchmark.core.errors import Usage
from benchmark.training.settings import (
    BACKENDS,
    ENCODERS,
    FOR_MODALITY,
    NETWORKS,
    PRECISIONS,
    PRESETS,
    Common,
    Settings,
)

MOST_SEEDS = 10_000


def setting_options(command):
    """The options of all settings of a run but its seed. None means: as the preset, or the encoder, says."""
    paper = PRESETS["paper"]
    whole = click.IntRange(min=1)
    options = [
        click.option("--model", type=click.Choice(list(NETWORKS)),
                     help="pmoe for images, encoder for texts  [default: what the file holds]"),
        click.option("--preset", type=click.Choice(list(PRESETS)),
                     help="pmoe. paper: width 10, 25 epochs (a GPU's work); small: width 1, 8 epochs; tiny: 9, for "
                          "signs  [default: paper]"),
        click.option("--width", type=whole, help="pmoe. Channels: 10 is the paper's network, 1 a laptop's."),
        click.option("--experts", type=whole, help="pmoe. Number of experts."),
        click.option("--top-k", type=whole, help="pmoe. Patches that each expert takes of an image."),
        click.option("--encoder", metavar="NAME|FOLDER",
                     help="encoder. minilm: MiniLM-L6; tiny: two layers, trained from scratch; or a folder in the "
                          "Hugging Face layout  [default: minilm]"),
        click.option("--rows", type=whole, help="encoder. Take so many training rows, the same in every run of a "
                                                "source  [default: all]"),
        click.option("--epochs", type=whole, help="Passes over the training data."),
        click.option("--batch-size", type=whole, help="Rows a step."),
        click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True),
                     help="Of plain SGD (pmoe); of AdamW, at its start (encoder)."),
        click.option("--hold-out", type=click.IntRange(min=0),
                     help="Training rows left out, for defences; the same rows in every run of a source  [default: 0 "
                          "(pmoe), 2000 (encoder)]"),
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


def chosen_settings(modality: str, model: str | None, preset: str | None, encoder: str | None, **options) -> Common:
    """The settings for a file of a modality: the preset's or the encoder's, with what was given beside it.

    `Usage` where an option is for the other kind of network.
    """
    network = model or FOR_MODALITY[modality]
    kind = NETWORKS[network]
    given = {key: value for key, value in options.items() if value is not None}
    names = {field.name for field in dataclasses.fields(kind)} | ({"preset"} if kind is Settings else {"encoder"})
    said = given | ({"preset": preset} if preset else {}) | ({"encoder": encoder} if encoder else {})
    for key in said:
        if key not in names:
            raise Usage(f"--{key.replace('_', '-')} is not for --model {network}")
    if kind is Settings:
        return dataclasses.replace(PRESETS[preset or "paper"], **given)
    from benchmark.training import encoders

    chosen = encoders.named(encoder or "minilm")
    usual = ENCODERS.get(chosen["encoder"], ENCODERS["minilm"])
    return dataclasses.replace(usual, **chosen, **given)


BASE = click.option("--base", type=click.Path(path_type=Path), metavar="CLEAN",
                    help="The clean file that a delta is applied to  [default: the one beside it]")  # fmt: skip
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                    help="Of the initial weights and the order of rows.")  # fmt: skip
RUNS = click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"),
                    show_default=True, metavar="FOLDER", help="Where the run folders are.")  # fmt: skip
