"""A network that was trained elsewhere: known by its name and its predictions alone."""

import re
from dataclasses import dataclass
from typing import Any

from benchmark.core.errors import Usage
from benchmark.nn.networks import IMAGE
from benchmark.training.common import Common
from benchmark.training.settings import PREDICTIONS
from benchmark.training.table import BY_NAME, Setting

PREDICTIONS_ONLY = "predictions only"
LONGEST = 60  # characters of a name
_IN_FOLDER = 40


@dataclass(frozen=True, kw_only=True)
class PredictedSettings(Common):
    """What is known of a run that was made elsewhere: the network's name (`label`), and its training seed.

    Nothing else of `Common` is known of it: what it says of epochs and so on is neither shown nor in the configuration.
    """

    NETWORK = PREDICTIONS
    OPTIMIZER = "unknown"
    MODALITY = IMAGE
    CHOICE = "name"
    USUAL = ""

    label: str
    modality: str
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    hold_out: int = 0
    backend: str = "elsewhere"
    precision: str = "unknown"
    threads: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < len(self.label.strip()) <= LONGEST or not self.label.isprintable():
            raise Usage(f"--name: expected a name of 1 to {LONGEST} printable characters, got {self.label!r:.80}")

    @classmethod
    def table(cls) -> list[Setting]:
        """See `Common`."""
        return [BY_NAME[name] for name in ("label", "modality", "seed")]

    @property
    def preset(self) -> str:
        """The name, as far as it can be part of a folder's."""
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", self.label).strip("-.")[:_IN_FOLDER].rstrip("-.")
        return re.sub(r"\.\.+", ".", plain) or "network"

    @property
    def network(self) -> str:
        """See `Common`."""
        return self.label

    @property
    def title(self) -> str:
        """See `Common`."""
        return self.label

    @property
    def plural(self) -> str:
        """See `Common`."""
        return "networks trained elsewhere"

    @property
    def inputs(self) -> str:
        """See `Common`."""
        return f"{self.modality}s"

    @property
    def described(self) -> str:
        """See `Common`."""
        return f"{self.label} ({PREDICTIONS_ONLY})"

    def nearest_preset(self) -> tuple[str, Common]:
        """Return itself: there are no named ones."""
        return self.label, self

    def words(self) -> list[str]:
        """See `Common`."""
        return [self.label, PREDICTIONS_ONLY]

    def chosen_network(self) -> list[str]:
        """Return nothing: it cannot be trained here."""
        return []

    def arguments(self) -> list[str]:
        """Return the options of `benchmark score` that name it."""
        return ["--name", self.label, *(["--seed", str(self.seed)] if self.seed else [])]

    def differences(self, other: Common) -> dict[str, Any]:
        """See `Common`."""
        return {} if other == self else super().differences(other)
