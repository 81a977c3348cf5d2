"""The settings of a network of one's own: which code it is, and how it is trained."""

import re
from dataclasses import dataclass, field
from typing import Any

from benchmark.core.errors import Usage
from benchmark.nn import own
from benchmark.training.common import label
from benchmark.training.settings import OWN, ImageSettings
from benchmark.training.table import ADAMW, ALWAYS, BY_NAME, COSINE, MODEL, Setting

DEFAULT = "default"
LONGEST = 100  # characters of a file's name
_IN_FOLDER = 40
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class OwnSettings(ImageSettings):
    """Everything that decides the outcome of a run of such a network besides the data.

    `file` is the name of the file with the code, `digest` its SHA-256, `function` what builds the network; `source` is
    where the code is on this machine today, and not part of the configuration.
    """

    NETWORK = OWN
    USUAL = DEFAULT

    file: str
    function: str
    digest: str
    source: own.Source | None = field(default=None, compare=False, repr=False)
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 1e-3
    hold_out: int = 0
    optimizer: str = ADAMW  # which trains most networks, whatever they are
    schedule: str = COSINE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < len(self.file) <= LONGEST and self.file.isprintable()):
            raise Usage(f"--network: expected a file of a printable name of at most {LONGEST}, got {self.file!r:.120}")
        if not (self.function.isidentifier() and len(self.function) <= LONGEST):
            raise Usage(f"--network: expected the name of a function, got {self.function!r:.120}")
        if not _DIGEST.fullmatch(self.digest):
            raise Usage(f"--network: expected a SHA-256, got {self.digest!r:.80}")

    @classmethod
    def of(cls, network: str, **given: Any) -> "OwnSettings":
        """Return the settings for `FILE.py:FUNCTION`, which may be executed from now on. Raises as `own.named`."""
        source = own.named(network)
        return cls(
            file=source.path.name, function=source.function, digest=source.digest, source=source, **given
        )  # fmt: skip

    @classmethod
    def table(cls) -> list[Setting]:
        """See `Common`. Normalisation is the network's own affair."""
        return [setting for setting in super().table() if setting.name != "normalisation"]

    @property
    def presets(self) -> dict[str, ImageSettings]:
        """The named settings: the default ones."""
        return {DEFAULT: OwnSettings(file=self.file, function=self.function, digest=self.digest, source=self.source)}

    @property
    def network(self) -> str:
        """See `Common`; with the first digits of the file's digest, since files change."""
        return f"{self.title} {self.digest[7:15]}"

    @property
    def title(self) -> str:
        """See `Common`."""
        return f"{self.file}:{self.function}"

    @property
    def plural(self) -> str:
        """See `Common`."""
        return self.title

    @property
    def described(self) -> str:
        """See `Common`."""
        return label(self)

    def words(self) -> list[str]:
        """See `Common`."""
        differing = self.differences(self.presets[DEFAULT])
        return [self.network, *(f"{BY_NAME[key].words} {value}" for key, value in differing.items() if key != "seed")]

    def chosen_network(self) -> list[str]:
        """See `Common`."""
        where = self.file if self.source is None else self.source.path
        return ["--network", f"{where}:{self.function}"]

    def arguments(self) -> list[str]:
        """See `Common`; the other process refuses the file if it has changed."""
        chosen = self.chosen_network() if self.source is None else ["--network", self.source.spelled]
        values = {one.option: getattr(self, one.name) for one in self.table() if one.part != MODEL}
        return [*chosen, *(f"{option}={value}" for option, value in values.items() if value is not None)]

    def _shown(self) -> dict[str, Any]:
        return {}

    def _letters(self) -> list[str]:
        usual, own_training = self.presets[DEFAULT].training(), self.training()
        differing = [name for name, value in own_training.items() if usual.get(name) != value]
        optional = [BY_NAME[name] for name in differing if BY_NAME[name].absent is not ALWAYS]
        return [f"{setting.letter}{own_training[setting.name]}" for setting in optional]

    def _named(self, words: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.file.removesuffix('.py')}-{self.function}").strip("-")
        name = plain[:_IN_FOLDER].rstrip("-") or own.NAME
        return name if words == DEFAULT else f"{name}-{words}"
