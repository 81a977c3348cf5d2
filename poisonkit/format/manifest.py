"""The manifest of a file: what it says, typed; its JSON and digest. See data/FORMAT.md, "The manifest".

A manifest is read once, where a file is opened: `parse` makes a `Manifest` (of a data set), `SealedManifest`,
`DeltaManifest` or `KeyManifest` of JSON that `schema.problem` has found sound. The JSON itself stays in `json`, to the
last key, for digests, for saving, and for what this version does not know. A new manifest is a draft (`Manifest.draft`,
…) until `finished` adds the arrays and the digest over all.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from poisonkit.core import modality as modalities
from poisonkit.core.hashing import digest
from poisonkit.core.modality import Modality
from poisonkit.format.records import (
    ArrayEntry,
    Counts,
    FileRecord,
    Json,
    Picture,
    Pictures,
    Recipe,
    Source,
    known,
    pictures_json,
)

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
DELTA_NOTICE = "What must be changed in a clean data set to get the poisoned one whose manifest stands under `of`. "
SEALED_NOTICE = (
    "A sealed data set for a blind exercise in finding manipulated training data. None, some or many training rows "
    "may have been changed on purpose{altered}; which, is in a key that its organiser holds "
    "(see commitment). Do not train anything on it that will be put to use."
)
KEY_NOTICE = (
    "The key of a sealed data set: the answer of a blind exercise, and all that gives the original poisoned data set "
    "back. Keep it from whoever takes part."
)

H = TypeVar("H", bound="Header")


@dataclass(frozen=True)
class Header(ABC):
    """What every manifest has. `arrays` is path → entry; `json` is the whole of it as JSON. A draft has no arrays yet,
    and no digest."""

    KINDS: ClassVar[tuple[str, ...]]
    """The kinds of files that have such a manifest."""

    kind: str
    modality: Modality
    name: str
    notice: str
    arrays: dict[str, ArrayEntry]
    dataset_digest: str
    json: Json = field(repr=False)

    @classmethod
    @abstractmethod
    def of(cls: type[H], json: Json) -> H:
        """Return the typed manifest, of JSON that was checked."""

    def finished(self: H, arrays: Mapping[str, ArrayEntry]) -> H:
        """Return a draft with the entries of its arrays, and with the digest over all."""
        json = self.json | {"arrays": {path: entry.json for path, entry in sorted(arrays.items())}}
        return self.of(json | {"dataset_digest": dataset_digest(json)})

    @property
    def clean(self) -> bool:
        """Whether this is a data set in which nothing was poisoned."""
        return self.kind == "clean"

    @property
    def poisoned(self) -> bool:
        """Whether this is a poisoned data set, which has its truth and its trigger."""
        return self.kind == "poisoned"

    @property
    def sound_digest(self) -> bool:
        """Whether `dataset_digest` is that of the rest."""
        return dataset_digest(self.json) == self.dataset_digest

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self.arrays[path].shape

    def rows(self, path: str) -> int:
        """How many rows an array has, 0 where there is no such array."""
        return self.arrays[path].shape[0] if path in self.arrays else 0


@dataclass(frozen=True)
class Manifest(Header):
    """The manifest of a data set, clean or poisoned. `pictures` is the number of a trigger → its picture's record."""

    KINDS = ("clean", "poisoned")

    recipe_version: int
    source: Source
    recipe: Recipe
    counts: Counts
    pictures: Pictures

    @classmethod
    def of(cls, json: Json) -> "Manifest":
        """Return the typed manifest of a data set, of JSON that was checked."""
        return cls(
            **_header(json),
            recipe_version=json["recipe_version"],
            source=Source.of(json["source"]),
            recipe=Recipe.of(json["recipe"]),
            counts=Counts.of(json["counts"]),
            pictures={int(number): Picture.of(record) for number, record in json["pictures"].items()},
        )

    @classmethod
    def draft(
        cls,
        *,
        modality: Modality,
        name: str,
        recipe_version: int,
        source: Source,
        recipe: Recipe,
        counts: Counts,
        pictures: Pictures,
    ) -> "Manifest":
        """Return the manifest of a data set as far as it is known before its rows are written: without arrays, and
        without the number of rows that did not change."""
        clean = recipe.rate == "0"
        counted = {"train": counts.train, "test": counts.test}
        if not clean:
            counted = {key: count for key, count in vars(counts).items() if key != "unchanged"}
            counted = {key: count for key, count in counted.items() if count or key != "others"}
        kind = "clean" if clean else "poisoned"
        notice = CLEAN_NOTICE.format(rows=modality.rows) if clean else NOTICE
        return cls.of(
            _begun(recipe_version=recipe_version, modality=modality, kind=kind, notice=notice, name=name)
            | {
                "source": source.json,
                "recipe": recipe.json,
                "pictures": pictures_json(pictures),
                "counts": counted,
            }
        )

    def with_unchanged(self, count: int) -> "Manifest":
        """Return a draft with the number of poisoned rows that did not change by a byte; a clean file has none."""
        if self.clean:
            return self
        return self.of(self.json | {"counts": self.json["counts"] | {"unchanged": count}})

    @property
    def as_draft(self) -> "Manifest":
        """What was known of the file before its rows were written."""
        json = {key: value for key, value in self.json.items() if key not in ("arrays", "dataset_digest")}
        counts = {key: value for key, value in json["counts"].items() if key != "unchanged"}
        return self.of(json | {"counts": counts})

    @property
    def identity(self) -> Json:
        """The part of the JSON that decides what the bytes will be, see `identity`."""
        return identity(self.json)

    @property
    def recipe_versions(self) -> tuple[int, ...]:
        """The recipe versions of which this program makes such a file."""
        return recipe_versions(self.json)

    @property
    def known_version(self) -> bool:
        """Whether this program makes files of this recipe version."""
        return self.recipe_version in self.recipe_versions

    @property
    def camouflaged_last(self) -> bool:
        """Whether training rows got the trigger first, and the camouflage then."""
        return self.recipe_version == CAMOUFLAGED_LAST and self.known_version

    def respelled(self, recipe: Recipe) -> list[str]:
        """List the keys in which the recipe of this manifest is not spelled as that one, which should be the same."""
        here, there = recipe.json, self.json["recipe"]
        return sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))


@dataclass(frozen=True)
class SealedManifest(Header):
    """The manifest of a sealed file, which says nothing of a recipe, nor whether anything was poisoned."""

    KINDS = ("sealed",)
    ALTERED: ClassVar = {"image": ", and all images altered slightly", "text": ""}

    source: Source
    counts: Counts
    commitment: str

    @classmethod
    def of(cls, json: Json) -> "SealedManifest":
        """Return the typed manifest, of JSON that was checked."""
        source, counts = Source.of(json["source"]), Counts.of(json["counts"])
        return cls(**_header(json), source=source, counts=counts, commitment=json["commitment"])

    @classmethod
    def draft(cls, original: Manifest, name: str, commitment: str, counts: Counts) -> "SealedManifest":
        """Return the manifest of a sealed file: of the source what training and its licence need, and nothing of what
        was done."""
        notice = SEALED_NOTICE.format(altered=cls.ALTERED[original.modality.name])
        public = replace(original.source, options={}, arrays={}, digest=None)
        return cls.of(
            _begun(modality=original.modality, kind="sealed", name=name, notice=notice)
            | {
                "commitment": commitment,
                "source": public.json,
                "counts": {"train": counts.train, "test": counts.test},
            }
        )


@dataclass(frozen=True)
class DeltaManifest(Header):
    """The manifest of a delta: `original` is that of the poisoned file, `file` what that file was."""

    KINDS = ("delta",)

    original: Manifest
    file: FileRecord

    @classmethod
    def of(cls, json: Json) -> "DeltaManifest":
        """Return the typed manifest, of JSON that was checked."""
        return cls(**_header(json), original=Manifest.of(json["of"]), file=known(FileRecord, json["file"]))

    @classmethod
    def draft(cls, original: Manifest, file: FileRecord) -> "DeltaManifest":
        """Return the manifest of the delta of a file."""
        begun = _begun(modality=original.modality, name=original.name, kind="delta", notice=DELTA_NOTICE + NOTICE)
        return cls.of(begun | {"of": original.json, "file": vars(file)})


@dataclass(frozen=True)
class KeyManifest(Header):
    """The manifest of a key: of the `original` and its `file`, of the sealed one (`challenge`, its dataset digest), and
    the secrets. `sidecar` is what the original's sidecar had beside manifest and file."""

    KINDS = ("key",)

    original: Manifest
    file: FileRecord
    challenge: str
    commitment: str
    salt: str
    secret: str
    sidecar: Json | None
    even_labels: str | None = None

    @classmethod
    def of(cls, json: Json) -> "KeyManifest":
        """Return the typed manifest, of JSON that was checked."""
        own = {key: json[key] for key in ("challenge", "commitment", "salt", "secret", "sidecar")}
        file = known(FileRecord, json["file"])
        even = json.get("even_labels")
        return cls(**_header(json), original=Manifest.of(json["of"]), file=file, even_labels=even, **own)

    @classmethod
    def draft(
        cls,
        original: Manifest,
        file: FileRecord,
        challenge: SealedManifest,
        *,
        salt: str,
        secret: str,
        sidecar: Json | None,
        even_labels: str | None,
    ) -> "KeyManifest":
        """Return the manifest of the key of a sealed file."""
        begun = _begun(modality=original.modality, kind="key", name=challenge.name, notice=KEY_NOTICE)
        evened = {} if even_labels is None else {"even_labels": even_labels}
        return cls.of(
            begun
            | {
                "challenge": challenge.dataset_digest,
                "commitment": challenge.commitment,
                "salt": salt,
                "secret": secret,
                "file": vars(file),
                "sidecar": sidecar,
                "of": original.json,
            }
            | evened
        )


AnyManifest = Manifest | SealedManifest | DeltaManifest | KeyManifest
EVERY: tuple[type[AnyManifest], ...] = (Manifest, SealedManifest, DeltaManifest, KeyManifest)
"""The manifests of files of every kind."""


def parse(json: Json) -> AnyManifest:
    """Return the typed manifest of a file of any kind, of JSON that `schema.problem` has found sound."""
    types: dict[str, type[AnyManifest]] = {"sealed": SealedManifest, "delta": DeltaManifest, "key": KeyManifest}
    return types.get(json["kind"], Manifest).of(json)


def _begun(*, modality: Modality, **more: object) -> Json:
    """Return the JSON that every manifest begins with."""
    version = {"recipe_version": more.pop("recipe_version")} if "recipe_version" in more else {}
    return {"format": FORMAT, "format_version": FORMAT_VERSION} | version | {"modality": modality.name} | more


def _header(json: Json) -> Json:
    """Return the parts that every manifest has, as keyword arguments."""
    texts = {key: json[key] for key in ("kind", "name", "notice")}
    arrays = {path: ArrayEntry.of(entry) for path, entry in json.get("arrays", {}).items()}
    typed = {"modality": modalities.of(json["modality"]), "dataset_digest": json.get("dataset_digest", "")}
    return texts | typed | {"arrays": arrays, "json": json}


# ---------------------------------------------------------------- digests and versions


def dataset_digest(json: Json) -> str:
    """SHA-256 of a manifest without its own `dataset_digest`."""
    return digest({key: value for key, value in json.items() if key != "dataset_digest"})


def identity(json: Json) -> Json:
    """Return the part of a manifest that decides the bytes: recipe, source and pictures, and the recipe's version."""
    source = {key: json["source"].get(key) for key in ("name", "options", "digest")}
    return {"recipe_version": json.get("recipe_version"), "source": source} | {
        key: json.get(key) for key in ("recipe", "pictures")
    }


def told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a source's options that may be told to people."""
    return {key: value for key, value in options.items() if key not in SECRETS}


def recipe_versions(json: Json) -> tuple[int, ...]:
    """Return the recipe versions of which this program makes a file such as the one whose manifest is given, which may
    be unsound."""
    source = json.get("source")
    options = source.get("options") if isinstance(source, dict) else None
    hidden = json.get("kind") == "poisoned" and isinstance(options, dict) and "camouflage" in options
    return (RECIPE_VERSION, CAMOUFLAGED_LAST) if hidden else (RECIPE_VERSION,)


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
