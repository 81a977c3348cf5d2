"""The settings of a run, one class for each kind of network; the presets, and the identity that follows from them.

`table.SETTINGS` is the one table of what can be set. The options of the command line, the keys of the configuration,
the folder's name, the labels of tables and the nearest preset all follow from it. What decides a network for images is
in its spec (`benchmark.nn.networks`), and so do its presets: a new network is one file there. A new setting of the
training is a row there and a field of the class that has it; it must say in `absent` what it means that an older
configuration lacks it, so that the names of older runs stay.
"""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from benchmark.core import file_names, numbers
from benchmark.core.errors import Usage
from benchmark.core.hashing import digest
from benchmark.nn import cost
from benchmark.nn.networks import DEFAULT, IMAGE, TEXT, NetworkSpec
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.training.image_training import ImageTraining, check_training
from benchmark.training.recipes import RECIPES
from benchmark.training.table import ALWAYS, BY_NAME, MODEL, RUN, SETTINGS, SGD, TRAINING, Setting, option_of

_SHORT = {"tensorflow": "tf", "jax": "jax", "torch": "torch", "elsewhere": "predictions"}
MINILM = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors
TINY = {"width": 128, "depth": 2, "heads": 4, "inner": 256}  # a new encoder, trained from scratch


@dataclass(frozen=True, kw_only=True)
class Common(ABC):
    """What the settings of every network have. See `Settings` and `EncoderSettings`."""

    NETWORK: ClassVar[str]
    OPTIMIZER: ClassVar[str]
    MODALITY: ClassVar[str]  # of the files that it trains on
    CHOICE: ClassVar[str]  # the option that chooses one of the named settings
    USUAL: ClassVar[str]  # the one of them that is chosen without it

    epochs: int
    batch_size: int
    learning_rate: float
    hold_out: int
    seed: int = 0
    backend: str = "tensorflow"
    precision: str = "float32"
    threads: int = 2

    def __post_init__(self) -> None:
        for setting in self.table():
            setting.check(getattr(self, setting.name))

    @classmethod
    def table(cls) -> list[Setting]:
        """Return the rows of `SETTINGS` that this kind of network has, in the order of its fields, part by part."""
        own = [BY_NAME[one.name] for one in dataclasses.fields(cls) if one.name in BY_NAME]
        return sorted(own, key=lambda setting: (MODEL, TRAINING, RUN).index(setting.part))

    def part(self, part: str) -> dict[str, Any]:
        """Return the settings of a part of the configuration, but for those whose value goes without saying."""
        values = {setting.name: getattr(self, setting.name) for setting in self.table() if setting.part == part}
        return {name: value for name, value in values.items() if value != BY_NAME[name].absent}

    def model(self) -> dict[str, Any]:
        """Return what decides the network."""
        return self.part(MODEL)

    def training(self) -> dict[str, Any]:
        """Return what decides its training, but for the seed."""
        return self.part(TRAINING)

    @property
    @abstractmethod
    def preset(self) -> str:
        """Network and training in the name of a run's folder."""

    @property
    @abstractmethod
    def network(self) -> str:
        """The network in one or two words, for people."""

    @property
    def title(self) -> str:
        """The network, as titles call one."""
        return SPECS[self.NETWORK].title

    @property
    def plural(self) -> str:
        """The network, as titles call several."""
        return SPECS[self.NETWORK].plural

    @property
    def inputs(self) -> str:
        """What it classifies: `images` or `texts`."""
        return f"{self.MODALITY}s"

    @property
    def described(self) -> str:
        """The network and how it was trained: `pMoE (small, epochs 2)`."""
        return f"{self.title} ({label(self)})"

    @abstractmethod
    def nearest_preset(self) -> tuple[str, "Common"]:
        """Return the nearest named settings: the name, a value of the option `CHOICE`, and the settings."""

    def words(self) -> list[str]:
        """Return the settings, but for the seed and what is as usual, in a few words each: the name of the nearest
        named ones, then what differs from it."""
        name, named = self.nearest_preset()
        if DEFAULT[self.MODALITY] != self.NETWORK:
            name = f"{self.NETWORK} {name}"
        return [name, *_in_words({key: value for key, value in self.differences(named).items() if key != "seed"})]

    def choice(self) -> str:
        """Return what the option `CHOICE` must be given for the nearest named settings."""
        return self.nearest_preset()[0]

    def rows_of(self, available: int) -> int:
        """How many of the training rows of a file are trained on."""
        return max(1, available - self.hold_out)

    def packages(self) -> tuple[str, ...]:
        """Return the packages that this network needs beside a backend."""
        return ()

    def differences(self, other: "Common") -> dict[str, Any]:
        """Return what is not as in other settings of the same kind, field by field."""
        pairs = {one.name: (getattr(self, one.name), getattr(other, one.name)) for one in self.table()}
        return {name: mine for name, (mine, theirs) in pairs.items() if mine != theirs}

    def arguments(self) -> list[str]:
        """All settings as options of `benchmark train`, for another process."""
        values = {setting.option: getattr(self, setting.name) for setting in self.table()}
        return [*self.chosen_network(), *(f"{option}={value}" for option, value in values.items())]

    @classmethod
    def trains_on(cls, modality: str) -> bool:
        """Are files of this modality, `image` or `text`, those that it trains on?"""
        return modality == cls.MODALITY

    def chosen_network(self) -> list[str]:
        """Return the option that chooses the network; none where it is the usual one for what the file holds."""
        return [] if DEFAULT[self.MODALITY] == self.NETWORK else ["--network", self.NETWORK]


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
        return [self.network, *_in_words(shown)]

    def _changes(self, preset: "ImageSettings") -> int:
        """Count what of the network and its training is not as in a preset. Rows held out are for a defence, later."""
        return len([name for name in self.differences(preset) if BY_NAME[name].part != RUN and name != "hold_out"])


def _first(spec: NetworkSpec) -> dict[str, Any]:
    """Return the values of a network's usual preset."""
    return dict(next(iter(spec.presets.values())))


_PAPER, _MINILM = _first(SPECS["pmoe"]), _first(SPECS["encoder"])


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


def preset_names(network: str) -> list[str]:
    """Return what `--preset` may be given for a network for images: its own, the recipes, those for one source."""
    own = list(SPECS[network].presets)
    return [*own, *RECIPES, *(name for name in PRESETS_OF[network] if name not in own)]


def check_numbers(options: dict) -> None:
    """Raise `Usage` where a number among a command's options could not be read back from its result."""
    for key, value in options.items():
        if type(value) in (int, float) and not numbers.is_real(value):
            raise Usage(f"{option_of(key)}: expected a finite number within 64 bits, got {value!r:.40}")


def _class_of(spec: NetworkSpec) -> type[ImageSettings]:
    """Make the class of the settings of a network for images; the defaults are those of its first preset."""
    if spec.name == Settings.NETWORK:
        return Settings
    usual = _first(spec)
    types: dict[str, type] = {setting.name: setting.type for setting in spec.settings}
    types |= {one.name: one.type for one in SETTINGS if one.part == TRAINING and one.absent is ALWAYS}
    fields = [(name, kind, field(default=usual[name])) for name, kind in types.items()]
    words = {"NETWORK": spec.name, "USUAL": next(iter(spec.presets)), "__module__": __name__}
    name = f"{re.sub('[^A-Za-z0-9]', '', spec.name.title())}Settings"
    return dataclasses.make_dataclass(name, fields, bases=(ImageSettings,), frozen=True, kw_only=True, namespace=words)


def _presets(kind: type[ImageSettings], spec: NetworkSpec) -> dict[str, ImageSettings]:
    """Return a network's presets: its own, then those of the recipes, with the network as published."""
    own = {name: kind(**values) for name, values in spec.presets.items()}
    published = cost.published(spec)
    return own | {
        recipe.preset(source): kind(**(published | dict(values)))
        for recipe in RECIPES.values()
        for source, values in recipe.values.items()
    }


def _usual_first(spec: NetworkSpec) -> bool:
    return spec.name not in DEFAULT.values()


_IMAGES = {spec.name: _class_of(spec) for spec in sorted(SPECS.values(), key=_usual_first) if spec.of_images}
PRESETS_OF = {name: _presets(kind, SPECS[name]) for name, kind in _IMAGES.items()}
PRESETS: dict[str, Any] = PRESETS_OF[Settings.NETWORK]
ENCODERS = {
    "minilm": EncoderSettings(),
    "tiny": EncoderSettings(encoder="tiny", weights=None, **dict[str, Any](SPECS["encoder"].presets["tiny"])),
}
NETWORKS: dict[str, type[Common]] = {**_IMAGES, EncoderSettings.NETWORK: EncoderSettings}
"""What can be trained here, by the name of the network."""
KINDS = dict(NETWORKS)
"""All settings that a configuration can be of, by the name of the network in it."""


def config_of(settings: Common, dataset_digest: str) -> dict[str, Any]:
    """Return the whole configuration of a run; its digest names the run's folder."""
    return {
        "config_version": 1,
        "dataset_digest": dataset_digest,
        MODEL: {"name": settings.NETWORK} | settings.model(),
        TRAINING: {"optimizer": settings.OPTIMIZER} | settings.training(),
    } | settings.part(RUN)


def settings_of(config: dict) -> Common:
    """Return the settings that a configuration was made of. KeyError or TypeError where it is not a configuration."""
    kind = KINDS[config[MODEL]["name"]]
    values = {}
    for setting in kind.table():
        holder = config if setting.part == RUN else config[setting.part]
        values[setting.name] = (
            holder[setting.name] if setting.absent is ALWAYS else holder.get(setting.name, setting.absent)
        )
    return kind(**values)


def folder_name(settings: Common, dataset_name: str, dataset_digest: str) -> str:
    """Return a readable name that ends in the configuration's hash: `NAME--small-tf-t0-1a2b3c4d`; of a long NAME its
    beginning, so that the whole is a name that is read again."""
    identity = digest(config_of(settings, dataset_digest)).removeprefix("sha256:")[:8]
    end = f"--{settings.preset}-{_SHORT[settings.backend]}-t{settings.seed}-{identity}"
    return shortened(dataset_name, file_names.LONGEST - len(end.encode())) + end


def shortened(name: str, size: int) -> str:
    """Return the beginning of a name, at most `size` bytes of UTF-8."""
    return name.encode()[:size].decode(errors="ignore")


def options(settings: Common) -> list[str]:
    """Return the shortest command-line options that give these settings: the nearest preset and what differs from
    it."""
    nearest, preset = settings.nearest_preset()
    words = settings.chosen_network()
    words += [] if nearest == settings.USUAL else [option_of(settings.CHOICE), settings.choice()]
    for name, value in settings.differences(preset).items():
        words += [BY_NAME[name].option, str(value)]
    return words


def label(settings: Common) -> str:
    """Return the settings but for the seed, in a few words: `paper`, `small, epochs 2, backend jax`, `minilm, rows
    9000`, `width 1, epochs 7, batch size 8, learning rate 0.03`."""
    return ", ".join(dataclasses.replace(settings, seed=0).words())


def _in_words(values: Mapping[str, Any]) -> list[str]:
    return [f"{BY_NAME[name].words} {value}" for name, value in values.items()]
