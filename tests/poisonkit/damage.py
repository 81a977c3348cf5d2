"""Files of the format, changed on purpose."""

import hashlib
import json
import shutil
from pathlib import Path

import h5py
import naive
import numpy as np


def copy(path: Path, folder: Path, name: str = "changed.h5") -> Path:
    """A copy that may be changed, without its sidecar."""
    return Path(shutil.copyfile(path, folder / name))


def manifest(path: Path) -> dict:
    with h5py.File(path) as f:
        return json.loads(f.attrs["manifest"])


def canonical(value) -> str:
    """Canonical JSON; what UTF-8 cannot hold (half of a surrogate pair) is escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def write_manifest(path: Path, value) -> None:
    """Put a manifest (or any text) into a file."""
    text = value if isinstance(value, (str, bytes)) else canonical(value)
    with h5py.File(path, "r+") as f:
        del f.attrs["manifest"]
        f.attrs["manifest"] = text


def sealed(facts: dict) -> dict:
    """A manifest whose own digest is right again."""
    rest = {key: value for key, value in facts.items() if key != "dataset_digest"}
    return rest | {"dataset_digest": f"sha256:{hashlib.sha256(canonical(rest).encode()).hexdigest()}"}


def reseal(path: Path, **changes) -> None:
    """Make every digest of a file fit its arrays again, as somebody with bad intent would. `changes` go into it."""
    facts = manifest(path) | changes
    with h5py.File(path) as f:
        facts["arrays"] = {
            name: {
                "digest": naive.array_digest(f[name][()]),
                "dtype": "text" if f[name].dtype == object else f[name].dtype.str,
                "shape": list(f[name].shape),
            }
            for name in facts["arrays"]
        }
    write_manifest(path, sealed(facts))


def set_rows(path: Path, name: str, values: dict) -> None:
    """Set single elements of an array: flat index → value."""
    with h5py.File(path, "r+") as f:
        array = f[name][()]
        for at, value in values.items():
            array.reshape(-1)[at] = value
        f[name][...] = array


def replace(path: Path, name: str, array, **options) -> None:
    """Put another array in the place of one."""
    with h5py.File(path, "r+") as f:
        del f[name]
        if getattr(array, "dtype", np.dtype(int)).hasobject:  # texts
            options = {"dtype": h5py.string_dtype()} | options
        f.create_dataset(name, data=array, **options)


def paths(value, prefix=()):
    """The place of every value in a JSON tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*prefix, key)
        yield from paths(child, (*prefix, key))


def changed(facts: dict, place: tuple, value) -> dict:
    """A copy of a JSON tree with one value replaced (or removed: `...`)."""
    facts = json.loads(json.dumps(facts))
    parent = facts
    for key in place[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return facts
