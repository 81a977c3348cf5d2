"""The settings of a run, one class for each kind of network; the presets, and the identity that follows from them.

`SETTINGS` is the one table of what can be set. The options of the command line, the keys of the configuration, the
folder's name, the labels of tables and the nearest preset all follow from it: a new setting is a new row there and a
field of the class that has it. It must say in `absent` what it means that an older configuration lacks it, so that the
names of older runs stay.
"""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.core import file_names, numbers
from benchmark.core.errors import Usage
from benchmark.format.manifest import TEXT, digest
from benchmark.nn.networks import DEFAULT, IMAGE, NetworkSpec
from benchmark.nn.networks import NETWORKS as SPECS

if TYPE_CHECKING:
    from typing_extensions import Self

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "tf32", "bfloat16")
_SHORT = {"tensorflow": "tf", "jax": "jax", "torch": "torch"}
MINILM = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors
TINY = {"width": 128, "depth": 2, "heads": 4, "inner": 256}  # a new encoder, trained from scratch
MODEL, TRAINING, RUN = "model", "training", "run"  # the parts of a configuration
_ALWAYS = object()  # of settings that are in every configuration


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings.

    `part` of the configuration it belongs to; `type` of its value; `least` possible value of a whole number; `choices`
    of a word; `absent`: the value that a configuration without it has; `letter`: what stands for it in the name of an
    encoder's folder; `help` of its option.
    """

    name: str
    part: str
    type: type
    least: int | None = None
    choices: tuple[str, ...] = ()
    absent: Any = _ALWAYS
    letter: str = ""
    help: str = ""

    @property
    def option(self) -> str:
        """As it is spelled on the command line: `--learning-rate`."""
        return option_of(self.name)

    @property
    def words(self) -> str:
        """As it is called in tables: `learning rate`."""
        return self.name.replace("_", " ")

    def check(self, value: Any) -> None:
        """Raise `Usage` where a value is not one of this setting's."""
        if value is None and self.absent is None:
            return
        if self.choices and value not in self.choices:
            raise Usage(f"{self.option}: expected one of {', '.join(self.choices)}, got {value!r:.40}")
        if self.type is int:
            self._check_whole(value)
        elif self.type is float:
            if not numbers.is_real(value):
                raise Usage(f"{self.option} must be a number, got {value!r:.40}")
            if value <= 0:
                raise Usage(f"{self.option} must be above 0, got {value}")
        elif not isinstance(value, str):
            raise Usage(f"{self.option}: expected a name, got {value!r:.40}")

    def _check_whole(self, value: Any) -> None:
        if not (type(value) is int and abs(value) <= numbers.LARGEST):
            raise Usage(f"{self.option} must be a whole number, got {value!r:.40}")
        if value < (self.least or 0):
            raise Usage(
                f"{self.option} must {f'be at least {self.least}' if self.least else 'not be negative'}, got {value}"
            )


def _of_networks() -> list[Setting]:
    """Return what the registered networks have to be set, each name once."""
    least: dict[str, int] = {}
    words: dict[str, list[str]] = {}
    for spec in SPECS.values():
        for one in spec.settings:
            least[one.name] = min(one.least, least.get(one.name, one.least))
            words.setdefault(one.name, []).append(f"{spec.name}: {one.help}")
    return [Setting(name, MODEL, int, least[name], help=f"{'; '.join(words[name])}.") for name in least]


SETTINGS = (
    *_of_networks(),
    Setting("encoder", MODEL, str,
            help="encoder: minilm (MiniLM-L6), tiny (two layers, trained from scratch), or a folder in the Hugging "
                 "Face layout  [default: minilm]"),
    Setting("weights", MODEL, str, absent=None),  # follows from --encoder
    Setting("epochs", TRAINING, int, 1, letter="e", help="Number of training epochs."),
    Setting("batch_size", TRAINING, int, 1, letter="b", help="Rows per training step."),
    Setting("learning_rate", TRAINING, float, letter="lr", help="Of SGD (pmoe); initial rate of AdamW (encoder)."),
    Setting("hold_out", TRAINING, int, 0, letter="h",
            help="Training rows left out for defences, the same rows in every run on a source  [default: 0 (pmoe), "
                 "2000 (encoder)]"),
    Setting("rows", TRAINING, int, 1, absent=None, letter="r",
            help="encoder: number of training rows to use, the same in every run on a source  [default: all]"),
    Setting("seed", RUN, int, 0, help="Seed of the initial weights and of the order of rows."),
    Setting("backend", RUN, str, choices=BACKENDS, help="Keras backend."),
    Setting("precision", RUN, str, choices=PRECISIONS,
            help="tf32: the GPU's reduced-precision float32; bfloat16: mixed precision."),
    Setting("threads", RUN, int, 1,
            help="CPU threads; affects the last digits of results, so it is part of the configuration."),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}


def option_of(name: str) -> str:
    """A keyword as an option of the command line: `hold_out` as `--hold-out`."""
    return f"--{name.replace('_', '-')}"


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
        """The rows of `SETTINGS` that this kind of network has."""
        own = {one.name for one in dataclasses.fields(cls)}
        return [setting for setting in SETTINGS if setting.name in own]

    def part(self, part: str) -> dict[str, Any]:
        """The settings of a part of the configuration, but for those whose value goes without saying."""
        values = {setting.name: getattr(self, setting.name) for setting in self.table() if setting.part == part}
        return {name: value for name, value in values.items() if value != BY_NAME[name].absent}

    def model(self) -> dict[str, Any]:
        """What decides the network."""
        return self.part(MODEL)

    def training(self) -> dict[str, Any]:
        """What decides its training, but for the seed."""
        return self.part(TRAINING)

    @property
    @abstractmethod
    def preset(self) -> str:
        """Network and training in the name of a run's folder."""

    @property
    @abstractmethod
    def network(self) -> str:
        """The network in one or two words, for people."""

    @abstractmethod
    def nearest_preset(self) -> tuple[str, "Common"]:
        """The nearest named settings: the name, a value of the option `CHOICE`, and the settings."""

    def choice(self) -> str:
        """What the option `CHOICE` must be given for the nearest named settings."""
        return self.nearest_preset()[0]

    def rows_of(self, available: int) -> int:
        """How many of the training rows of a file are trained on."""
        return max(1, available - self.hold_out)

    def packages(self) -> tuple[str, ...]:
        """The packages that this network needs beside a backend."""
        return ()

    def differences(self, other: "Common") -> dict[str, Any]:
        """What is not as in other settings of the same kind, field by field."""
        pairs = {one.name: (getattr(self, one.name), getattr(other, one.name)) for one in self.table()}
        return {name: mine for name, (mine, theirs) in pairs.items() if mine != theirs}

    def arguments(self) -> list[str]:
        """All settings as options of `benchmark train`, for another process."""
        values = {setting.option: getattr(self, setting.name) for setting in self.table()}
        return [f"{option}={value}" for option, value in values.items()]


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Common):
    """Everything that decides the outcome of a run of a network for images besides the data.

    Fields and presets follow from its `NetworkSpec`; a field's default is the value in the first preset.
    """

    OPTIMIZER = "sgd"
    MODALITY = IMAGE
    CHOICE = "preset"

    @classmethod
    def presets(cls) -> "dict[str, Self]":
        """The presets of this network, by name."""
        return {name: cls(**values) for name, values in SPECS[cls.NETWORK].presets.items()}

    @property
    def preset(self) -> str:
        """The network, and the preset that it is of or what differs."""
        return f"{self.NETWORK}-{self.same_preset() or f'e{self.epochs}'}"

    def same_preset(self) -> str | None:
        """The preset that network and training are those of."""
        mine = self.model(), self.training()
        return next((name for name, one in self.presets().items() if (one.model(), one.training()) == mine), None)

    @property
    def network(self) -> str:
        """See `Common`."""
        return self.NETWORK

    def nearest_preset(self) -> "tuple[str, Self]":
        """See `Common`."""
        presets = self.presets()
        name = min(presets, key=lambda name: len(self.differences(presets[name])))
        return name, presets[name]


@dataclass(frozen=True, kw_only=True)
class Settings(ImageSettings):
    """Everything that decides the outcome of a run of the pMoE besides the data. The defaults are the paper's (section
    4.1)."""

    NETWORK = "pmoe"
    USUAL = "paper"

    width: int = 10
    experts: int = 4
    top_k: int = 16
    epochs: int = 25
    batch_size: int = 128
    learning_rate: float = 0.1
    hold_out: int = 0

    @property
    def preset(self) -> str:
        """The preset that network and training are those of, else a few letters that say what differs."""
        return self.same_preset() or f"w{self.width}-e{self.epochs}"

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
    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-4
    hold_out: int = 2000
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


def check_numbers(options: dict) -> None:
    """Raise `Usage` where a number among a command's options could not be read back from its result."""
    for key, value in options.items():
        if type(value) in (int, float) and not numbers.is_real(value):
            raise Usage(f"{option_of(key)}: expected a finite number within 64 bits, got {value!r:.40}")


def _settings_class(spec: NetworkSpec) -> type[ImageSettings]:
    """Make the settings of a network for images that has no class of its own here."""
    usual, first = next(iter(spec.presets.items()))
    fields = [(name, float if name == "learning_rate" else int, field(default=value)) for name, value in first.items()]
    made = dataclasses.make_dataclass(
        f"{spec.name.capitalize()}Settings",
        fields,
        bases=(ImageSettings,),
        namespace={"NETWORK": spec.name, "USUAL": usual, "__doc__": f"The settings of {spec.title}."},
        frozen=True,
        kw_only=True,
    )
    return made


PRESETS = Settings.presets()
ENCODERS = {
    name: EncoderSettings(encoder=name, weights=MINILM if name == "minilm" else None, **values)
    for name, values in SPECS[EncoderSettings.NETWORK].presets.items()
}
_OWN: dict[str, type[Common]] = {kind.NETWORK: kind for kind in (Settings, EncoderSettings)}
NETWORKS: dict[str, type[Common]] = {name: _OWN.get(name) or _settings_class(spec) for name, spec in SPECS.items()}
FOR_MODALITY = dict(DEFAULT)


def config_of(settings: Common, dataset_digest: str) -> dict[str, Any]:
    """The whole configuration of a run; its digest names the run's folder."""
    return {
        "config_version": 1,
        "dataset_digest": dataset_digest,
        MODEL: {"name": settings.NETWORK} | settings.model(),
        TRAINING: {"optimizer": settings.OPTIMIZER} | settings.training(),
    } | settings.part(RUN)


def settings_of(config: dict) -> Common:
    """The settings that a configuration was made of. KeyError or TypeError where it is not a configuration."""
    kind = NETWORKS[config[MODEL]["name"]]
    values = {}
    for setting in kind.table():
        holder = config if setting.part == RUN else config[setting.part]
        values[setting.name] = (
            holder[setting.name] if setting.absent is _ALWAYS else holder.get(setting.name, setting.absent)
        )
    return kind(**values)


def folder_name(settings: Common, dataset_name: str, dataset_digest: str) -> str:
    """A readable name that ends in the configuration's hash: `NAME--small-tf-t0-1a2b3c4d`; of a long NAME its
    beginning, so that the whole is a name that is read again."""
    identity = digest(config_of(settings, dataset_digest)).removeprefix("sha256:")[:8]
    end = f"--{settings.preset}-{_SHORT[settings.backend]}-t{settings.seed}-{identity}"
    return shortened(dataset_name, file_names.LONGEST - len(end.encode())) + end


def shortened(name: str, size: int) -> str:
    """The beginning of a name, at most `size` bytes of UTF-8."""
    return name.encode()[:size].decode(errors="ignore")


def options(settings: Common) -> list[str]:
    """The shortest command-line options that give these settings: the nearest preset and what differs from it."""
    nearest, preset = settings.nearest_preset()
    words = [] if nearest == settings.USUAL else [option_of(settings.CHOICE), settings.choice()]
    for name, value in settings.differences(preset).items():
        words += [BY_NAME[name].option, str(value)]
    return words


def label(settings: Common) -> str:
    """The settings but for the seed, in a few words: `paper`, `small, epochs 2, backend jax`, `minilm, rows 9000`."""
    settings = dataclasses.replace(settings, seed=0)
    name, preset = settings.nearest_preset()
    if DEFAULT[settings.MODALITY] != settings.NETWORK:
        name = f"{settings.NETWORK} {name}"
    pairs = [f"{BY_NAME[key].words} {value}" for key, value in settings.differences(preset).items()]
    return ", ".join([name, *pairs])
