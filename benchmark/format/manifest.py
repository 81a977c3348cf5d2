"""The manifest of a data set file, as data/FORMAT.md defines it: parsed, checked, its digests recomputed."""

import hashlib
import json
import re

from benchmark.core import file_names, numbers
from benchmark.core.errors import Failure

FORMAT = "poisonkit"
FORMAT_VERSION = 1
TEXT = "text"  # a modality, and the dtype of its rows in the table of arrays
INPUTS = {"image": "images", TEXT: "texts"}  # modality -> what the arrays of its rows are called
KINDS = ("poisoned", "clean", "delta", "sealed")

_FORMS = {"image": ("|u1", 4), TEXT: (TEXT, 1)}  # dtype and number of dimensions
_FIXED = {  # path -> the same, beside the rows; the trigger's arrays are matched by _TRIGGER
    "train/labels": ("<i8", 1), "test/labels": ("<i8", 1),
    "triggered/labels": ("<i8", 1), "triggered/wanted": ("<i8", 1), "triggered/rows": ("<i8", 1),
    "truth/rows": ("<i8", 1), "truth/role": ("|u1", 1), "truth/labels": ("<i8", 1),
}  # fmt: skip
_OTHERS = {"others/labels": ("<i8", 1), "others/rows": ("<i8", 1)}  # with its images or texts: all or none
_INSERTIONS = {f"{group}/insertions": ("<i8", 2) for group in ("truth", "triggered", "others")}  # texts', where made
_GROUPS = ("train", "test", "triggered", "others", "truth")
_TRIGGER = {
    "taps": ("<i4", 4), "weights": ("<i4", 4), "bias": ("<i4", 3), "mask": ("|u1", 3),
    "pattern": ("|u1", 3), "flow": ("<f8", 3),
}  # fmt: skip
_DELTA = {
    "changed/rows": ("<i8", 1), "changed/role": ("|u1", 1), "changed/labels": ("<i8", 1),
    "kept/rows": ("<i8", 1),
}  # fmt: skip
_SPELLED_OUT = {  # in a delta only where they are not the usual ones
    "triggered/rows": ("<i8", 1), "triggered/wanted": ("<i8", 1), "others/rows": ("<i8", 1),
}  # fmt: skip
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RATE = re.compile(r"1|0\.[0-9]{0,30}[1-9]")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SIDE = 4096  # pixels; larger images are a mistake or an attack
_ROWS = 2**31


def canonical(value) -> bytes:
    """Canonical JSON: UTF-8, sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value) -> str:
    """`sha256:` and the SHA-256 of a value's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def dtype_of(array) -> str:
    """The dtype of an array as the table of arrays spells it: `text` for (n,) object, of str."""
    return TEXT if array.dtype == object else array.dtype.str


def array_digest(array) -> str:
    """Digest of a C-contiguous little-endian array: dtype and shape as a line, then its bytes. Of texts, for each row
    its length in bytes as 8 bytes, and its bytes."""
    if dtype_of(array) == TEXT:
        total = hashlib.sha256()
        for text in array:
            data = text.encode()
            total.update(len(data).to_bytes(8, "little") + data)
        return "sha256:" + total.hexdigest()
    total = hashlib.sha256(f"{array.dtype.str} {','.join(map(str, array.shape))}\n".encode())
    total.update(array.reshape(-1).view("u1").data)
    return "sha256:" + total.hexdigest()


def parse(text: str) -> dict:
    """A checked manifest from its JSON text.

    Everything that `benchmark` relies on is there and of the right type, the array table has exactly the arrays
    of its kind with sane shapes, and the dataset digest is right.

    Raises
    ------
    Failure
        One line that says what was expected and what came.
    """
    try:
        manifest = json.loads(text, parse_float=_refuse_float, parse_constant=_refuse_float)
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
    if manifest["kind"] == "delta":
        _check_delta(manifest)
    else:
        _check_data_set(manifest)
    return manifest


def _check_digest(manifest: dict) -> None:
    recorded = manifest.get("dataset_digest")
    actual = digest({key: value for key, value in manifest.items() if key != "dataset_digest"})
    _expect(recorded == actual, f"its manifest does not match its own digest: {recorded!r:.80}, found {actual}")


def _check_data_set(manifest: dict) -> None:
    _check_source(manifest)
    if manifest["kind"] != "sealed":
        _check_recipe(manifest)
    counts = manifest.get("counts")
    _expect(isinstance(counts, dict), "its manifest has no counts")
    for name, value in counts.items():
        _expect(numbers.is_count(value), f"it counts {value!r:.60} {name:.60}, expected a whole number, not negative")
    _check_arrays(manifest)


def _check_delta(manifest: dict) -> None:
    """The original's manifest is one of a poisoned file, and the delta's own arrays fit it."""
    of, arrays = manifest.get("of"), manifest.get("arrays")
    _check_name("its manifest's name", manifest.get("name"))
    _expect(isinstance(of, dict), "it is a delta without the manifest of its original")
    _check_version(of)
    _expect(of["kind"] == "poisoned", f"it is a delta of a file of kind {of['kind']!r}, expected 'poisoned'")
    _check_digest(of)
    _check_data_set(of)
    _expect(isinstance(arrays, dict) and arrays, "its manifest has no table of arrays")
    shapes = {path: entry["shape"] for path, entry in of["arrays"].items()}
    needed = {"changed/rows", "changed/role", "changed/labels"}
    needed |= {path for path in shapes if path.startswith("trigger/") and not path.endswith("/mask")}
    modality = of["modality"]
    if modality != TEXT:
        numbers = range(len(of["recipe"]["triggers"]))
        needed |= {f"trigger/{number}/{part}" for number in numbers for part in ("taps", "weights", "bias")}
    _expect(manifest["modality"] == modality, "it is a delta of another modality than its original")
    known = _DELTA | _SPELLED_OUT | {f"kept/{INPUTS[modality]}": _FORMS[modality]}
    if modality == TEXT:  # whole, and with where each insertion is
        shapes |= {path.replace("truth/", "changed/"): shapes[path] for path in _INSERTIONS if path in shapes}
        whole = [path for path in shapes if path.endswith("/insertions") and not path.startswith("truth/")]
        whole += [path for path in ("triggered/texts", "others/texts") if path in shapes]
        known |= {path: ("<i8", 2) if path.endswith("/insertions") else _FORMS[TEXT] for path in whole}
        needed |= set(whole)
    for path, entry in arrays.items():
        _check_array(path, entry, known, modality)
    spelled = of["recipe"].get("target") is not None or "triggered/rows" in arrays
    _expect(spelled, "it does not say which its triggered rows are, and they have no target in common")
    for group in ("kept", "triggered", "others"):  # all of a group, or none of it
        needed |= {path for path in known if path.startswith(group) and f"{group}/rows" in arrays}
    for path in sorted(needed ^ arrays.keys()):
        _expect(path in arrays, f"its manifest names no array {path}")
        _expect(path in needed, f"a delta has no array {path:.80}")
    kept = arrays.get("kept/rows", {}).get("shape")
    shapes |= {path: shapes["truth/rows"] for path in ("changed/rows", "changed/role", "changed/labels")}
    shapes |= {"kept/rows": kept, f"kept/{INPUTS[modality]}": [*(kept or []), *shapes[f"train/{INPUTS[modality]}"][1:]]}
    for path, entry in arrays.items():
        _expect(path in shapes, f"a delta of a file without {path.split('/')[0]}/ has no array {path}")
        _expect(entry["shape"] == shapes[path], f"{path} has shape {entry['shape']}, expected {shapes[path]}")


def _check_version(manifest: dict) -> None:
    got = manifest.get("format")
    _expect(got == FORMAT, f"its manifest's format is {got!r:.60}, expected {FORMAT!r}")
    version = manifest.get("format_version")
    _expect(_count(version) and version >= 1, f"its format version is {version!r:.60}, expected a positive integer")
    newer = f"it is of format version {version}, this program reads up to {FORMAT_VERSION}: update it"
    _expect(version <= FORMAT_VERSION, newer)
    modality = manifest.get("modality")
    known = isinstance(modality, str) and modality in INPUTS
    _expect(known, f"its modality is {modality!r:.60}; this program trains on 'image' and 'text'")
    kind = manifest.get("kind")
    _expect(kind in KINDS, f"its kind is {kind!r:.60}, expected {' or '.join(map(repr, KINDS))}")


def _check_source(manifest: dict) -> None:
    _check_name("its manifest's name", manifest.get("name"))
    source = manifest.get("source")
    _expect(isinstance(source, dict), "its manifest has no source")
    _check_name("its source's name", source.get("name"))
    classes = source.get("classes")
    _expect(
        isinstance(classes, list) and 2 <= len(classes) <= 100_000 and all(isinstance(name, str) for name in classes),
        "its source's classes are not a list of two names or more",
    )
    if manifest["kind"] != "sealed":  # which names no digest of the clean images: one could look them up
        _expect(_is_digest(source.get("digest")), "its source has no digest")


def _check_name(what: str, name) -> None:
    """Names become parts of paths and of commands to copy."""
    wrong = file_names.problem(name)
    _expect(wrong is None, f"{what} is {name!r:.60}, which {wrong}: expected {file_names.EXPECTED}")


def _check_recipe(manifest: dict) -> None:
    recipe = manifest.get("recipe")
    _expect(isinstance(recipe, dict), "its manifest has no recipe")
    if manifest["kind"] == "poisoned":
        triggers = recipe.get("triggers")
        _expect(
            isinstance(triggers, list) and triggers and all(map(_is_trigger, triggers)),
            "its recipe has no list of triggers, each with a name",
        )
        rate, pictures = recipe.get("rate"), manifest.get("pictures", {})
        _expect(
            isinstance(rate, str) and _RATE.fullmatch(rate),
            f"its recipe's rate is {rate!r:.60}, expected a decimal above 0, up to 1",
        )
        _expect(
            isinstance(pictures, dict) and all(map(_is_picture, pictures.values())),
            "its pictures are no table, each with a digest or the name of a built-in one",
        )
        seed = recipe.get("seed", 0)
        _expect(numbers.is_count(seed), f"its recipe's seed is {seed!r:.60}, expected a whole number, not negative")
        target, classes = recipe.get("target"), len(manifest["source"]["classes"])
        _expect(
            target is None or (_count(target) and 0 <= target < classes),
            f"its recipe's target is {target!r:.60}, expected null or one of {classes} classes",
        )


def _check_arrays(manifest: dict) -> None:
    """The table of arrays: exactly those of the kind, of the right dtypes, and shapes that fit one another."""
    arrays = manifest.get("arrays")
    _expect(isinstance(arrays, dict) and arrays, "its manifest has no table of arrays")
    modality = manifest["modality"]
    known = _known(modality)
    for path, entry in arrays.items():
        _check_array(path, entry, known, modality)
    rows, poisoned = INPUTS[modality], manifest["kind"] == "poisoned"
    others = poisoned and any(path in arrays for path in known if path.startswith("others/"))
    _expect(not others or manifest["recipe"]["target"] is not None, "it has others/, but its recipe has no target")
    groups = ("train", "test", *(("triggered", "truth") if poisoned else ()), *(("others",) if others else ()))
    allowed = {path for path in known if path.split("/")[0] in groups}
    for path in sorted(allowed - _INSERTIONS.keys()):
        _expect(path in arrays, f"its manifest names no array {path}")
    for path in arrays:
        _expect(poisoned or path in allowed, f"a {manifest['kind']} file has no array {path:.80}")
    image = arrays[f"train/{rows}"]["shape"][1:]
    for path, entry in arrays.items():
        group, name = path.split("/", 1)
        if name == rows:
            _expect(entry["shape"][1:] == image, f"{path} has {rows} of {entry['shape'][1:]}, train/{rows} of {image}")
        if name == "insertions":
            _expect(entry["shape"][1] == 4, f"{path} has {entry['shape'][1]} columns, expected 4")
        elif group in groups:
            there = arrays[f"{group}/{rows}"]["shape"][0]
            _expect(entry["shape"][0] == there, f"{path} has {entry['shape'][0]} rows, {group}/{rows} {there}")
    for group in ("train", "test"):
        _expect(arrays[f"{group}/{rows}"]["shape"][0] > 0, f"{group}/{rows} has no rows")


def _known(modality: str) -> dict[str, tuple[str, int]]:
    """The arrays that a data set of a modality can have but for its triggers': path -> dtype, number of dimensions."""
    rows = {f"{group}/{INPUTS[modality]}": _FORMS[modality] for group in _GROUPS}
    return _FIXED | _OTHERS | rows | (_INSERTIONS if modality == TEXT else {})


def _check_array(path: str, entry, known: dict, modality: str) -> None:
    trigger = modality != TEXT and re.fullmatch(r"trigger/\d{1,4}/(\w+)", path)
    form = _TRIGGER.get(trigger[1]) if trigger else known.get(path)
    _expect(form is not None, f"its manifest names an array that the format does not know: {path!r:.80}")
    _expect(
        isinstance(entry, dict) and _is_digest(entry.get("digest")) and isinstance(entry.get("shape"), list),
        f"its manifest's entry of {path} has no digest or no shape",
    )
    dtype, dimensions = form
    shape = entry["shape"]
    _expect(entry.get("dtype") == dtype, f"{path} is of type {entry.get('dtype')!r:.40}, expected {dtype!r}")
    _expect(
        len(shape) == dimensions and all(_count(size) for size in shape),
        f"{path} has shape {str(shape):.80}, expected {dimensions} dimensions",
    )
    sane = all(0 <= size <= _ROWS for size in shape) and all(1 <= size <= _SIDE for size in shape[1:])
    _expect(sane, f"{path} has an absurd shape, {str(shape):.80}")


def _is_trigger(value) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and _WORD.fullmatch(value["name"]) is not None


def _is_picture(value) -> bool:
    return isinstance(value, dict) and (isinstance(value.get("built_in"), str) or _is_digest(value.get("digest")))


def _count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_digest(value) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _expect(condition, message: str) -> None:
    if not condition:
        raise Failure(message)


def _refuse_float(text: str):
    raise ValueError(f"a floating-point number, {text:.20}")


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:100]
