"""Options that several commands of `benchmark` have: the settings of a run, where its data and its folder are."""

from itertools import chain
from pathlib import Path
from typing import Any

import click

from benchmark.core import numbers
from benchmark.nn import own
from benchmark.nn.networks import DEFAULT
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.nn.own import EXPECTED, is_spelled
from benchmark.training.settings import ENCODERS, NETWORKS, PRESETS, PRESETS_OF, EncoderSettings, Settings
from benchmark.training.table import BY_NAME, RUN, SETTINGS, Setting

MOST_SEEDS = 10_000


class Network(click.Choice):
    """The name of a network, or a function in a file, which `nn.own` reads."""

    def convert(self, value, param, ctx):
        """See `click.ParamType`."""
        return value if is_spelled(value) else super().convert(value, param, ctx)


def setting_options(command):
    """Add the options of all settings of a run but its seed. None means: as the preset, or the encoder, says."""
    options = [
        click.option("--network", type=Network(list(NETWORKS)), metavar="|".join([*NETWORKS, EXPECTED]),
                     help=f"{_by_modality()}  [default: {' or '.join(DEFAULT.values())}, by what the file holds]"),
        click.option("--preset", type=click.Choice(list(dict.fromkeys(chain(*PRESETS_OF.values())))),
                     help=f"{_presets()}  [default: the network's first]"),
        *(_option(setting) for setting in SETTINGS if setting.help and setting.name != "seed"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _by_modality() -> str:
    """Say which networks there are for images and for texts."""
    named = {kind: [spec.name for spec in SPECS.values() if spec.modality == kind] for kind in DEFAULT}
    said = "; ".join(f"for {kind}s: {', '.join(names)}" for kind, names in named.items())
    return f"{said}. A function in a file, (image_shape, classes, seed) -> keras.Model, is a network of your own."


def _presets() -> str:
    """Say which presets there are of each network for images, and in what they differ."""
    return "; ".join(
        f"{network}: {', '.join(_preset(network, name) for name in presets)}"
        for network, presets in sorted(PRESETS_OF.items(), key=_usual_first)
    )


def _preset(network: str, name: str) -> str:
    """Return `small (width 1, 8 epochs)`: what of the network differs between its presets, epochs, and its use."""
    spec, presets = SPECS[network], PRESETS_OF[network]
    differing = [
        one.name for one in spec.settings if len({getattr(preset, one.name) for preset in presets.values()}) > 1
    ]
    words = [f"{BY_NAME[key].words} {getattr(presets[name], key)}" for key in differing]
    words.append(numbers.counted(presets[name].epochs, "epoch"))
    return f"{name} ({', '.join([*words, *([spec.uses[name]] if name in spec.uses else [])])})"


def _usual_first(entry: tuple[str, Any]) -> bool:
    return entry[0] not in DEFAULT.values()


def _option(setting: Setting):
    """Return the option of one row of the table of settings."""
    if setting.part != RUN:
        metavar = f"{'|'.join(ENCODERS)}|FOLDER" if setting.name == EncoderSettings.CHOICE else None
        return click.option(setting.option, type=_type(setting), metavar=metavar, help=setting.help)
    usual = getattr(PRESETS[Settings.USUAL], setting.name)
    return click.option(setting.option, type=_type(setting), default=usual, show_default=True, help=setting.help)


def _type(setting: Setting) -> click.ParamType:
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.type is int:
        return click.IntRange(min=setting.least)
    return click.FloatRange(min=0, min_open=True) if setting.type is float else click.STRING


BASE = click.option("--base", type=click.Path(path_type=Path), metavar="CLEAN",
                    help="The clean file that a delta is applied to  [default: the one next to it]")  # fmt: skip
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                    help="Seed of the initial weights and of the order of rows.")  # fmt: skip
RUNS = click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"),
                    show_default=True, metavar="FOLDER", help="The folder with the run folders.")  # fmt: skip
VERIFY = click.option("--no-verify", "verify", is_flag=True, flag_value=False, default=True,
                      help="Do not recompute the digests of the arrays.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
CODE = click.option("--network", "code", metavar=EXPECTED,
                    help="Of a run with a network of its own: the file with its code, which is executed.")  # fmt: skip


def allow(code: str | None) -> None:
    """Let the code that an option CODE names be executed in this process."""
    if code is not None:
        own.named(code)
