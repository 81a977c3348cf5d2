"""The settings of a run, one class a kind of network; the presets, and the identity that follows from them."""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import naming, numbers
from benchmark.errors import Usage
from benchmark.manifest import TEXT, digest

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "tf32", "bfloat16")
_SHORT = {"tensorflow": "tf", "jax": "jax", "torch": "torch"}
MINILM = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors
TINY = {"width": 128, "depth": 2, "heads": 4, "inner": 256}  # a new encoder, trained from scratch


class Common(ABC):
    """What the settings of every network have. See `Settings` and `EncoderSettings`."""

    NETWORK: str
    OPTIMIZER: str
    MODALITY: str  # of the files that it trains on
    MODEL: tuple[str, ...]  # the fields that decide the network
    TRAINING = ("epochs", "batch_size", "learning_rate", "hold_out")  # those that decide its training

    def __post_init__(self):
        for name in ("width", "experts", "top_k", "epochs", "batch_size", "threads", "rows", "hold_out", "seed"):
            value = getattr(self, name, 0)
            absent = name == "rows" and value is None
            if not absent and not (type(value) is int and abs(value) <= numbers.LARGEST):
                raise Usage(f"--{name.replace('_', '-')} must be a whole number, got {value!r:.40}")
        if not numbers.is_real(self.learning_rate):
            raise Usage(f"--learning-rate must be a number, got {self.learning_rate!r:.40}")
        for name in ("width", "experts", "top_k", "epochs", "batch_size", "threads", "rows"):
            if getattr(self, name, None) is not None and getattr(self, name) < 1:
                raise Usage(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        for name in ("hold_out", "seed"):
            if getattr(self, name) < 0:
                raise Usage(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise Usage(f"--learning-rate must be above 0, got {self.learning_rate}")
        if self.backend not in BACKENDS or self.precision not in PRECISIONS:
            raise Usage(f"no backend or precision here: {self.backend!r:.40}, {self.precision!r:.40}")

    def model(self) -> dict:
        """What decides the network."""
        return {name: getattr(self, name) for name in self.MODEL if getattr(self, name) is not None}

    def training(self) -> dict:
        """What decides its training, but for the seed."""
        return {name: getattr(self, name) for name in self.TRAINING if getattr(self, name) is not None}

    @abstractmethod
    def like(self) -> tuple[list[str], "Common"]:
        """The nearest preset: the options that choose it, none for the usual one, and its settings."""

    def differences(self, other: "Common") -> dict:
        """What is not as in other settings, field by field, but for what `like` chooses already."""
        names = [one.name for one in dataclasses.fields(self) if one.compare]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(other, name)}

    def arguments(self) -> list[str]:
        """All settings as options of `benchmark train`, for another process."""
        return [f"--{name.replace('_', '-')}={value}" for name, value in dataclasses.asdict(self).items()]


@dataclass(frozen=True)
class Settings(Common):
    """Everything that decides the outcome of a run of the pMoE besides the data. The defaults are the paper's (section
    4.1)."""

    NETWORK = "pmoe"
    OPTIMIZER = "sgd"
    MODALITY = "image"
    MODEL = ("width", "experts", "top_k")

    width: int = 10
    experts: int = 4
    top_k: int = 16
    epochs: int = 25
    batch_size: int = 128
    learning_rate: float = 0.1
    hold_out: int = 0
    seed: int = 0
    backend: str = "tensorflow"
    precision: str = "float32"
    threads: int = 2

    @property
    def preset(self) -> str:
        """The preset that network and training are those of, else a few letters that say what differs."""
        for name, preset in PRESETS.items():
            if self.model() == preset.model() and self.training() == preset.training():
                return name
        return f"w{self.width}-e{self.epochs}"

    def like(self) -> tuple[list[str], Common]:
        """See `Common`."""
        name = min(PRESETS, key=lambda name: len(self.differences(PRESETS[name])))
        return ([] if name == "paper" else ["--preset", name]), PRESETS[name]


@dataclass(frozen=True)
class EncoderSettings(Common):
    """Everything that decides the outcome of a run of a text encoder besides the data.

    `encoder` is `minilm`, `tiny` or the name of a folder in the Hugging Face layout; `weights` says which weights it
    starts from (of a folder, the digest of its three files; None for `tiny`, which has none). `folder` is where a
    folder lies, on this machine and today. `rows`: how many training rows are taken, None for all.
    """

    NETWORK = "encoder"
    OPTIMIZER = "adamw"
    MODALITY = TEXT
    MODEL = ("encoder", "weights")
    TRAINING = (*Common.TRAINING, "rows")

    encoder: str = "minilm"
    weights: str | None = MINILM
    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-4
    hold_out: int = 2000
    rows: int | None = None
    seed: int = 0
    backend: str = "tensorflow"
    precision: str = "float32"
    threads: int = 2
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.encoder, str) or not isinstance(self.weights, str | None):
            raise Usage(f"--encoder: expected a name, got {self.encoder!r:.40} of {self.weights!r:.40}")

    def model(self) -> dict:
        """See `Common`."""
        return super().model() | (TINY if self.weights is None else {})

    @property
    def preset(self) -> str:
        """The encoder's name, and a few letters that say what differs from its usual training."""
        usual = self.like()[1].training()
        letters = {"rows": "r", "epochs": "e", "learning_rate": "lr", "batch_size": "b", "hold_out": "h"}
        differing = [f"{letters[name]}{value}" for name, value in self.training().items() if usual.get(name) != value]
        return "-".join([self.encoder, *differing])

    def like(self) -> tuple[list[str], Common]:
        """See `Common`."""
        usual = ENCODERS.get(self.encoder) or dataclasses.replace(ENCODERS["minilm"], encoder=self.encoder)
        chosen = [] if self.encoder == "minilm" else ["--encoder", str(self.folder or self.encoder)]
        return chosen, dataclasses.replace(usual, weights=self.weights)

    def arguments(self) -> list[str]:
        """See `Common`."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        said |= {"encoder": str(said.pop("folder", self.encoder))}
        said.pop("weights", None)
        return [f"--{name.replace('_', '-')}={value}" for name, value in said.items()]


def check_numbers(options: dict) -> None:
    """`Usage` where a number among a command's options could not be read back from its result."""
    for key, value in options.items():
        if type(value) in (int, float) and not numbers.is_real(value):
            raise Usage(f"--{key.replace('_', '-')}: expected a finite number within 64 bits, got {value!r:.40}")


PRESETS = {
    "paper": Settings(),
    "small": Settings(width=1, epochs=8),
    "tiny": Settings(width=1, epochs=9, batch_size=32, learning_rate=0.2),
}
ENCODERS = {
    "minilm": EncoderSettings(),
    "tiny": EncoderSettings(encoder="tiny", weights=None, epochs=12, batch_size=32, learning_rate=5e-4),
}
NETWORKS = {kind.NETWORK: kind for kind in (Settings, EncoderSettings)}
FOR_MODALITY = {kind.MODALITY: kind.NETWORK for kind in NETWORKS.values()}


def config_of(settings: Common, dataset_digest: str) -> dict:
    """The whole configuration of a run; its digest names the run's folder."""
    return {
        "config_version": 1,
        "dataset_digest": dataset_digest,
        "model": {"name": settings.NETWORK} | settings.model(),
        "training": {"optimizer": settings.OPTIMIZER} | settings.training(),
        "seed": settings.seed,
        "backend": settings.backend,
        "precision": settings.precision,
        "threads": settings.threads,
    }


def settings_of(config: dict) -> Common:
    """The settings that a configuration was made of. KeyError or TypeError where it is none."""
    kind = NETWORKS[config["model"]["name"]]
    values = config | config["model"] | config["training"]
    needed = [one.name for one in dataclasses.fields(kind) if one.compare]
    absent = dict.fromkeys(("weights", "rows")) if kind is EncoderSettings else {}
    return kind(**{name: values[name] if name in values else absent[name] for name in needed})


def folder_name(settings: Common, dataset_name: str, dataset_digest: str) -> str:
    """A readable name that ends in the configuration's hash: `NAME--small-tf-t0-1a2b3c4d`; of a long NAME its
    beginning, so that the whole is a name that is read again."""
    identity = digest(config_of(settings, dataset_digest)).removeprefix("sha256:")[:8]
    end = f"--{settings.preset}-{_SHORT[settings.backend]}-t{settings.seed}-{identity}"
    return shortened(dataset_name, naming.LONGEST - len(end.encode())) + end


def shortened(name: str, size: int) -> str:
    """The beginning of a name, at most `size` bytes of UTF-8."""
    return name.encode()[:size].decode(errors="ignore")


def options(settings: Common) -> list[str]:
    """The shortest command-line options that give these settings: the nearest preset and what differs from it."""
    words, preset = settings.like()
    for key, value in settings.differences(preset).items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return words


def label(settings: Common) -> str:
    """The settings but for the seed, in a few words: `paper`, `small, epochs 2, backend jax`, `minilm, rows 9000`."""
    settings = dataclasses.replace(settings, seed=0)
    chosen, preset = settings.like()
    name = settings.encoder if isinstance(settings, EncoderSettings) else (chosen or ["", "paper"])[1]
    pairs = [f"{key.replace('_', ' ')} {value}" for key, value in settings.differences(preset).items()]
    return ", ".join([name, *pairs])
