"""What a finished run has written, as typed objects. `records` reads and checks the JSON before these are made of it.

Each object is also a read-only mapping of the JSON that it was made of (`raw`), whose keys are the file's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.format.manifest import CLEAN, POISONED, SEALED, Kind
from benchmark.training.predicted import PredictedSettings
from benchmark.training.settings import Common, settings_of
from benchmark.training.table import MODEL, TRAINING

KINDS = (CLEAN, POISONED, SEALED)  # what can be trained on: a delta is read as its original


@dataclass(frozen=True, eq=False)
class Record(Mapping[str, Any]):
    """A part of a result; `raw` is its JSON."""

    raw: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.raw[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


@dataclass(frozen=True, eq=False)
class Share(Record):
    """A count out of a total. `percent` is None of nothing."""

    @property
    def count(self) -> int:
        """How many."""
        return self.raw["count"]

    @property
    def of(self) -> int:
        """Out of how many."""
        return self.raw["of"]

    @property
    def percent(self) -> float | None:
        """The count in percent of the total."""
        return self.raw["percent"]

    @classmethod
    def maybe(cls, raw: dict[str, Any] | None) -> "Share | None":
        """Return the share, None where there is none."""
        return None if raw is None else cls(raw)


@dataclass(frozen=True, eq=False)
class Scores(Record):
    """How a network predicts the clean and the triggered test rows."""

    @property
    def ba(self) -> Share:
        """Benign accuracy: clean test rows predicted as their true class."""
        return Share(self.raw["ba"])

    @property
    def asr(self) -> Share | None:
        """Attack success rate: triggered test rows predicted as the attacker wants; None where nothing is triggered."""
        return Share.maybe(self.raw["asr"])

    @property
    def robust_accuracy(self) -> Share | None:
        """Robust accuracy: triggered test rows predicted as their true class."""
        return Share.maybe(self.raw.get("still_right"))

    @property
    def asr_others(self) -> Share | None:
        """Of a source-specific attack: triggered rows of other classes that are predicted as the target."""
        return Share.maybe(self.raw.get("asr_others"))

    @property
    def asr_by_class(self) -> tuple[Share | None, ...]:
        """ASR for each true class, None where no triggered row is of it; empty where it is not known."""
        return tuple(map(Share.maybe, self.raw.get("asr_by_class") or ()))

    @property
    def most_predicted(self) -> Share | None:
        """The clean test rows predicted as the most predicted class; None in results before 2026-11-27."""
        return Share.maybe(self.raw.get("most_predicted"))


@dataclass(frozen=True, eq=False)
class Comparison(Record):
    """A poisoned run beside clean ones: CAD, and what it was measured against."""

    @property
    def how(self) -> str:
        """How the clean runs were chosen: `given`, `same seed`, or `mean of N other seeds`."""
        return self.raw["how"]

    @property
    def runs(self) -> list[str]:
        """The names of the clean runs."""
        return self.raw["runs"]

    @property
    def ba(self) -> float:
        """Their mean benign accuracy in percent."""
        return self.raw["ba"]

    @property
    def collapsed(self) -> list[str]:
        """The names of those of them whose network predicts one class whatever it is shown."""
        return self.raw.get("collapsed", [])

    @property
    def cad(self) -> float:
        """Clean accuracy drop in percentage points."""
        return self.raw["cad"]

    @property
    def asr(self) -> Share | None:
        """The clean models' ASR on the same triggered rows; None while it has not been computed."""
        return Share.maybe(self.raw["asr"])


@dataclass(frozen=True, eq=False)
class DatasetRecord(Record):
    """What a result says of the file that was trained on."""

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.raw["name"]

    @property
    def kind(self) -> str:
        """`clean`, `poisoned` or `sealed`."""
        return self.raw["kind"]

    @property
    def is_clean(self) -> bool:
        """Was the run trained on a clean file?"""
        return Kind.of(self.raw).clean

    @property
    def is_poisoned(self) -> bool:
        """Was it trained on a file that says how it was poisoned?"""
        return Kind.of(self.raw).poisoned

    @property
    def is_sealed(self) -> bool:
        """Was it trained on a file of which nobody here knows whether and how it was poisoned?"""
        return Kind.of(self.raw).sealed

    @property
    def digest(self) -> str | None:
        """The dataset digest, `sha256:…`."""
        return self.raw.get("digest")

    @property
    def path(self) -> str | None:
        """Where the file was."""
        return self.raw.get("path")

    @property
    def base(self) -> str | None:
        """Of a delta: where the clean file was that it was applied to."""
        return self.raw.get("base")

    @property
    def source(self) -> str:
        """The name of its source: `cifar10`, …"""
        return self.raw["source"]

    @property
    def source_digest(self) -> str | None:
        """Digest of the clean data; None of a sealed file."""
        return self.raw["source_digest"]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in label order; empty where they are not known."""
        classes = self.raw.get("classes")
        return classes if isinstance(classes, list) else []

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of the poisoning as the manifest has it; of a clean file its rate alone, of a sealed one empty."""
        return self.raw["recipe"]

    @property
    def pictures(self) -> dict[str, dict[str, Any]]:
        """The pictures that triggers are made of, by trigger."""
        return self.raw.get("pictures") or {}

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of rows, by what they are."""
        return self.raw["counts"]


@dataclass(frozen=True, eq=False)
class RunConfig(Record):
    """The whole configuration of a run, whose digest names its folder."""

    @cached_property
    def settings(self) -> Common:
        """The settings that it was made of. KeyError, TypeError or `Usage` where it is not a configuration."""
        return settings_of(self.raw)

    @property
    def dataset_digest(self) -> str:
        """The dataset digest of the file, `sha256:…`."""
        return self.raw["dataset_digest"]

    @property
    def model(self) -> dict[str, Any]:
        """What decides the network; `name` says which it is."""
        return self.raw[MODEL]

    @property
    def training(self) -> dict[str, Any]:
        """What decides the training, but for the seed."""
        return self.raw[TRAINING]

    @property
    def network(self) -> str:
        """The name of the network: `pmoe`, `encoder`, …; `predictions` of one that was trained elsewhere."""
        return self.model["name"]

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.raw["seed"]

    @property
    def is_predicted(self) -> bool:
        """Was it trained elsewhere, so that its predictions are known, and no network?"""
        return self.network == PredictedSettings.NETWORK

    @property
    def backend(self) -> str | None:
        """The backend of Keras; None of a run that was made elsewhere."""
        return self.raw.get("backend")

    @property
    def precision(self) -> str | None:
        """`float32`, `tf32` or `bfloat16`; None of a run that was made elsewhere."""
        return self.raw.get("precision")

    @property
    def threads(self) -> int | None:
        """CPU threads; None of a run that was made elsewhere."""
        return self.raw.get("threads")


@dataclass(frozen=True, eq=False)
class RunResult(Record):
    """The result of a finished run."""

    def changed(self, **parts: Any) -> "RunResult":
        """Return the result with other parts (JSON), each by its key."""
        return RunResult(self.raw | parts)

    @property
    def name(self) -> str:
        """The run's name, that of its folder."""
        return self.raw["name"]

    @cached_property
    def dataset(self) -> DatasetRecord:
        """The file that was trained on."""
        return DatasetRecord(self.raw["dataset"])

    @cached_property
    def config(self) -> RunConfig:
        """The configuration."""
        return RunConfig(self.raw["config"])

    @property
    def preset(self) -> str:
        """Network and training, as in the folder's name."""
        return self.raw.get("preset") or self.config.settings.preset

    @cached_property
    def scores(self) -> Scores:
        """The scores after the last epoch."""
        return Scores(self.raw["scores"])

    @property
    def baseline(self) -> Comparison | None:
        """The comparison with the clean model; None of a clean or sealed file, and without a clean run."""
        stored = self.raw.get("baseline")
        return Comparison(stored) if stored else None

    @property
    def seconds(self) -> float | None:
        """Seconds of training; None where they were not recorded."""
        return self.raw.get("seconds", {}).get("training")

    @property
    def images_per_second(self) -> float | None:
        """Training rows per second; None where it was not recorded."""
        return self.raw.get("images_per_second")

    @property
    def device(self) -> str | None:
        """The device in words; None where it was not recorded."""
        return self.raw.get("device")

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and of the packages that it was made with."""
        return self.raw.get("environment", {}).get("versions", {})

    @property
    def finished(self) -> str | None:
        """When it was finished, UTC."""
        return self.raw.get("finished")
