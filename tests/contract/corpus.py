"""Some two hundred small files, each a sound one or one change away from it, and whether a reader must accept it.

A case is a base (a recipe of `running`, or a delta or sealed file of one), a change of its manifest and arrays, and the
verdict. Digests are made right again after the change, so that a reader has nothing but the format to go by.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import damage
import h5py
import naive
from corpus_arrays import ARRAYS
from corpus_changes import nothing, put
from corpus_manifests import VALUES

ROOT = Path(__file__).resolve().parents[2]

MADE = {
    "delta": ("pack", "square", "delta.h5"),
    "delta-others": ("pack", "source-specific", "delta.h5"),
    "delta-blend": ("pack", "blend-patch", "delta.h5"),
    "delta-refool": ("pack", "refool", "delta.h5"),
    "delta-one-of": ("pack", "one-of", "delta.h5"),
    "delta-text": ("pack", "text-word", "delta.h5"),
    "sealed": ("seal", "square", "challenge.h5"),
    "sealed-text": ("seal", "text-word", "challenge.h5"),
}
"""Base → the command that makes it of a file of the library."""


@dataclass(frozen=True)
class Case:
    """One file: `change(file, facts)` alters an open HDF5 file and the manifest that will be written into it."""

    name: str
    base: str
    accepted: bool
    change: Callable

    def __str__(self) -> str:
        return f"{self.base}: {self.name}"


def write(case: Case, base: Path, target: Path) -> Path:
    """The case's file. Arrays that the change left alone keep their digests."""
    shutil.copyfile(base, target)
    with h5py.File(target, "r+") as file:
        facts = damage.manifest(base)
        before = {path: entry.copy() for path, entry in facts["arrays"].items()}
        case.change(file, facts)
        if facts.pop("redigest", True) and isinstance(facts.get("arrays"), dict):
            _redigest(file, facts, before)
        if isinstance(facts.get("of"), dict):
            facts["of"] = damage.sealed(facts["of"])
        del file.attrs["manifest"]
        file.attrs["manifest"] = facts.get("text") or damage.canonical(damage.sealed(facts))
    return target


def _redigest(file, facts: dict, before: dict) -> None:
    """Digests, dtypes and shapes of the arrays as they are; of entries that were changed by hand nothing."""
    found = {}
    file.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
    for name in [name for name in facts["arrays"] if name not in found and facts["arrays"][name] == before.get(name)]:
        del facts["arrays"][name]
    for name, node in found.items():
        if facts["arrays"].get(name, before.get(name)) == before.get(name):
            facts["arrays"][name] = _entry(node)


def _entry(node) -> dict:
    array = node[()]
    texts = node.dtype == object
    try:
        digest = naive.array_digest(array)
    except (TypeError, AttributeError):
        digest = f"sha256:{hashlib.sha256(b'').hexdigest()}"
    return {"digest": digest, "dtype": "text" if texts else node.dtype.str, "shape": list(node.shape or [])}


# ---------------------------------------------------------------- the cases

BASES = ("clean", "square", "square-patch", "blend", "blend-patch", "warped", "source-specific", "all-to-all")
BASES += ("clean-label", "wanet", "two", "camouflaged", "text-clean", "text-word", "text-two", "text-source-specific")
BASES += ("text-composite", "adaptive-blend", "adaptive-k-way", "one-of", "tact", "refool", *MADE)

OPTIONAL = {
    ("wanet", "recipe.cover_jitter"): True,
    ("wanet", "recipe.cover_rate"): False,
    ("source-specific", "recipe.cover_rate"): True,
    ("source-specific", "recipe.source_classes"): False,
    ("source-specific", "counts.others"): False,
}
"""Base and optional key that it has → whether it is sound without that."""

REMOVED = ("clean", "source-specific", "wanet", "text-word", "delta", "sealed")
"""The bases each key of whose manifests is taken out once."""


def cases(schema: dict) -> list[Case]:
    """Every case: the bases, the changes above, and each base of `REMOVED` without each key that its kind has."""
    found = [Case("as it is", base, True, nothing) for base in BASES]
    found += [Case(name, base, accepted, put(place, value)) for name, base, accepted, place, value in VALUES]
    found += [Case(name, base, accepted, change) for name, base, accepted, change in ARRAYS]
    kinds = {"clean": "clean", "delta": "delta", "sealed": "sealed"}
    for base in REMOVED:
        for field in schema["fields"]:
            key, own = field["key"], kinds.get(base, "poisoned") in field["kinds"]
            if own and key != "dataset_digest" and ("optional" not in field or (base, key) in OPTIONAL):
                found.append(Case(f"no {key}", base, OPTIONAL.get((base, key), False), put(key, ...)))
    return found
