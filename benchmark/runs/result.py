"""What a finished run has written, as typed objects. `records` checks the JSON before these are made of it.

`raw` is the JSON that an object was made of, as it is written.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from benchmark.core import file_names, naming
from benchmark.format.manifest import CLEAN, POISONED, SEALED, Kind, Recipe
from benchmark.training.common import Common
from benchmark.training.configuration import settings_of
from benchmark.training.metrics import Json, Scores, Share
from benchmark.training.predicted import PredictedSettings
from benchmark.training.table import MODEL, TRAINING

GIVEN = "given"  # of a comparison: with the clean run that the user named
PUBLIC = frozenset(("cifar10", "cifar100", "gtsrb", "tinyimagenet", "imagenette", "sst2", "signs", "phrases"))
"""Data sets that a folder of the user's may have the name of, as `naming.folded` spells them."""
KINDS = (CLEAN, POISONED, SEALED)  # what can be trained on: a delta is read as its original


@dataclass(frozen=True)
class Comparison:
    """A poisoned run beside clean ones: CAD, and what it was measured against.

    Attributes
    ----------
    how : str
        How the clean runs were chosen: `given`, `same seed`, or `mean of N other seeds`.
    runs : tuple of str
        The names of the clean runs.
    ba : float
        Their mean benign accuracy in percent.
    cad : float
        Clean accuracy drop in percentage points.
    asr : Share or None
        The clean models' ASR on the same triggered rows; None while it has not been computed.
    collapsed : tuple of str
        The names of those of them whose network predicts one class whatever it is shown.
    """

    how: str
    runs: tuple[str, ...]
    ba: float
    cad: float
    asr: Share | None = None
    collapsed: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: Json) -> "Comparison":
        """Return the comparison that JSON holds."""
        runs, collapsed = tuple(raw["runs"]), tuple(raw.get("collapsed", ()))
        return cls(raw["how"], runs, raw["ba"], raw["cad"], Share.maybe(raw["asr"]), collapsed)

    def json(self) -> Json:
        """Return it as result.json has it."""
        found: Json = {"collapsed": list(self.collapsed)} if self.collapsed else {}
        found |= {"how": self.how, "runs": list(self.runs), "ba": self.ba, "cad": self.cad}
        return found | {"asr": None if self.asr is None else self.asr.json()}


@dataclass(frozen=True)
class DatasetRecord:
    """What a result says of the file that was trained on.

    Attributes
    ----------
    name, source, label : str
        The data set's name, that of its source (`cifar10`, …), and of a folder its own, else the source's once more.
    kind : Kind
        `clean`, `poisoned` or `sealed`.
    recipe : Recipe
        Of the poisoning; of a clean file its rate alone, of a sealed one nothing.
    counts : dict of str to int
        Numbers of rows, by what they are.
    digest, source_digest : str or None
        The dataset digest, and that of the clean data (None of a sealed file), `sha256:…`.
    path, base : str or None
        Where the file was; of a delta also where the clean file was that it was applied to.
    classes : list of str
        Names of the classes, in label order; empty where they are not known.
    pictures : tuple of str
        Of triggers that are made of a picture, what tells that from others: its digest, or a built-in one's name.
    """

    name: str
    source: str
    kind: Kind
    recipe: Recipe
    counts: dict[str, int]
    digest: str | None
    source_digest: str | None
    path: str | None
    base: str | None
    classes: list[str]
    pictures: tuple[str, ...]
    raw: Json = field(repr=False)
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.source)

    @classmethod
    def of(cls, raw: Json) -> "DatasetRecord":
        """Return the record that JSON holds."""
        classes, pictures = raw.get("classes"), raw.get("pictures") or {}
        if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            classes = []
        return cls(
            name=raw["name"],
            source=raw["source"],
            kind=Kind(raw["kind"]),
            recipe=Recipe.of(raw["recipe"]),
            counts=raw["counts"],
            digest=raw.get("digest"),
            source_digest=raw["source_digest"],
            path=raw.get("path"),
            base=raw.get("base"),
            classes=classes,
            pictures=tuple(map(picture_name, pictures.values())),
            raw=raw,
            label=raw["label"] if file_names.plain(raw.get("label")) else "",
        )

    @property
    def called(self) -> str:
        """What tables call the source; a user's data never as data that others have too."""
        own = self.label != self.source
        return f"{self.source} {self.label}" if own and naming.folded(self.label) in PUBLIC else self.label

    @property
    def is_clean(self) -> bool:
        """Was the run trained on a clean file?"""
        return self.kind.clean

    @property
    def is_poisoned(self) -> bool:
        """Was it trained on a file that says how it was poisoned?"""
        return self.kind.poisoned

    @property
    def is_sealed(self) -> bool:
        """Was it trained on a file of which nobody here knows whether and how it was poisoned?"""
        return self.kind.sealed


def picture_name(entry: Json) -> str:
    """Return what tells a trigger's picture from others: its digest, or the name of a built-in one."""
    return entry["built_in"] if "built_in" in entry else entry["digest"].removeprefix("sha256:")


@dataclass(frozen=True)
class RunConfig:
    """The whole configuration of a run, `raw`, whose digest names its folder."""

    raw: Json

    @cached_property
    def settings(self) -> Common:
        """The settings that it was made of. KeyError, TypeError or `Usage` where it is not a configuration."""
        return settings_of(self.raw)

    @property
    def dataset_digest(self) -> str:
        """The dataset digest of the file, `sha256:…`."""
        return self.raw["dataset_digest"]

    @property
    def model(self) -> Json:
        """What decides the network; `name` says which it is."""
        return self.raw[MODEL]

    @property
    def training(self) -> Json:
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


@dataclass(frozen=True)
class RunResult:
    """The result of a finished run; `raw` is its JSON."""

    raw: Json

    def with_scores(self, scores: Scores) -> "RunResult":
        """Return the result with other scores."""
        return RunResult(self.raw | {"scores": scores.json()})

    def with_baseline(self, baseline: Comparison | None) -> "RunResult":
        """Return the result with another comparison, or none."""
        return RunResult(self.raw | {"baseline": None if baseline is None else baseline.json()})

    @property
    def name(self) -> str:
        """The run's name, that of its folder."""
        return self.raw["name"]

    @cached_property
    def dataset(self) -> DatasetRecord:
        """The file that was trained on."""
        return DatasetRecord.of(self.raw["dataset"])

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
        return Scores.of(self.raw["scores"])

    @cached_property
    def baseline(self) -> Comparison | None:
        """The comparison with the clean model; None of a clean or sealed file, and without a clean run."""
        stored = self.raw.get("baseline")
        return Comparison.of(stored) if stored else None

    @property
    def seconds(self) -> float | None:
        """Seconds of training; None where they were not recorded."""
        return self._recorded("seconds").get("training")

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
        return self._recorded("environment").get("versions", {})

    @property
    def finished(self) -> str | None:
        """When it was finished, UTC."""
        return self.raw.get("finished")

    def _recorded(self, name: str) -> dict[str, Any]:
        return self.raw.get(name, {})
