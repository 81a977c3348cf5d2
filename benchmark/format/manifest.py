"""The manifest of a data set file, as data/FORMAT.md defines it: parsed, checked, its digests recomputed; and typed.

`parse` makes checked JSON of a text, `Manifest.of` the typed record of it that everybody else is given; what this
version does not know stays in the record's `raw`.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.core import file_names, numbers
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical, digest
from benchmark.format import layout, rules, schema
from benchmark.format.schema import Json

if TYPE_CHECKING:
    import numpy as np

FORMAT = "poisonkit"
FORMAT_VERSION = 1
TEXT = "text"  # a modality, and the dtype of its rows in the table of arrays
INPUTS = {"image": "images", TEXT: "texts"}  # modality -> what the arrays of its rows are called
POISONED, CLEAN, DELTA, SEALED = KINDS = ("poisoned", "clean", "delta", "sealed")

R = TypeVar("R")


# ---- typed records


class Kind(str):
    """What a file is: `clean`, `poisoned`, `delta` or `sealed`."""

    __slots__ = ()

    @property
    def clean(self) -> bool:
        """Is nothing in it poisoned?"""
        return self == CLEAN

    @property
    def poisoned(self) -> bool:
        """Does it say how it was poisoned?"""
        return self == POISONED

    @property
    def delta(self) -> bool:
        """Does it hold only what differs from a clean file?"""
        return self == DELTA

    @property
    def sealed(self) -> bool:
        """Is it left open whether and how it was poisoned?"""
        return self == SEALED


@dataclass(frozen=True)
class ArrayEntry:
    """An array of the file: digest, dtype (`|u1`, `<i8`, `text`, …) and shape."""

    digest: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, entry: Json) -> "ArrayEntry":
        """Return the record of an entry of the table of arrays."""
        return cls(entry["digest"], entry["dtype"], tuple(entry["shape"]))

    @property
    def is_text(self) -> bool:
        """Are its rows texts?"""
        return self.dtype == TEXT


@dataclass(frozen=True)
class Source:
    """What is known of the clean data set; of a sealed file's neither digests nor options."""

    name: str
    title: str
    classes: tuple[str, ...]
    options: Json | None = None
    arrays: dict[str, str] = field(default_factory=dict)
    digest: str | None = None

    @property
    def label(self) -> str:
        """What the data set is called in names of files and in tables: the source, but a folder's is its own."""
        named = (self.options or {}).get("name") if self.name == "folder" else None
        return named if isinstance(named, str) and file_names.plain(named) else self.name


@dataclass(frozen=True)
class Trigger:
    """One trigger of a recipe: its name, and its parameters, which are the trigger's own."""

    name: str
    parameters: Json

    @classmethod
    def of(cls, raw: Json) -> "Trigger":
        """Return the record of an entry of a recipe's triggers."""
        return cls(raw["name"], {key: value for key, value in raw.items() if key != "name"})

    @property
    def inserted(self) -> tuple[str, ...]:
        """What it inserts into texts, by the number that insertions give; nothing where it does not say."""
        pieces = self.parameters.get("words", [self.parameters.get("text")])
        sound = isinstance(pieces, list) and all(isinstance(one, str) for one in pieces)
        return tuple(pieces) if sound else ()


@dataclass(frozen=True)
class Recipe:
    """How the file was poisoned; rates are decimals in texts. Of a clean file the rate alone, "0"; of a sealed one
    nothing. `raw` is its JSON, to the last key."""

    rate: str = "0"
    seed: int | None = None
    application: str = ""
    patch: tuple[int, int] | None = None
    label_mode: str = ""
    target: int | None = None
    select: str = ""
    triggers: tuple[Trigger, ...] = ()
    source_classes: tuple[int, ...] = ()
    cover_rate: str = "0"
    cover_jitter: bool = False
    cover_classes: tuple[int, ...] = ()
    one_of: bool = False
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> "Recipe":
        """Return the record of a recipe, empty or as `parse` has checked it."""
        triggers = tuple(map(Trigger.of, raw.get("triggers", ())))
        return dataclasses.replace(_record(cls, raw), triggers=triggers, raw=raw)

    @property
    def title(self) -> str:
        """The names of the triggers in one word; empty without any."""
        return ("|" if self.one_of else "+").join(trigger.name for trigger in self.triggers)

    @property
    def without_seed(self) -> Json:
        """What files have in common that differ in their poisoning seeds alone, as JSON."""
        return {key: value for key, value in self.raw.items() if key not in ("seed", "streams")}


@dataclass(frozen=True)
class Manifest:
    """A checked manifest of a clean, poisoned or sealed file; of a delta, that of its original. `raw` is its JSON."""

    kind: Kind
    modality: str
    name: str
    dataset_digest: str
    source: Source
    recipe: Recipe
    counts: dict[str, int]
    arrays: dict[str, ArrayEntry]
    recipe_version: int
    raw: Json = field(repr=False)

    @classmethod
    def of(cls, raw: Json) -> "Manifest":
        """Return the record of a manifest that `parse` has checked."""
        raw = raw.get("of", raw)
        return cls(
            kind=Kind(raw["kind"]),
            modality=raw["modality"],
            name=raw["name"],
            dataset_digest=raw["dataset_digest"],
            source=_record(Source, raw["source"]),
            recipe=Recipe.of(raw.get("recipe", {})),
            counts=dict(raw["counts"]),
            arrays={path: ArrayEntry.of(entry) for path, entry in raw["arrays"].items()},
            recipe_version=raw.get("recipe_version", 1),
            raw=raw,
        )

    @property
    def of_texts(self) -> bool:
        """Are its rows texts, not images?"""
        return self.modality == TEXT

    @property
    def inputs(self) -> str:
        """What the arrays of rows are called: `images` or `texts`."""
        return INPUTS[self.modality]


def _record(of: type[R], table: Json) -> R:
    """Return a record of the keys that it knows, lists as tuples."""
    known = {one.name for one in dataclasses.fields(of)}  # type: ignore[arg-type]
    return of(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items() if key in known})


# ---- digests


def dtype_of(array: "np.ndarray") -> str:
    """Return the dtype of an array as the table of arrays spells it: `text` for (n,) object, of str."""
    return TEXT if array.dtype == object else array.dtype.str


def array_digest(array: "np.ndarray") -> str:
    """Digest of a C-contiguous little-endian array: dtype and shape as a line, then its bytes. Of texts, for each row
    its length in bytes as 8 bytes, and its bytes."""
    if array.dtype == object:
        total = hashlib.sha256()
        for text in array:
            data = text.encode()
            total.update(len(data).to_bytes(8, "little") + data)
        return "sha256:" + total.hexdigest()
    total = hashlib.sha256(f"{array.dtype.str} {','.join(map(str, array.shape))}\n".encode())
    total.update(array.reshape(-1).view("u1").data)
    return "sha256:" + total.hexdigest()


# ---- checks


def parse(text: str) -> Json:
    """Return a checked manifest from its JSON text.

    Every key is there and of its type, what must go together does, the table of arrays has exactly the arrays of the
    kind, with shapes that fit one another, and the dataset digest is right: all that the format's tables say.

    Raises
    ------
    Failure
        One line that says what was expected and what came.
    """
    most = schema.limit("manifest_bytes")
    _expect(len(text.encode("utf-8", "surrogatepass")) <= most, f"its manifest has more than {most >> 20} MiB")
    try:
        manifest: Json = numbers.loads(text, parse_float=_refuse_float)
    except (ValueError, RecursionError) as error:
        raise Failure(f"its manifest is not valid JSON ({_short(error)})") from None
    _expect(isinstance(manifest, dict), "its manifest is not a JSON object")
    _check_version(manifest)
    try:
        same = canonical(manifest) == text.encode()
    except (ValueError, RecursionError):  # surrogates, or nested too deep
        same = False
    _expect(same, "its manifest is not in canonical form (sorted keys, no white space, no duplicates)")
    _check_digest(manifest)
    schema.check_fields(manifest)
    rules.check(manifest)
    layout.check(manifest)
    if Kind(manifest["kind"]).delta:
        _check_digest(manifest["of"])
    return manifest


def _check_digest(manifest: Json) -> None:
    recorded = manifest.get("dataset_digest")
    actual = digest({key: value for key, value in manifest.items() if key != "dataset_digest"})
    _expect(recorded == actual, f"its manifest does not match its own digest: {recorded!r:.80}, found {actual}")


def _check_version(manifest: Json) -> None:
    got = manifest.get("format")
    _expect(got == FORMAT, f"its manifest's format is {got!r:.60}, expected {FORMAT!r}")
    version = manifest.get("format_version")
    _expect(
        type(version) is int and version >= 1, f"its format version is {version!r:.60}, expected a positive integer"
    )
    newer = f"it is of format version {version}, this program reads up to {FORMAT_VERSION}: update it"
    _expect(version == FORMAT_VERSION, newer)
    modality = manifest.get("modality")
    known = isinstance(modality, str) and modality in INPUTS
    _expect(known, f"its modality is {modality!r:.60}; this program trains on 'image' and 'text'")
    kind = manifest.get("kind")
    _expect(kind in KINDS, f"its kind is {kind!r:.60}, expected {' or '.join(map(repr, KINDS))}")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise Failure(message)


def _refuse_float(text: str) -> Any:
    raise ValueError(f"a floating-point number, {text:.20}")


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:100]
