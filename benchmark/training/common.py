"""What the settings of every network have in common, and how they are said in words."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmark.core import numbers
from benchmark.core.errors import Usage
from benchmark.nn.networks import DEFAULT
from benchmark.nn.networks import NETWORKS as SPECS
from benchmark.training.table import BY_NAME, MODEL, RUN, TRAINING, Setting, check_single, option_of


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
    seed: int = BY_NAME["seed"].usual
    backend: str = BY_NAME["backend"].usual
    precision: str = BY_NAME["precision"].usual
    threads: int = BY_NAME["threads"].usual

    def __post_init__(self) -> None:
        for setting in self.table():
            value = getattr(self, setting.name)
            setting.check(value)
            if setting.type is float:  # 1 and 1.0 are the same run, and their digests are not
                object.__setattr__(self, setting.name, float(value))

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
        return [name, *in_words({key: value for key, value in self.differences(named).items() if key != "seed"})]

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


def label(settings: Common) -> str:
    """Return the settings but for the seed, in a few words: `paper`, `small, epochs 2, backend jax`, `minilm, rows
    9000`, `width 1, epochs 7, batch size 8, learning rate 0.03`."""
    return ", ".join(dataclasses.replace(settings, seed=0).words())


def in_words(values: Mapping[str, Any]) -> list[str]:
    """Return settings by name as tables say them: `learning rate 0.03`."""
    return [f"{BY_NAME[name].words} {value}" for name, value in values.items()]


def check_numbers(options: dict) -> None:
    """Raise `Usage` where a number among a command's options could not be read back from its result, or is another in
    float32, with which it is computed."""
    for key, value in options.items():
        if type(value) in (int, float) and not numbers.is_real(value):
            raise Usage(f"{option_of(key)}: expected a finite number within 64 bits, got {value!r:.40}")
        if type(value) is float:
            check_single(option_of(key), value)
