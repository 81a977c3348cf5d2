"""Canonical JSON, digests, and the manifest. See data/FORMAT.md, "The manifest"."""

import hashlib
import json

from poisonkit.core.modality import TEXT

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


def canonical(value) -> bytes:
    """Canonical JSON: UTF-8, sorted keys, no white space. Floats are refused: their spelling is not unique."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _refuse_floats(value) -> None:
    if isinstance(value, float):
        raise TypeError(f"no floats in a manifest, got {value!r}")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _refuse_floats(child)


def sha256(data: bytes) -> str:
    """``"sha256:"`` and the hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value) -> str:
    """SHA-256 of a value's canonical JSON."""
    return sha256(canonical(value))


class ArrayHash:
    """The digest of an array that arrives in blocks of rows.

    SHA-256 of ``"<dtype> <d0>,<d1>,…\\n"`` and the C-order bytes; dtype and shape are those of the whole array.
    """

    def __init__(self, dtype: str, shape: tuple[int, ...]):
        self._hash = hashlib.sha256(f"{dtype} {','.join(map(str, shape))}\n".encode())

    def update(self, block) -> None:
        """Add a C-contiguous block of the array's own dtype."""
        self._hash.update(block.reshape(-1).view("u1").data)

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class TextHash:
    """The digest of an array of texts that arrives in blocks of rows.

    SHA-256 of, for each row, its length in bytes of UTF-8 as 8 bytes little-endian, then the bytes.
    """

    def __init__(self):
        self._hash = hashlib.sha256()

    def update(self, block) -> None:
        """Add rows, an iterable of `str`."""
        for text in block:
            data = text.encode()
            self._hash.update(len(data).to_bytes(8, "little") + data)

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def hasher(dtype: str, shape) -> ArrayHash | TextHash:
    """What takes the digest of an array of that dtype, as the manifest spells it, and shape."""
    return TextHash() if dtype == TEXT.dtype else ArrayHash(dtype, shape)


def dtype_of(array) -> str:
    """The dtype of an array as the manifest spells it."""
    return TEXT.dtype if array.dtype == object else array.dtype.str


def array_digest(array) -> str:
    """Digest of a C-contiguous little-endian array, or of an array of texts."""
    total = hasher(dtype_of(array), array.shape)
    total.update(array)
    return str(total)


def dataset_digest(manifest: dict) -> str:
    """SHA-256 of the manifest without its own `dataset_digest`."""
    return digest({key: value for key, value in manifest.items() if key != "dataset_digest"})


def told(options: dict) -> dict:
    """Those of a source's options that may be told to people."""
    return {key: value for key, value in options.items() if key not in SECRETS}


def recipe_versions(facts: dict) -> tuple[int, ...]:
    """The recipe versions of which this program makes a file such as the one whose manifest is given."""
    source = facts.get("source")
    options = source.get("options") if isinstance(source, dict) else None
    hidden = facts.get("kind") == "poisoned" and isinstance(options, dict) and "camouflage" in options
    return (RECIPE_VERSION, CAMOUFLAGED_LAST) if hidden else (RECIPE_VERSION,)


def camouflaged_last(facts: dict) -> bool:
    """Whether a file's training rows got the trigger first, and the camouflage then."""
    return facts["recipe_version"] == CAMOUFLAGED_LAST and CAMOUFLAGED_LAST in recipe_versions(facts)


def describe(asked, there, where: str = ""):
    """One short line for each value in which two JSON values differ; of secrets, that they do."""
    if isinstance(asked, dict) and isinstance(there, dict):
        for key in sorted(asked.keys() | there.keys()):
            yield from describe(asked.get(key), there.get(key), f"{where}.{key}" if where else key)
    elif isinstance(asked, list) and isinstance(there, list) and len(asked) == len(there):
        for i, (left, right) in enumerate(zip(asked, there, strict=True)):
            yield from describe(left, right, f"{where}[{i}]")
    elif asked != there and where.rsplit(".", 1)[-1] in SECRETS:
        yield f"{where}: another here than there"
    elif asked != there:
        yield f"{where}: {_short(asked)} here, {_short(there)} there"


def _short(value) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
