"""The settings of a run, one class for each kind of network, and the presets.

`table.SETTINGS` is the one table of what can be set. The options of the command line, the keys of the configuration,
the folder's name, the labels of tables and the nearest preset all follow from it. What decides a network for images is
in its spec (`benchmark.nn.networks`), and so do its presets: a new network is one file there. A new setting of the
training is a row there and a field of the class that has it; it must say in `absent` what it means that an older
configuration lacks it, so that the names of older runs stay.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmark.nn.networks import DEFAULT, IMAGE, TEXT
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.training import preset_values
from benchmark.training.common import Common, in_words
from benchmark.training.image_training import ImageTraining, check_training
from benchmark.training.table import ALWAYS, BY_NAME, RUN, SETTINGS, SGD, TRAINING, option_of

OWN, PREDICTIONS = "own", "predictions"
"""In a configuration: a network of one's own, one that was trained elsewhere."""

T = TypeVar("T")
MINILM = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors
TINY = {"width": 128, "depth": 2, "heads": 4, "inner": 256}  # a new encoder, trained from scratch


@dataclass(frozen=True, kw_only=True)
class ImageSettings(ImageTraining, Common):
    """Everything that decides the outcome of a run of a network for images besides the data.

    Each network has its own class, with what decides it as fields.
    """

    OPTIMIZER = SGD
    MODALITY = IMAGE
    CHOICE = "preset"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_training(self)

    @property
    def presets(self) -> dict[str, "ImageSettings"]:
        """The named settings of this network."""
        return PRESETS_OF[self.NETWORK]

    @property
    def preset(self) -> str:
        """The preset that network and training are those of, else a few letters that say what differs."""
        for name, preset in self.presets.items():
            if self.model() == preset.model() and self.training() == preset.training():
                return self._named(name)
        letters = [f"{name[0]}{value}" for name, value in self._shown().items()]
        return self._named("-".join([*letters, f"e{self.epochs}", *self._letters()]))

    def _letters(self) -> list[str]:
        """Return what stands in the name of a folder for the settings that are not as they go without saying."""
        given = self.model() | self.training()
        optional = [BY_NAME[name] for name in given if name in BY_NAME and BY_NAME[name].absent is not ALWAYS]
        return [f"{setting.letter}{given[setting.name]}" for setting in optional]

    def _shown(self) -> dict[str, Any]:
        """Return what of the network stands in the name of a folder: what is not the same in all its presets."""
        own = {name: value for name, value in self.model().items() if BY_NAME[name].absent is ALWAYS}
        usual = self.presets.values()
        return {name: value for name, value in own.items() if {getattr(one, name) for one in usual} != {value}}

    def _named(self, words: str) -> str:
        return words if DEFAULT[IMAGE] == self.NETWORK else f"{self.NETWORK}-{words}"

    @property
    def network(self) -> str:
        """See `Common`."""
        return ", ".join([self.NETWORK, *(f"{BY_NAME[name].words} {value}" for name, value in self.model().items())])

    def nearest_preset(self) -> tuple[str, "ImageSettings"]:
        """See `Common`."""
        name = min(self.presets, key=lambda name: len(self.differences(self.presets[name])))
        return name, self.presets[name]

    def words(self) -> list[str]:
        """See `Common`. Settings that are not near one preset alone are not called by its name."""
        changes = [self._changes(preset) for preset in self.presets.values()]
        if min(changes) <= 1 and changes.count(min(changes)) == 1:
            return super().words()
        shown = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate")}
        others = self.differences(self.presets[self.USUAL])
        shown |= {name: value for name, value in others.items() if name not in self._shown() and name != "seed"}
        return [self.network, *in_words(shown)]

    def _changes(self, preset: "ImageSettings") -> int:
        """Count what of the network and its training is not as in a preset. Rows held out are for a defence, later."""
        return len([name for name in self.differences(preset) if BY_NAME[name].part != RUN and name != "hold_out"])


_PAPER, _MINILM = preset_values.first(SPECS["pmoe"]), preset_values.first(SPECS["encoder"])


@dataclass(frozen=True, kw_only=True)
class Settings(ImageSettings):
    """Everything that decides the outcome of a run of the pMoE besides the data. The defaults are the paper's (section
    4.1)."""

    NETWORK = "pmoe"
    USUAL = "paper"

    width: int = _PAPER["width"]
    experts: int = _PAPER["experts"]
    top_k: int = _PAPER["top_k"]
    epochs: int = _PAPER["epochs"]
    batch_size: int = _PAPER["batch_size"]
    learning_rate: float = _PAPER["learning_rate"]
    hold_out: int = _PAPER["hold_out"]

    def _shown(self) -> dict[str, Any]:
        return {"width": self.width}

    @property
    def network(self) -> str:
        """See `Common`."""
        return f"width {self.width}"


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(Common):
    """Everything that decides the outcome of a run of a text encoder besides the data.

    `encoder` is `minilm`, `tiny` or the name of a folder in the Hugging Face layout; `weights` says which weights it
    starts from (of a folder, the digest of its three files; None for `tiny`, which has none). `folder` is where that
    folder is on this machine today, and not part of the configuration. `rows`: number of training rows, None for all.
    """

    NETWORK = "encoder"
    OPTIMIZER = "adamw"
    MODALITY = TEXT
    CHOICE = "encoder"
    USUAL = "minilm"

    encoder: str = "minilm"
    weights: str | None = MINILM
    epochs: int = _MINILM["epochs"]
    batch_size: int = _MINILM["batch_size"]
    learning_rate: float = _MINILM["learning_rate"]
    hold_out: int = _MINILM["hold_out"]
    rows: int | None = None
    folder: Path | None = field(default=None, compare=False)

    def model(self) -> dict[str, Any]:
        """See `Common`."""
        return super().model() | (TINY if self.weights is None else {})

    @property
    def preset(self) -> str:
        """The encoder's name, and a few letters that say what differs from its usual training."""
        usual = self.nearest_preset()[1].training()
        differing = {name: value for name, value in self.training().items() if usual.get(name) != value}
        return "-".join([self.encoder, *(f"{BY_NAME[name].letter}{value}" for name, value in differing.items())])

    @property
    def network(self) -> str:
        """See `Common`."""
        return self.encoder

    def nearest_preset(self) -> tuple[str, "EncoderSettings"]:
        """See `Common`."""
        usual = ENCODERS.get(self.encoder) or dataclasses.replace(ENCODERS[self.USUAL], encoder=self.encoder)
        return self.encoder, dataclasses.replace(usual, weights=self.weights)

    def choice(self) -> str:
        """See `Common`; a folder is named by its path."""
        return str(self.folder or self.encoder)

    def packages(self) -> tuple[str, ...]:
        """See `Common`; a new encoder makes its own tokenizer."""
        return () if self.weights is None else ("tokenizers", "safetensors")

    def rows_of(self, available: int) -> int:
        """See `Common`."""
        rows = super().rows_of(available)
        return min(rows, self.rows or rows)

    def arguments(self) -> list[str]:
        """See `Common`; the weights follow from the encoder."""
        values = {setting.option: getattr(self, setting.name) for setting in self.table() if setting.name != "weights"}
        values[option_of(self.CHOICE)] = self.choice()
        return [f"{option}={value}" for option, value in values.items() if value is not None]


class _Made(Mapping[str, T]):
    """Something of each network, made when it is first asked for: a class and its presets take milliseconds, and most
    commands need those of one network."""

    def __init__(self, names: Iterable[str], make: Callable[[str], T]):
        self._names, self._make = tuple(names), functools.cache(make)

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _class_of(network: str) -> type[ImageSettings]:
    """Make the class of the settings of a network for images; the defaults are those of its first preset."""
    if network == Settings.NETWORK:
        return Settings
    spec = SPECS[network]
    usual = preset_values.first(spec)
    types: dict[str, type] = {setting.name: setting.type for setting in spec.settings}
    types |= {one.name: one.type for one in SETTINGS if one.part == TRAINING and one.absent is ALWAYS}
    fields = [(name, kind, field(default=usual[name])) for name, kind in types.items()]
    words = {"NETWORK": spec.name, "USUAL": next(iter(spec.presets)), "__module__": __name__}
    name = f"{re.sub('[^A-Za-z0-9]', '', spec.name.title())}Settings"
    return dataclasses.make_dataclass(name, fields, bases=(ImageSettings,), frozen=True, kw_only=True, namespace=words)


def _presets(network: str) -> dict[str, ImageSettings]:
    """Return a network's presets: its own, then those of the recipes, with the network as published."""
    return {name: _IMAGES[network](**values) for name, values in preset_values.every(SPECS[network]).items()}


_IMAGES = _Made(preset_values.IMAGE_NETWORKS, _class_of)
PRESETS_OF = _Made(_IMAGES, _presets)
PRESETS: dict[str, Any] = PRESETS_OF[Settings.NETWORK]
ENCODERS = {
    "minilm": EncoderSettings(),
    "tiny": EncoderSettings(encoder="tiny", weights=None, **dict[str, Any](SPECS["encoder"].presets["tiny"])),
}


def _kind(network: str) -> type[Common]:
    """Return the class of the settings of a network, by its name in a configuration."""
    if network == OWN:
        from benchmark.training.own import OwnSettings

        return OwnSettings
    if network == PREDICTIONS:
        from benchmark.training.predicted import PredictedSettings

        return PredictedSettings
    return EncoderSettings if network == EncoderSettings.NETWORK else _IMAGES[network]


NETWORKS = _Made(preset_values.NETWORKS, _kind)
"""What can be trained here, by the name of the network."""
KINDS = _Made((*preset_values.NETWORKS, OWN, PREDICTIONS), _kind)
"""All settings that a configuration can be of, by the name of the network in it."""
