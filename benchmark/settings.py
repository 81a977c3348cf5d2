"""The settings of a run, the presets, and the identity that follows from them."""

import dataclasses
from dataclasses import dataclass

from benchmark.errors import Usage
from benchmark.manifest import digest

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "tf32", "bfloat16")
_SHORT = {"tensorflow": "tf", "jax": "jax", "torch": "torch"}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the outcome of a run besides the data. The defaults are the paper's (section 4.1)."""

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

    def __post_init__(self):
        for name in ("width", "experts", "top_k", "epochs", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise Usage(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")
        for name in ("hold_out", "seed"):
            if getattr(self, name) < 0:
                raise Usage(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise Usage(f"--learning-rate must be above 0, got {self.learning_rate}")

    def model(self) -> dict:
        """What decides the network."""
        return {"width": self.width, "experts": self.experts, "top_k": self.top_k}

    def training(self) -> dict:
        """What decides its training, but for the seed."""
        names = ("epochs", "batch_size", "learning_rate", "hold_out")
        return {name: getattr(self, name) for name in names}

    @property
    def preset(self) -> str:
        """The preset that network and training are those of, else a few letters that say what differs."""
        for name, preset in PRESETS.items():
            if self.model() == preset.model() and self.training() == preset.training():
                return name
        return f"w{self.width}-e{self.epochs}"


PRESETS = {
    "paper": Settings(),
    "small": Settings(width=1, epochs=8),
    "tiny": Settings(width=1, epochs=9, batch_size=32, learning_rate=0.2),
}


def config_of(settings: Settings, dataset_digest: str) -> dict:
    """The whole configuration of a run; its digest names the run's folder."""
    return {
        "config_version": 1,
        "dataset_digest": dataset_digest,
        "model": {"name": "pmoe"} | settings.model(),
        "training": {"optimizer": "sgd"} | settings.training(),
        "seed": settings.seed,
        "backend": settings.backend,
        "precision": settings.precision,
        "threads": settings.threads,
    }


def settings_of(config: dict) -> Settings:
    """The settings that a configuration was made of."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    values = config | config["model"] | config["training"]
    return Settings(**{name: values[name] for name in fields})


def folder_name(settings: Settings, dataset_name: str, dataset_digest: str) -> str:
    """A readable name that ends in the configuration's hash: `NAME--small-tf-t0-1a2b3c4d`."""
    identity = digest(config_of(settings, dataset_digest)).removeprefix("sha256:")[:8]
    return f"{dataset_name}--{settings.preset}-{_SHORT[settings.backend]}-t{settings.seed}-{identity}"


def options(settings: Settings) -> list[str]:
    """The shortest command-line options that give these settings: the nearest preset and what differs from it."""

    def differences(preset: Settings) -> dict:
        pairs = ((name, getattr(settings, name)) for name in (field.name for field in dataclasses.fields(Settings)))
        return {name: value for name, value in pairs if value != getattr(preset, name)}

    name = min(PRESETS, key=lambda name: len(differences(PRESETS[name])))
    words = [] if name == "paper" else ["--preset", name]
    for key, value in differences(PRESETS[name]).items():
        words += [f"--{key.replace('_', '-')}", str(value)]
    return words


def label(settings: Settings) -> str:
    """The settings but for the seed, in a few words: `paper`, `small, epochs 2, backend jax`."""
    words = options(dataclasses.replace(settings, seed=0))
    if words[:1] != ["--preset"]:
        words = ["--preset", "paper", *words]
    pairs = [
        f"{key.removeprefix('--').replace('-', ' ')} {value}"
        for key, value in zip(words[::2], words[1::2], strict=True)
    ]
    return ", ".join(pairs).removeprefix("preset ")
