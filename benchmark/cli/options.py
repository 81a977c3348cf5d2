"""Options that several commands of `benchmark` have: the settings of a run, where its data and its folder are."""

from itertools import chain
from pathlib import Path
from typing import Any

import click

from benchmark.cli.choices import Choice
from benchmark.core import duration, numbers
from benchmark.nn import own
from benchmark.nn.networks import ALIASES, DEFAULT
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.nn.own import EXPECTED, is_spelled
from benchmark.training.preset_values import ENCODER, ENCODERS, IMAGE_NETWORKS, NETWORKS, every, first, names
from benchmark.training.recipes import RECIPES, Recipe
from benchmark.training.table import BY_NAME, RUN, SETTINGS, Setting

MOST_SEEDS = 10_000


class Network(Choice):
    """The name of a network, or a function in a file, which `nn.own` reads."""

    def convert(self, value, param, ctx):
        """See `click.ParamType`."""
        return value if is_spelled(value) else super().convert(value, param, ctx)


class Duration(click.types.FloatParamType):
    """Seconds, as `duration.parsed` reads them."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return duration.parsed(value)
        except ValueError as error:
            self.fail(f"{error}, got {value!r:.40}", param, ctx)


def setting_options(command, several: bool = False):
    """Add the options of all settings of a run but its seed. None means: as the preset, or the encoder, says.

    `several`: more than one network and preset may be given.
    """
    more = "; may be given several times" if several else ""
    options = [
        click.option("--network", type=Network(NETWORKS, ALIASES), multiple=several,
                     metavar="|".join([*NETWORKS, EXPECTED]),
                     help=f"{_by_modality()}{more}  [default: {' or '.join(DEFAULT.values())}, by what the file "
                          "holds]"),
        click.option("--preset", type=Choice(dict.fromkeys(chain(*map(names, IMAGE_NETWORKS)))),
                     multiple=several, metavar="PRESET", help=f"{_presets()}{more}  [default: the network's first]"),
        *(_option(setting) for setting in SETTINGS if setting.help and setting.name != "seed"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _by_modality() -> str:
    """Say which networks there are for images and for texts."""
    named = {kind: [spec.name for spec in SPECS.values() if spec.modality == kind] for kind in DEFAULT}
    said = "; ".join(f"for {kind}s: {', '.join(names)}" for kind, names in named.items())
    return f"{said}. A function in a file, (image_shape, classes, seed) -> keras.Model, is a network of your own"


def _presets() -> str:
    """Say which presets there are of each network for images, and in what they differ."""
    return "; ".join(
        f"{network}: {', '.join(_preset(network, name) for name in SPECS[network].presets)}"
        for network in IMAGE_NETWORKS
    ) + "".join(f"; any network: {_recipe(recipe)}" for recipe in RECIPES.values())


def _recipe(recipe: Recipe) -> str:
    """Return `NAME (what it is, by the source of the file: SOURCE, …; or NAME-SOURCE)`."""
    return f"{recipe.name} ({recipe.use}, by the file's source: {', '.join(recipe.values)}; or {recipe.name}-SOURCE)"


def _preset(network: str, name: str) -> str:
    """Return `small (width 1, 8 epochs)`: what of the network differs between its presets, epochs, and its use."""
    spec = SPECS[network]
    values = {preset: first(spec) | own for preset, own in every(spec).items()}
    differing = [one.name for one in spec.settings if len({preset[one.name] for preset in values.values()}) > 1]
    words = [f"{BY_NAME[key].words} {values[name][key]}" for key in differing]
    words.append(numbers.counted(values[name]["epochs"], "epoch"))
    return f"{name} ({', '.join([*words, *([spec.uses[name]] if name in spec.uses else [])])})"


def _option(setting: Setting):
    """Return the option of one row of the table of settings."""
    words: dict[str, Any] = {"type": _type(setting), "metavar": _metavar(setting), "help": setting.help}
    if setting.part == RUN:
        words |= {"default": setting.usual, "show_default": True}
    return click.option(setting.option, **words)


def _metavar(setting: Setting) -> str | None:
    """Return what stands for a setting's value in the help; None where its choices do."""
    if setting.name == ENCODER:
        return f"{'|'.join(ENCODERS)}|FOLDER"
    if setting.choices:
        return None
    share = "RATE" if setting.name.endswith("rate") else "X"
    return {int: "N", float: share}.get(setting.type, setting.name.upper())


def _type(setting: Setting) -> click.ParamType:
    if setting.choices:
        return Choice(setting.choices, setting.aliases)
    if setting.type is int:
        return click.IntRange(min=setting.least)
    if setting.type is float:
        above = setting.least is None
        return click.FloatRange(setting.least or 0, setting.below, above, setting.below is not None)
    return click.STRING


RUN_FOLDERS = click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="[RUN]...")
BASE = click.option("--base", type=click.Path(path_type=Path), metavar="CLEAN",
                    help="The clean file that a delta is applied to  [default: the one next to it]")  # fmt: skip
SEED = click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True,
                    help="Seed of the initial weights and of the order of rows.")  # fmt: skip
RUNS = click.option("--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"),
                    show_default=True, metavar="FOLDER", help="The folder with the run folders.")  # fmt: skip
VERIFY = click.option("--no-verify", "verify", is_flag=True, flag_value=False, default=True,
                      help="Do not recompute the digests of the arrays.")  # fmt: skip
STOP_AFTER = click.option("--stop-after", type=Duration(), metavar="TIME",
                          help="End within this time, such as 8m, 1h30m or 90 (seconds): runs stop at the end of an "
                               "epoch, and the same command goes on later.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
CODE = click.option("--network", "code", metavar=EXPECTED,
                    help="Of a run with a network of its own: the file with its code, which is executed.")  # fmt: skip


def allow(code: str | None) -> None:
    """Let the code that an option CODE names be executed in this process."""
    if code is not None:
        own.named(code)
