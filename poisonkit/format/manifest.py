"""The manifest of a file: canonical JSON, digests, and its parts as typed records. See data/FORMAT.md, "The manifest".

A manifest is read once, where a file is opened: `parse` makes a `Manifest` (of a data set), `SealedManifest`,
`DeltaManifest` or `KeyManifest` of JSON that `schema.problem` has found sound. The JSON itself stays in `facts`, to the
last key, for digests and for what this version does not know.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from poisonkit.core.hashing import digest

FORMAT = "poisonkit"
FORMAT_VERSION = 1
RECIPE_VERSION = 1
CAMOUFLAGED_LAST = 2
"""The recipe version of a poisoned file whose training rows got the trigger first, then the camouflage; in version 1 it
was the other way round."""
SECRETS = ("camouflage-seed",)
"""Options of a source whose values no line for people says."""

NOTICE = (
    "Research data for defending against backdoor attacks. Some training rows of this data set were changed on "
    "purpose (see recipe, counts and the group truth), so that a model trained on it misclassifies inputs that "
    "carry the trigger. Do not train anything on it that will be put to use."
)
CLEAN_NOTICE = (
    "Clean data, unchanged, as the baseline for research into backdoor attacks. Its labels and {rows} are those of "
    "the source."
)


Facts = dict[str, Any]
"""A manifest as its JSON stands."""

R = TypeVar("R")


# ---------------------------------------------------------------- which kind of file


def is_clean(facts: Facts) -> bool:
    """Whether a manifest is that of a data set in which nothing was poisoned."""
    return facts.get("kind") == "clean"


def is_poisoned(facts: Facts) -> bool:
    """Whether a manifest is that of a poisoned data set, which has its truth and its trigger."""
    return facts.get("kind") == "poisoned"


def is_sealed(facts: Facts) -> bool:
    """Whether a manifest is that of a sealed file, which does not say whether anything was poisoned."""
    return facts.get("kind") == "sealed"


def is_data_set(facts: Facts) -> bool:
    """Whether a file with this manifest has training and test rows: any but a delta and a key."""
    return is_clean(facts) or is_poisoned(facts) or is_sealed(facts)


# ---------------------------------------------------------------- typed parts


@dataclass(frozen=True)
class ArrayEntry:
    """One array of a file: its digest, its dtype as the format spells it (`|u1`, `<i8`, `text`, …), its shape."""

    digest: str
    dtype: str
    shape: tuple[int, ...]


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

    @property
    def camouflage(self) -> str | None:
        """The steps of the camouflage, None where the images are plain."""
        return self.options.get("camouflage")


@dataclass(frozen=True)
class TriggerStep:
    """One trigger of a recipe, in the order of application: its name, and its parameters as the manifest has them."""

    name: str
    parameters: dict[str, Any]


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


# ---------------------------------------------------------------- the manifests


@dataclass(frozen=True)
class Header:
    """What every manifest has. `arrays` is path → entry; `facts` is the whole JSON."""

    kind: str
    modality: str
    name: str
    notice: str
    arrays: dict[str, ArrayEntry]
    dataset_digest: str
    facts: Facts = field(repr=False)

    @property
    def clean(self) -> bool:
        """Whether this is a data set in which nothing was poisoned."""
        return is_clean(self.facts)

    @property
    def poisoned(self) -> bool:
        """Whether this is a poisoned data set."""
        return is_poisoned(self.facts)

    @property
    def sealed(self) -> bool:
        """Whether this is a sealed file."""
        return is_sealed(self.facts)

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self.arrays[path].shape

    def rows(self, path: str) -> int:
        """How many rows an array has, 0 where there is no such array."""
        return self.arrays[path].shape[0] if path in self.arrays else 0


@dataclass(frozen=True)
class Manifest(Header):
    """The manifest of a data set, clean or poisoned. `pictures` is the number of a trigger → its picture's record."""

    recipe_version: int
    source: Source
    recipe: Recipe
    counts: Counts
    pictures: dict[str, Facts]

    @property
    def recipe_versions(self) -> tuple[int, ...]:
        """The recipe versions of which this program makes such a file."""
        return recipe_versions(self.facts)

    @property
    def camouflaged_last(self) -> bool:
        """Whether training rows got the trigger first, and the camouflage then."""
        return camouflaged_last(self.facts)

    @classmethod
    def of(cls, facts: Facts) -> "Manifest":
        """Return the typed manifest of a data set, of JSON that was checked."""
        return cls(
            **_header(facts),
            recipe_version=facts["recipe_version"],
            source=_source(facts["source"]),
            recipe=_recipe(facts["recipe"]),
            counts=_known(Counts, facts["counts"]),
            pictures=dict(facts["pictures"]),
        )


@dataclass(frozen=True)
class SealedManifest(Header):
    """The manifest of a sealed file, which says nothing of a recipe."""

    source: Source
    counts: Counts
    commitment: str

    @classmethod
    def of(cls, facts: Facts) -> "SealedManifest":
        """Return the typed manifest, of JSON that was checked."""
        source, counts = _source(facts["source"]), _known(Counts, facts["counts"])
        return cls(**_header(facts), source=source, counts=counts, commitment=facts["commitment"])


@dataclass(frozen=True)
class DeltaManifest(Header):
    """The manifest of a delta: `original` is that of the poisoned file, `file` what that file was."""

    original: Manifest
    file: FileRecord

    @classmethod
    def of(cls, facts: Facts) -> "DeltaManifest":
        """Return the typed manifest, of JSON that was checked."""
        return cls(**_header(facts), original=Manifest.of(facts["of"]), file=_known(FileRecord, facts["file"]))


@dataclass(frozen=True)
class KeyManifest(Header):
    """The manifest of a key: of the `original` and its `file`, of the sealed one (`challenge`, its dataset digest), and
    the secrets. `sidecar` is what the original's sidecar had beside manifest and file."""

    original: Manifest
    file: FileRecord
    challenge: str
    commitment: str
    salt: str
    secret: str
    sidecar: Facts | None
    even_labels: str | None = None

    @classmethod
    def of(cls, facts: Facts) -> "KeyManifest":
        """Return the typed manifest, of JSON that was checked."""
        own = {key: facts[key] for key in ("challenge", "commitment", "salt", "secret", "sidecar")}
        file = _known(FileRecord, facts["file"])
        even = facts.get("even_labels")
        return cls(**_header(facts), original=Manifest.of(facts["of"]), file=file, even_labels=even, **own)


AnyManifest = Manifest | SealedManifest | DeltaManifest | KeyManifest


def parse(facts: Facts) -> AnyManifest:
    """Return the typed manifest of a file of any kind, of JSON that `schema.problem` has found sound."""
    kinds: dict[str, type[AnyManifest]] = {"sealed": SealedManifest, "delta": DeltaManifest, "key": KeyManifest}
    return kinds.get(facts["kind"], Manifest).of(facts)


def _header(facts: Facts) -> Facts:
    """Return the parts that every manifest has, as keyword arguments."""
    texts = {key: facts[key] for key in ("kind", "modality", "name", "notice", "dataset_digest")}
    arrays = {
        path: ArrayEntry(entry["digest"], entry["dtype"], tuple(entry["shape"]))
        for path, entry in facts["arrays"].items()
    }
    return texts | {"arrays": arrays, "facts": facts}


def _known(record: type[R], facts: Facts) -> R:
    """Return a record of those keys that it knows; others stay in the manifest's `facts`."""
    names = {one.name for one in fields(record)}  # type: ignore[arg-type]
    return record(**{key: value for key, value in facts.items() if key in names})


def _source(facts: Facts) -> Source:
    return _known(Source, facts | {"classes": tuple(facts["classes"])})


def _recipe(facts: Facts) -> Recipe:
    lists = {key: tuple(facts[key]) for key in ("streams", "patch", "source_classes") if facts.get(key) is not None}
    return _known(Recipe, facts | lists | {"triggers": tuple(map(_step, facts.get("triggers", ())))})


def _step(facts: Facts) -> TriggerStep:
    return TriggerStep(facts["name"], {key: value for key, value in facts.items() if key != "name"})


# ---------------------------------------------------------------- digests and versions


def dataset_digest(manifest: Facts) -> str:
    """SHA-256 of the manifest without its own `dataset_digest`."""
    return digest({key: value for key, value in manifest.items() if key != "dataset_digest"})


def told(options: dict[str, Any]) -> dict[str, Any]:
    """Those of a source's options that may be told to people."""
    return {key: value for key, value in options.items() if key not in SECRETS}


def recipe_versions(facts: Facts) -> tuple[int, ...]:
    """Return the recipe versions of which this program makes a file such as the one whose manifest is given."""
    source = facts.get("source")
    options = source.get("options") if isinstance(source, dict) else None
    hidden = is_poisoned(facts) and isinstance(options, dict) and "camouflage" in options
    return (RECIPE_VERSION, CAMOUFLAGED_LAST) if hidden else (RECIPE_VERSION,)


def camouflaged_last(facts: Facts) -> bool:
    """Whether a file's training rows got the trigger first, and the camouflage then."""
    return facts["recipe_version"] == CAMOUFLAGED_LAST and CAMOUFLAGED_LAST in recipe_versions(facts)


def describe(asked: Any, there: Any, where: str = "") -> Iterator[str]:
    """One short line for each value in which two JSON values differ; of secrets, that they do."""
    if isinstance(asked, dict) and isinstance(there, dict):
        for key in sorted(asked.keys() | there.keys()):
            yield from describe(asked.get(key), there.get(key), f"{where}.{key}" if where else key)
    elif isinstance(asked, list) and isinstance(there, list) and len(asked) == len(there):
        for i, (left, right) in enumerate(zip(asked, there, strict=True)):
            yield from describe(left, right, f"{where}[{i}]")
    elif asked != there and where.rsplit(".", 1)[-1] in SECRETS:
        yield f"{where}: differs"
    elif asked != there:
        yield f"{where}: {_short(asked)} here, {_short(there)} there"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
