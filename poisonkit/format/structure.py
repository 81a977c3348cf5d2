"""A look at a foreign file before anything in it is believed.

libhdf5 can crash or hang on a damaged file, beyond the reach of a Python signal. So the file is opened in a child
process first (`child`), which checks the whole structure against the manifest and hands the manifest back. No array's
data are read but the texts', each of which is an object of libhdf5's own.
"""

import os
from pathlib import Path

import h5py

from poisonkit.core import child_process, hashing, modality, numbers
from poisonkit.core.errors import Failure
from poisonkit.core.modality import IMAGE, TEXT
from poisonkit.format import manifest, schema, string_arrays

MAX_MANIFEST = 1 << 26

FIELDS = {"train/labels": ("<i8", 1), "test/labels": ("<i8", 1)}
POISONED_FIELDS = {
    "triggered/labels": ("<i8", 1),
    "triggered/wanted": ("<i8", 1),
    "triggered/rows": ("<i8", 1),
    "truth/rows": ("<i8", 1),
    "truth/role": ("|u1", 1),
    "truth/labels": ("<i8", 1),
}
OTHERS_FIELDS = {"others/labels": ("<i8", 1), "others/rows": ("<i8", 1)}
"""In a source-specific file alone, and not where every test row is of the source classes or the target."""
INSERTIONS = ("<i8", 2)
"""Of a file of texts, in the groups of changed ones; not where no trigger inserts anything."""
PLACES = 4  # what an insertion says: row, trigger, place, piece
TRIGGER_FIELDS = {"taps": ("<i4", 4), "weights": ("<i4", 4), "bias": ("<i4", 3), "mask": ("|u1", 3)}
TRIGGER_EXTRAS = {"pattern": ("|u1", 3), "flow": ("<f8", 3)}


DATA_SETS = ("clean", "poisoned")
"""The kinds of files that hold a whole data set; the others have commands of their own."""


class _Wrong(Exception):
    """What is wrong with a file, without its name."""


def inspect(path: Path, kinds: tuple[str, ...] = DATA_SETS) -> dict:
    """The manifest of a file whose structure is sound: every array there, with its dtype and shape, plainly stored.

    Raises `Failure` with one line otherwise, and for a file of another kind than those.
    """
    if not path.is_file():
        raise Failure(f"{path}: no such file" if not path.exists() else f"{path}: is no file")
    if not hasattr(os, "fork"):
        return _checked(path, kinds)
    answer = child_process.ask(lambda alive: _look(path, kinds, alive), _Wrong)
    if "error" in answer:
        raise Failure(f"{path}: {answer['error']}")
    return answer["value"]


def opened(path: Path) -> h5py.File:
    """A file open for reading, without HDF5's locks: not every file system has them. Where this process has it open
    with locks already, with these. Raises OSError."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "file locking flag" not in str(error):
            raise
        return h5py.File(path, "r")


def _checked(path: Path, kinds: tuple[str, ...]) -> dict:
    try:
        return _look(path, kinds)
    except _Wrong as error:
        raise Failure(f"{path}: {error}") from None


def _look(path: Path, kinds: tuple[str, ...], alive=lambda: None) -> dict:
    """The manifest, once everything fits it; `alive` is called after each step, and now and then in the longer ones."""
    try:
        file = opened(path)
    except OSError as error:
        if error.errno is not None:
            raise _Wrong(f"could not be opened: {os.strerror(error.errno)}") from error
        if "alloc" in str(error):
            raise
        if not h5py.is_hdf5(path):
            raise _Wrong("is no HDF5 file, or was cut off at its beginning") from error
        raise _Wrong(f"is a damaged or truncated HDF5 file ({str(error).splitlines()[0]})") from error
    with file:
        facts = _manifest(file, alive)
        found = dict(_datasets(file))
        _compare(facts, found)
        alive()
        if wrong := schema.problem(facts, kinds):
            raise _Wrong(wrong)
        alive()
        SEMANTICS[facts["kind"]](facts)
        for name, dataset in found.items():
            if facts["arrays"][name]["dtype"] == TEXT.dtype and (
                wrong := string_arrays.problem(path, name, dataset, alive)
            ):
                raise _Wrong(wrong)
        return facts


def _manifest(file: h5py.File, alive) -> dict:
    if "manifest" not in file.attrs:
        raise _Wrong("has no manifest: it was not written by poisonkit")
    if len(file.attrs) != 1:
        raise _Wrong("has attributes beside its manifest: the format has none")
    text = file.attrs["manifest"]
    if not isinstance(text, str) or len(text) > MAX_MANIFEST:
        raise _Wrong("its manifest is no text")
    alive()
    try:
        facts = numbers.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"its manifest is no JSON ({error})") from None
    if not isinstance(facts, dict) or facts.get("format") != manifest.FORMAT:
        raise _Wrong("its manifest is not poisonkit's")
    version = facts.get("format_version")
    if type(version) is not int or version < 1:
        raise _Wrong(f"is of format version {version!r:.60}, which never was")
    if version > manifest.FORMAT_VERSION:
        raise _Wrong(
            f"is of format version {version}; this poisonkit reads up to {manifest.FORMAT_VERSION}: take a newer one"
        )
    if wrong := modality.problem(facts):
        raise _Wrong(wrong)
    alive()
    _check_spelling(facts, text)
    alive()
    return facts


def _check_spelling(facts: dict, text: str) -> None:
    """A manifest has one spelling: other parsers could read something else in a text that, say, has a key twice."""
    try:
        if hashing.canonical(facts) != text.encode():
            raise _Wrong("its manifest is not canonical JSON (sorted keys, each once, no white space)")
    except (TypeError, ValueError, RecursionError) as error:
        raise _Wrong(f"its manifest is not canonical JSON ({error})") from None


def _datasets(group: h5py.Group, prefix: str = ""):
    """(path, dataset) of everything below a group, by hard links alone."""
    for name in group:
        path = prefix + name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _Wrong(f"{path} is a link to elsewhere: refused")
        if path.count("/") > 2:
            raise _Wrong(f"{path} lies deeper than the format goes")
        child = group[name]
        if len(child.attrs):
            raise _Wrong(f"{path} has attributes: the format has none but the manifest")
        if isinstance(child, h5py.Group):
            if not len(child):
                raise _Wrong(f"{path} is an empty group: the format has none")
            yield from _datasets(child, path + "/")
        elif isinstance(child, h5py.Dataset):
            yield path, child
        else:
            raise _Wrong(f"{path} is neither group nor dataset")


def _compare(facts: dict, found: dict) -> None:
    """The datasets against the manifest's `arrays`: no more, no fewer, each as it says, and plainly stored."""
    named = facts.get("arrays")
    if not isinstance(named, dict):
        raise _Wrong("its manifest names no arrays")
    for path in sorted(named.keys() - found.keys()):
        raise _Wrong(f"{path} is missing")
    for path in sorted(found.keys() - named.keys()):
        raise _Wrong(f"{path} is not in the manifest")
    for path, dataset in found.items():
        entry = named[path]
        if wrong := schema.array_problem(entry):
            raise _Wrong(f"{path}: {wrong}")
        texts = string_arrays.is_text(dataset)
        dtype = TEXT.dtype if texts else dataset.dtype.str
        if dataset.shape is None or (entry["dtype"], entry["shape"]) != (dtype, list(dataset.shape)):
            raise _Wrong(
                f"{path} is {dtype:.40} {dataset.shape}, its manifest says {entry['dtype']:.40} {entry['shape']!s:.60}"
            )
        plain = dataset.id.get_create_plist()
        if plain.get_layout() != h5py.h5d.CONTIGUOUS or plain.get_nfilters() or plain.get_external_count():
            raise _Wrong(f"{path} is compressed, chunked, virtual or kept in another file: the format has plain arrays")
        size = dataset.size * (string_arrays.REFERENCE if texts else dataset.dtype).itemsize
        if size and dataset.id.get_storage_size() != size:
            raise _Wrong(f"{path} is cut off: {dataset.id.get_storage_size()} of {size} bytes")


def _data_set(facts: dict) -> None:
    """The arrays that a data set must have, and how their sizes fit together."""
    expected, rows = dict(FIELDS), modality.of(facts)
    if facts["kind"] == "poisoned":
        expected |= POISONED_FIELDS
        if "others" in facts["counts"]:
            expected |= OTHERS_FIELDS
    groups = {path.split("/")[0] for path in expected}
    expected |= {rows.path(group): rows.form for group in groups}
    if facts["kind"] == "poisoned":
        expected |= _trigger_fields(facts) if rows == IMAGE else _insertions(facts, groups - {"train", "test"})
    _expect(facts, expected)
    _same_sizes(facts)


def _insertions(facts: dict, groups: set[str]) -> dict:
    """The insertions that are there: path → (dtype, number of dimensions)."""
    paths = {f"{group}/insertions" for group in groups} & facts["arrays"].keys()
    for path in paths:
        if facts["arrays"][path]["shape"][1:] != [PLACES]:
            raise _Wrong(f"{path} is of {facts['arrays'][path]['shape']}, expected {PLACES} numbers a row")
    return dict.fromkeys(paths, INSERTIONS)


def _key(facts: dict) -> None:
    """The key's arrays are those of the original data set, but for what the sealed file has and what the trigger makes
    again."""
    original = facts["of"]
    SEMANTICS[original["kind"]](original)
    expected = {path: entry for path, entry in original["arrays"].items() if kept_in_key(path)}
    expected |= _left(facts)
    if facts["arrays"] != expected:
        differing = sorted(path for path, entry in expected.items() if facts["arrays"].get(path) != entry)
        differing = differing or sorted(facts["arrays"].keys() - expected.keys())
        raise _Wrong(f"its arrays are not those that a key keeps of its original: {', '.join(differing[:3])}")


def _left(facts: dict) -> dict:
    """A key's arrays of the rows that its sealed file is without, where it has them: all of them, and such as fit."""
    kind, found = modality.of(facts), {p: entry for p, entry in facts["arrays"].items() if p.startswith("left/")}
    forms = {"left/rows": FIELDS["train/labels"], "left/labels": FIELDS["train/labels"], kind.path("left"): kind.form}
    if found and found.keys() != forms.keys():
        raise _Wrong(f"a key has {', '.join(sorted(forms))}, or none of them: this one has {', '.join(sorted(found))}")
    for path, entry in found.items():
        more = facts["of"]["arrays"][kind.path("train")]["shape"][1:] if path == kind.path("left") else []
        shape = [*found["left/rows"]["shape"][:1], *more]
        if (entry["dtype"], entry["shape"], len(shape)) != (forms[path][0], shape, forms[path][1]) or 0 in shape:
            raise _Wrong(f"{path} is {entry['dtype']} {entry['shape']}, expected {forms[path][0]} {shape}")
    return found


def kept_in_key(path: str) -> bool:
    """Whether a key keeps this array of the original: neither what the sealed file has nor what follows from it."""
    group, last = path.rsplit("/", 1)
    return group not in ("train", "test") and (last not in ("images", "labels") or group == "truth")


def _trigger_fields(facts: dict) -> dict:
    """The arrays of `trigger/`: path → (dtype, number of dimensions)."""
    expected = {}
    for i in range(len(facts["recipe"]["triggers"])):
        expected |= {f"trigger/{i}/{part}": form for part, form in TRIGGER_FIELDS.items()}
        extras = {f"trigger/{i}/{part}": form for part, form in TRIGGER_EXTRAS.items()}
        expected |= {path: form for path, form in extras.items() if path in facts["arrays"]}
    return expected


def _expect(facts: dict, expected: dict) -> None:
    """Exactly these arrays, path → (dtype, number of dimensions), none of them empty."""
    if expected.keys() != facts["arrays"].keys():
        raise _Wrong(
            f"its arrays are not those of a {facts['kind']} file: {sorted(expected.keys() ^ facts['arrays'].keys())}"
        )
    for path, (dtype, dimensions) in expected.items():
        entry = facts["arrays"][path]
        if entry["dtype"] != dtype or len(entry["shape"]) != dimensions or 0 in entry["shape"]:
            raise _Wrong(
                f"{path} must be {dtype} with {dimensions} dimension(s) and not empty, its manifest says {entry}"
            )


def _same_sizes(facts: dict) -> None:
    rows, shapes = modality.of(facts), {path: entry["shape"] for path, entry in facts["arrays"].items()}
    for path, shape in shapes.items():
        group, last = path.rsplit("/", 1)
        beside = shapes.get(rows.path(group))
        if beside and last != "insertions" and shape[0] != beside[0]:
            raise _Wrong(f"{path} has {shape[0]} rows, {rows.path(group)} {beside[0]}")
    if rows == IMAGE:
        _same_images(facts, shapes)


def _same_images(facts: dict, shapes: dict) -> None:
    """Images of one shape, and triggers that fit them."""
    image = shapes["train/images"][1:]
    if image[2] not in (1, 3):
        raise _Wrong(f"train/images have {image[2]} channels, expected 1 (grey) or 3 (RGB)")
    tile = (facts["recipe"]["patch"] if facts["kind"] == "poisoned" else None) or image[:2]
    if image[0] % tile[0] or image[1] % tile[1]:
        raise _Wrong(f"its patches of {tile[0]}×{tile[1]} do not divide images of {image[0]}×{image[1]}")
    for path, shape in shapes.items():
        group, last = path.rsplit("/", 1)
        if last == "images" and shape[1:] != image:
            raise _Wrong(f"{path} holds images of {shape[1:]}, train/images of {image}")
        if last in TRIGGER_FIELDS and shape[:3] != image:
            raise _Wrong(f"{path} is for images of {shape[:3]}, train/images are of {image}")
        if last == "weights" and shape != shapes[f"{group}/taps"]:
            raise _Wrong(f"{path} is of {shape}, {group}/taps of {shapes[f'{group}/taps']}")
        if last in TRIGGER_EXTRAS and not _fits(last, shape, tile, image[2]):
            raise _Wrong(f"{path} is of {shape}, which does not fit tiles of {tile[0]}×{tile[1]}")


def _fits(part: str, shape: list[int], tile: list[int], channels: int) -> bool:
    """Whether a trigger's extra array is of the tile's size; a pattern with opacity, a channel more, may be smaller."""
    if part == "pattern" and shape[2] == channels + 1:
        return shape[0] <= tile[0] and shape[1] <= tile[1]
    return shape == [*tile, channels if part == "pattern" else 2]


def _delta(facts: dict) -> None:
    """The original's manifest must be that of a sound file, and the delta's arrays must fit it."""
    of = facts["of"]
    _data_set(of)
    shapes = {path: entry["shape"] for path, entry in of["arrays"].items()}
    expected = {"changed/rows": ("<i8", 1), "changed/role": ("|u1", 1), "changed/labels": ("<i8", 1)}
    rows = modality.of(facts)
    if rows == IMAGE:
        expected |= {path: form for path, form in _trigger_fields(of).items() if not path.endswith("/mask")}
    else:
        expected |= _delta_texts(of)
    if rows == TEXT or {"kept/rows", "kept/images"} & facts["arrays"].keys():
        expected |= {"kept/rows": ("<i8", 1), rows.path("kept"): rows.form}
    for group in ("triggered", "others"):
        if f"{group}/rows" in facts["arrays"]:
            expected |= {f"{group}/{name}": ("<i8", 1) for name in ("rows", "wanted") if f"{group}/{name}" in shapes}
    _expect(facts, expected)
    for path, entry in facts["arrays"].items():
        group, last = path.rsplit("/", 1)
        counts = {"changed": shapes["truth/rows"], "kept": facts["arrays"].get("kept/rows", {}).get("shape")}
        wanted = shapes.get(path) or counts[group] + (shapes["train/images"][1:] if last == "images" else [])
        wanted = shapes["truth/insertions"] if path == "changed/insertions" else wanted
        if entry["shape"] != wanted:
            raise _Wrong(f"{path} is of {entry['shape']}, expected {wanted}")


def _delta_texts(of: dict) -> dict:
    """What a delta of texts has of its original beside rows and labels: path → (dtype, number of dimensions)."""
    texts = {"triggered/texts", "others/texts"} & of["arrays"].keys()
    found = [path.replace("truth/", "changed/") for path in of["arrays"] if path.endswith("/insertions")]
    return dict.fromkeys(texts, TEXT.form) | dict.fromkeys(found, INSERTIONS)


SEMANTICS = {"clean": _data_set, "poisoned": _data_set, "sealed": _data_set, "delta": _delta, "key": _key}
"""Kind → what checks that a file has the arrays of its kind, raising `_Wrong`."""
