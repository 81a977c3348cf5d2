"""A saved network (`.keras`): its weights alone are taken, never the network that the file describes.

A `.keras` file is a ZIP archive of `config.json`, which can name code to be run, and `model.weights.h5`. A file may
come from a stranger. So the network is built by our own code, from sizes that the run recorded (`sizes`), and only
arrays are read from the file: `weights_of` has a child process inspect the archive and the HDF5 file in it first.
"""

import contextlib
import json
import math
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core import archives, child_process, files
from benchmark.core.errors import Failure
from benchmark.nn import normalisation, own
from benchmark.nn.networks import NETWORKS, NetworkSpec, Sizes

WHAT = "a model that can be loaded"
WEIGHTS = "model.weights.h5"
MEMBERS = ("metadata.json", "config.json", WEIGHTS)
MOST = 1 << 20  # classes, width and so on: no network is larger
SIDE = 4096  # pixels
NODES = 20_000  # groups and arrays of the weights
DEPTH = 12  # of their nesting
CONFIG_BYTES = 4 << 20


@dataclass(frozen=True)
class Saved:
    """The weights of a saved network: the HDF5 file, inspected and copied; the shapes of its arrays, and the sizes that
    `config.json` beside it spells (empty where it spells none that could be)."""

    path: Path
    shapes: Counter
    sizes: dict

    @property
    def values(self) -> int:
        """How many numbers there are."""
        return sum(math.prod(shape) * count for shape, count in self.shapes.items())


@contextlib.contextmanager
def weights_of(path: Path) -> Iterator[Saved]:
    """Return the weights in a `.keras` file, while the context lasts. `Failure` in one line where it is none."""
    folder = tempfile.mkdtemp(prefix="benchmark-")
    try:
        target = Path(folder) / WEIGHTS
        found = child_process.call("benchmark.nn.saved_weights", [str(path), str(target)], path, WHAT)
        shapes = Counter(tuple(shape) for shape in found["shapes"])
        yield Saved(target, shapes, found["sizes"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_of(path: Path) -> Path | None:
    """Return the folder of the run that a network, or a run's folder, belongs to; None where there is none."""
    around = (path, *path.absolute().parents[:2])
    return next((folder for folder in around if _is_run(folder)), None)


def _is_run(folder: Path) -> bool:
    try:
        found = files.read_json(folder / "config.json")
    except Failure:
        return False
    return isinstance(found, dict) and isinstance(found.get("model"), dict)


def sizes(path: Path, saved: Saved) -> dict:
    """Return the sizes of the network to be built for some weights, with `network`, the name of its kind.

    They are those of the run (`network` in its result.json, and its config.json). Runs of earlier versions do not say
    all of them, and a file outside a run nothing: then they are the numbers of the file's own description.

    Raises `Failure` where they are none, contradict each other, or are more than the weights could be of.
    """
    folder = run_of(path)
    config, result = ({}, {}) if folder is None else (files.read_json(folder / "config.json"), _result(folder))
    recorded = result.get("network") or saved.sizes
    if not isinstance(recorded, dict) or not recorded:
        raise Failure(f"{path}: neither a run's result.json nor the file records the size of its network")
    model = config.get("model", {})
    kind = model.get("name", recorded.get("network"))
    spec = (NETWORKS | {own.NAME: own.SPEC}).get(kind) if isinstance(kind, str) else None
    if spec is None:
        raise Failure(f"{path}: its network is {kind!r:.60}, expected one of {', '.join(NETWORKS)}")
    found = _named_sizes(recorded, spec)
    _check(found, spec, path)
    classes = (result.get("dataset") or {}).get("classes")
    for name, value in (model | ({"classes": len(classes)} if isinstance(classes, list) else {})).items():
        if name in (*spec.integers, *spec.words, "normalisation") and value != found.get(name):
            raise Failure(f"{path}: is a network of {name} {found.get(name)}, its run is of {value!r:.60}")
    if spec.least_weights(found) > saved.values:
        raise Failure(f"{path}: holds {saved.values:,} weights, too few for a network of {_words(found)}")
    return found | {"network": spec.name}


def _named_sizes(recorded: dict[str, Any], spec: NetworkSpec) -> Sizes:
    found = {name: recorded[name] for name in (*spec.integers, *spec.words, *spec.fractions) if name in recorded}
    if spec.of_images:
        found["image_shape"] = recorded.get("image_shape")
        found |= {"normalisation": recorded["normalisation"]} if "normalisation" in recorded else {}
    return found | {name: recorded.get(name, value) for name, value in spec.defaults.items()}


def _result(folder: Path) -> dict:
    path = folder / "result.json"
    found = files.read_json(path) if path.is_file() else {}
    if not isinstance(found, dict) or not isinstance(found.get("dataset", {}), dict):
        raise Failure(f"{path}: not the result of a run")
    return found


def _check(found: Sizes, spec: NetworkSpec, path: Path) -> None:
    """Raise `Failure` for a size that cannot be one."""
    for name in spec.integers:
        value, least = found.get(name), 0 if name == "seed" else 1
        if type(value) is not int or not (least <= value <= (1 << 62 if name == "seed" else MOST)):
            raise Failure(f"{path}: its network's {name} is {value!r:.60}, expected a whole number from {least}")
    for name, words in spec.words.items():
        if found.get(name) not in words:
            raise Failure(f"{path}: its network's {name} is {found.get(name)!r:.60}, expected {' or '.join(words)}")
    for name in spec.fractions:
        value = found.get(name, 0.0)
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise Failure(f"{path}: its network's {name} is {value!r:.60}, expected a number from 0, below 1")
    if spec.of_images:
        shape = found["image_shape"]
        sane = isinstance(shape, (list, tuple)) and len(shape) == 3
        if not sane or not all(type(side) is int and 1 <= side <= SIDE for side in shape):
            raise Failure(f"{path}: its network's image_shape is {shape!r:.60}, expected height, width and channels")
        found["image_shape"] = tuple(shape)
    try:
        if "normalisation" in found:
            normalisation.check(found["normalisation"], found["image_shape"])
        spec.check(found)
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None


def _words(found: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


# ---- in the child process


def inspect(path: str, target: str) -> dict:
    """Take the weights out of a `.keras` file, into `target`; the shapes of its arrays, and sizes of the network."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, Path(path).stat().st_size)
            with archive.open(WEIGHTS) as member, open(target, "xb") as out:
                shutil.copyfileobj(member, out, 1 << 20)
            described = archive.read("config.json") if "config.json" in archive.namelist() else b"{}"
    except archives.BROKEN as error:
        raise Failure(f"not a model ({_one_line(error)})") from None
    return {"shapes": _shapes(target), "sizes": _described(described)}


def _described(text: bytes) -> dict:
    """Return the sizes that a `config.json` spells for a network of ours: numbers, looked up as in any JSON.

    Empty for other networks; what is wrong with a number is reported where it is used.

    Nothing that it names is ever imported or called. Where it names what no network of ours has, the file is refused.
    """
    try:
        described = json.loads(text)
        foreign = next(_foreign(described), None)
    except (ValueError, RecursionError) as error:
        raise Failure(f"not a model: its config.json cannot be read ({_one_line(error)})") from None
    if foreign is not None:
        raise Failure(f"its config.json describes {foreign!r:.80}, which no network here has; it is never made use of")
    for spec in NETWORKS.values():
        with contextlib.suppress(KeyError, TypeError, AttributeError):
            if spec.described is not None:
                spelled = {"network": spec.name} | spec.described(described)
                return spelled | (normalisation.described(described) if spec.of_images else {})
    return {}


def _keras_classes() -> frozenset[str]:
    """Return what the descriptions of our networks name."""
    return frozenset().union(*(spec.keras_classes for spec in NETWORKS.values()))


def _foreign(part: Any) -> Iterator[str]:
    """Yield the classes and functions in a description that belong to none of our networks."""
    if isinstance(part, dict):
        if "class_name" in part:
            module = part.get("module") or "keras"
            ours = isinstance(module, str) and module.split(".")[0] in ("keras", "benchmark")
            if not ours or str(part["class_name"]) not in _keras_classes():
                yield f"{module}.{part['class_name']}"
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _foreign(one)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    for member in members:
        if member.filename not in MEMBERS:
            raise Failure(f"not a model: holds {member.filename!r:.80}, expected {', '.join(MEMBERS)} alone")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size > size:
            raise Failure(f"not a model: {member.filename} is compressed or encrypted, as Keras writes none")
    if len(set(names)) < len(names) or sum(member.file_size for member in members) > size:
        raise Failure("not a model: it holds the same bytes or the same name twice")
    if WEIGHTS not in names:
        raise Failure(f"not a model: it holds no {WEIGHTS}")
    if any(member.file_size > CONFIG_BYTES for member in members if member.filename != WEIGHTS):
        raise Failure("not a model: its config.json is too large")


def _shapes(path: str) -> list[list[int]]:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            found = [list(node.shape) for node in _arrays(file, "", [0])]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{WEIGHTS} in it cannot be read ({_one_line(error)})") from None
    if 4 * sum(map(math.prod, found)) > Path(path).stat().st_size:  # or what is built for them were larger than this
        raise Failure(f"{WEIGHTS} in it: its arrays overlap")
    return found


def _arrays(group, prefix: str, count: list[int]):
    """Every array below a group. Each is plain float32 in this file; groups have no attribute but Keras' `name`."""
    import h5py

    count[0] += len(group)
    if prefix.count("/") > DEPTH or count[0] > NODES:
        raise Failure(f"{WEIGHTS} in it is nested too deep, or holds too much: {prefix!r:.80}")
    _check_attributes(group, prefix or "/")
    for name in group:
        path = prefix + name
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise Failure(f"{WEIGHTS} in it holds a link at {path!r:.80}")
        node = group[name]
        if isinstance(node, h5py.Group):
            yield from _arrays(node, path + "/", count)
        elif isinstance(node, h5py.Dataset):
            _check_array(node, path)
            yield node
        else:
            raise Failure(f"{WEIGHTS} in it: {path!r:.80} is neither a group nor an array")


def _check_attributes(group, path: str) -> None:
    for name in group.attrs:
        if name != "name" or not isinstance(group.attrs[name], str):
            raise Failure(f"{WEIGHTS} in it: {path!r:.80} has an attribute {name!r:.40}, expected none but a name")


def _check_array(node, path: str) -> None:
    if node.dtype.str != "<f4" or node.shape is None:
        raise Failure(f"{WEIGHTS} in it: {path!r:.80} is of type {node.dtype.str!r:.40}, expected '<f4'")
    if node.is_virtual or node.external:
        raise Failure(f"{WEIGHTS} in it: {path!r:.80} keeps its data in another file")
    if node.chunks is not None or node.id.get_create_plist().get_nfilters() or len(node.attrs):
        raise Failure(f"{WEIGHTS} in it: {path!r:.80} is chunked, filtered or has attributes")
    size = Path(node.file.filename).stat().st_size
    offset = node.id.get_offset()
    if node.size and (offset is None or offset + node.nbytes > size):
        raise Failure(f"{WEIGHTS} in it: {path!r:.80} reaches beyond the end of the file")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


if __name__ == "__main__":
    sys.exit(child_process.answer(lambda: inspect(*sys.argv[1:]), WHAT))
