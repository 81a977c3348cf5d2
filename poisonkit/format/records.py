"""The parts of a manifest as typed records, each of which knows its JSON. See data/FORMAT.md, "The manifest"."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from poisonkit.core.hashing import digest

Json = dict[str, Any]
"""An object as JSON has it."""

R = TypeVar("R")


def known(record: type[R], json: Json) -> R:
    """Return a record of those keys that it knows; the others stay in the manifest's `json`."""
    names = {one.name for one in fields(record)}  # type: ignore[arg-type]
    return record(**{key: value for key, value in json.items() if key in names})


@dataclass(frozen=True)
class ArrayEntry:
    """One array of a file: its digest, its dtype as the format spells it (`|u1`, `<i8`, `text`, …), its shape."""

    digest: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, json: Json) -> "ArrayEntry":
        """Return the entry that a manifest has."""
        return cls(json["digest"], json["dtype"], tuple(json["shape"]))

    @property
    def json(self) -> Json:
        """The entry as a manifest has it."""
        return {"digest": self.digest, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 (hexadecimal) of the original file that a delta or a key was made of."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """The clean data set. `classes` are the names in label order; a sealed file has neither options nor digests."""

    name: str
    title: str
    licence: str
    url: str
    classes: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    digest: str | None = None

    @classmethod
    def of(cls, json: Json) -> "Source":
        """Return the source that a manifest records."""
        return known(cls, json | {"classes": tuple(json["classes"])})

    @property
    def camouflage(self) -> str | None:
        """The steps of the camouflage, None where the images are plain."""
        return self.options.get("camouflage")

    @property
    def camouflage_seed(self) -> int | None:
        """The secret seed of the camouflage."""
        return self.options.get("camouflage-seed")

    @property
    def digest_of_arrays(self) -> str:
        """What `digest` must be: that of the arrays' digests."""
        return digest(self.arrays)

    @property
    def json(self) -> Json:
        """The source as a manifest has it."""
        public = {"name": self.name, "title": self.title, "licence": self.licence, "url": self.url}
        public["classes"] = list(self.classes)  # type: ignore[assignment]
        if self.digest is None:
            return public
        return public | {"options": self.options, "arrays": self.arrays, "digest": self.digest}


@dataclass(frozen=True)
class TriggerStep:
    """One trigger of a recipe, in the order of application: its name, and its parameters as the manifest has them."""

    name: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, json: Json) -> "TriggerStep":
        """Return the step that a recipe has."""
        return cls(json["name"], {key: value for key, value in json.items() if key != "name"})

    @property
    def typed(self) -> dict[str, str]:
        """The parameters as they would be typed: the parts of a list are separated by commas."""
        return {
            key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in self.parameters.items()
        }


@dataclass(frozen=True)
class Recipe:
    """How a data set was poisoned; of a clean one only the rate, which is "0".

    Rates are decimals, spelled as texts. `patch` is (height, width) of a tile; `target` is None in all-to-all.
    """

    rate: str
    seed: int = 0
    streams: tuple[str, ...] = ()
    application: str = "image"
    patch: tuple[int, int] | None = None
    label_mode: str = ""
    target: int | None = None
    select: str = ""
    triggers: tuple[TriggerStep, ...] = ()
    source_classes: tuple[int, ...] = ()
    cover_rate: str | None = None
    cover_jitter: bool = False
    cover_classes: tuple[int, ...] = ()
    one_of: bool = False

    @classmethod
    def of(cls, json: Json) -> "Recipe":
        """Return the recipe that a manifest has."""
        keys = ("streams", "patch", "source_classes", "cover_classes")
        lists = {key: tuple(json[key]) for key in keys if json.get(key) is not None}
        return known(cls, json | lists | {"triggers": tuple(map(TriggerStep.of, json.get("triggers", ())))})

    @property
    def json(self) -> Json:
        """The recipe in its one spelling, as a manifest has it."""
        if self.rate == "0":
            return {"rate": "0"}
        omit_if_default: Json = {
            "source_classes": list(self.source_classes),
            "cover_jitter": self.cover_jitter,
            "cover_rate": self.cover_rate,
            "cover_classes": list(self.cover_classes),
            "one_of": self.one_of,
        }
        return {key: value for key, value in omit_if_default.items() if value} | {
            "rate": self.rate,
            "seed": self.seed,
            "streams": list(self.streams),
            "application": self.application,
            "patch": list(self.patch) if self.patch else None,
            "label_mode": self.label_mode,
            "target": self.target,
            "select": self.select,
            "triggers": [{"name": step.name, **step.parameters} for step in self.triggers],
        }


@dataclass(frozen=True)
class Picture:
    """What proves that a trigger's picture, or another file of the user's, is the same: the digest of what it holds,
    of a picture its shape too; or the name of a built-in one."""

    digest: str | None = None
    shape: tuple[int, ...] | None = None
    built_in: str | None = None

    @classmethod
    def of(cls, json: Json) -> "Picture":
        """Return the record that a manifest has."""
        shape = json.get("shape")
        return known(cls, json | {"shape": tuple(shape) if isinstance(shape, list) else shape})

    @property
    def json(self) -> Json:
        """The record as a manifest has it."""
        shape = list(self.shape) if isinstance(self.shape, tuple) else self.shape
        found: Json = {"digest": self.digest, "shape": shape, "built_in": self.built_in}
        return {key: value for key, value in found.items() if value is not None}


Pictures = Mapping[int, Picture]
"""Number of a trigger → the record of its picture."""


def pictures_json(pictures: Pictures) -> Json:
    """Return the manifest's `pictures`."""
    return {str(number): picture.json for number, picture in pictures.items()}


@dataclass(frozen=True)
class Counts:
    """Numbers of rows; what a file has not is 0."""

    train: int
    test: int
    triggered: int = 0
    others: int = 0
    eligible: int = 0
    poisoned: int = 0
    cover: int = 0
    already_target: int = 0
    unchanged: int = 0

    @classmethod
    def of(cls, json: Json) -> "Counts":
        """Return the counts that a manifest has."""
        return known(cls, json)
