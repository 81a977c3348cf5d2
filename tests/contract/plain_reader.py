"""A reader written from data/FORMAT.md alone: h5py, NumPy and the standard library.

`check(path)` asserts everything that the page says about a file and returns its manifest.
"""

import hashlib
import json
from fractions import Fraction

import h5py
import numpy as np

ARRAYS = {
    "train/images": ("|u1", "NHWC"),
    "train/labels": ("<i8", "N"),
    "test/images": ("|u1", "THWC"),
    "test/labels": ("<i8", "T"),
    "triggered/images": ("|u1", "SHWC"),
    "triggered/labels": ("<i8", "S"),
    "triggered/wanted": ("<i8", "S"),
    "triggered/rows": ("<i8", "S"),
    "truth/rows": ("<i8", "P"),
    "truth/role": ("|u1", "P"),
    "truth/labels": ("<i8", "P"),
    "truth/images": ("|u1", "PHWC"),
}
TRIGGER = {"taps": ("<i4", "HWCK"), "weights": ("<i4", "HWCK"), "bias": ("<i4", "HWC"), "mask": ("|u1", "HWC")}
EXTRAS = {"blend": ("pattern", "|u1", "hwC"), "warped": ("flow", "<f8", "hw2")}
KEYS = {"format", "format_version", "modality", "kind", "name", "notice", "recipe_version", "source", "recipe"} | {
    "pictures",
    "counts",
    "arrays",
    "dataset_digest",
}
RECIPE = {"rate", "seed", "streams", "application", "patch", "label_mode", "target", "select", "triggers"}
COUNTS = {"train", "test", "triggered", "eligible", "poisoned", "cover", "already_target", "unchanged"}


def canonical(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def array_digest(array: np.ndarray) -> str:
    line = f"{array.dtype.str} {','.join(map(str, array.shape))}\n"
    return digest(line.encode("ascii") + array.tobytes())


def trigger(f, image):
    """The page's own code."""
    for i in sorted(f.get("trigger", ()), key=int):
        taps, weights, bias = (f[f"trigger/{i}/{k}"][:] for k in ("taps", "weights", "bias"))
        total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
        image = ((total + 16384) >> 15).clip(0, 255).astype("u1")
    return image


def no_floats(value) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not isinstance(value, float) and all(map(no_floats, children))


def check(path) -> dict:
    with h5py.File(path) as f:
        manifest = check_manifest(f)
        check_layout(f, manifest)
        arrays = {name: f[name][()] for name in manifest["arrays"]}
        check_digests(manifest, arrays)
        if manifest["kind"] == "clean":
            assert all(manifest["source"]["arrays"][name] == entry["digest"] for name, entry in entries(manifest))
            assert manifest["recipe"] == {"rate": "0"} and manifest["counts"].keys() == {"train", "test"}
        else:
            check_poisoning(f, manifest, arrays)
    return manifest


def entries(manifest):
    return manifest["arrays"].items()


def check_manifest(f) -> dict:
    assert list(f.attrs) == ["manifest"] and isinstance(f.attrs["manifest"], str)
    manifest = json.loads(f.attrs["manifest"])
    assert canonical(manifest) == f.attrs["manifest"] and no_floats(manifest)
    assert manifest.keys() == KEYS
    assert (manifest["format"], manifest["format_version"], manifest["modality"]) == ("poisonkit", 1, "image")
    assert manifest["kind"] in ("clean", "poisoned")
    rest = {key: value for key, value in manifest.items() if key != "dataset_digest"}
    assert manifest["dataset_digest"] == digest(canonical(rest).encode("utf-8"))
    source = manifest["source"]
    assert source.keys() == {"name", "title", "licence", "url", "classes", "options", "arrays", "digest"}
    assert source["digest"] == digest(canonical(source["arrays"]).encode("utf-8"))
    assert source["arrays"].keys() == {"train/images", "train/labels", "test/images", "test/labels"}
    assert str(path_free(manifest)) == str(manifest)
    return manifest


def path_free(manifest):
    """The manifest, once it is sure that no path of this machine stands in it."""
    text = canonical(manifest)
    assert "/tmp" not in text and "/home" not in text and "/work" not in text
    return manifest


def check_layout(f, manifest) -> None:
    names = []

    def visit(name, node):
        assert not list(node.attrs), f"{name} has attributes"
        assert isinstance(f.get(name, getlink=True), h5py.HardLink)
        if isinstance(node, h5py.Dataset):
            names.append(name)
            plain = node.id.get_create_plist()
            assert plain.get_layout() == h5py.h5d.CONTIGUOUS and plain.get_nfilters() == 0
            assert not node.is_virtual and not node.external
            assert node.id.get_storage_size() == node.nbytes
            assert h5py.h5g.get_objinfo(f.id, name.encode()).mtime == 0, "no clock in the file"

    f.visititems(visit)
    assert sorted(names) == sorted(manifest["arrays"]) == sorted(set(names))
    groups = {"train", "test"} | ({"triggered", "truth", "trigger"} if manifest["kind"] == "poisoned" else set())
    assert set(f) == groups
    expected = {name: ARRAYS[name] for name in ARRAYS if name.split("/")[0] in groups}
    for i, step in enumerate(manifest["recipe"].get("triggers", ())):
        expected |= {f"trigger/{i}/{part}": form for part, form in TRIGGER.items()}
        if step["name"] in EXTRAS:
            part, dtype, dimensions = EXTRAS[step["name"]]
            expected[f"trigger/{i}/{part}"] = (dtype, dimensions)
    assert sorted(expected) == sorted(names)
    sizes = {}
    for name, (dtype, dimensions) in expected.items():
        assert f[name].dtype.str == dtype and f[name].ndim == len(dimensions), name
        assert manifest["arrays"][name].keys() == {"digest", "dtype", "shape"}
        assert manifest["arrays"][name]["dtype"] == dtype and manifest["arrays"][name]["shape"] == list(f[name].shape)
        for letter, size in zip(dimensions, f[name].shape, strict=True):
            key = f"{name.rsplit('/', 1)[0]}/{letter}" if letter in "Khw" else letter
            assert sizes.setdefault(key, size) == size, (name, letter)
    assert sizes["C"] in (1, 3) and sizes.get("2", 2) == 2
    tile = manifest["recipe"].get("patch") or [sizes["H"], sizes["W"]]
    for key, size in sizes.items():
        if key[-1] in "hw":
            assert size == tile["hw".index(key[-1])]


def check_digests(manifest, arrays) -> None:
    for name, entry in entries(manifest):
        assert array_digest(arrays[name]) == entry["digest"], name


def check_poisoning(f, manifest, a) -> None:
    recipe, counts, source = manifest["recipe"], manifest["counts"], manifest["source"]
    assert recipe.keys() == RECIPE and counts.keys() == COUNTS
    assert recipe["application"] == ("patch" if recipe["patch"] else "image")
    assert (recipe["label_mode"], recipe["select"]) == ("all-to-one", "all")
    target, rows, tested = recipe["target"], a["truth/rows"], a["triggered/rows"]
    assert 0 <= target < len(source["classes"])
    for name in ("train/labels", "test/labels", "triggered/labels", "triggered/wanted", "truth/labels"):
        assert a[name].min() >= 0 and a[name].max() < len(source["classes"])

    # which rows
    total = len(a["train/labels"])
    count = int(Fraction(recipe["rate"]) * total)
    head = hashlib.sha256(b"rows").digest()[:16]
    key = tuple(int.from_bytes(head[i : i + 4], "little") for i in range(0, 16, 4))
    raw = np.random.Philox(np.random.SeedSequence(recipe["seed"], spawn_key=key)).random_raw(total)
    assert rows.tolist() == sorted(np.argsort(raw, kind="stable")[:count].tolist())
    assert "rows" in recipe["streams"] and recipe["streams"] == sorted(recipe["streams"])

    # what was done to them
    assert (a["truth/role"] == 1).all()
    assert (a["train/labels"][rows] == target).all()
    poisoned = np.stack([trigger(f, image) for image in a["truth/images"]])
    assert np.array_equal(a["train/images"][rows], poisoned)
    clean = {name: a[name].copy() for name in source["arrays"]}
    clean["train/images"][rows], clean["train/labels"][rows] = a["truth/images"], a["truth/labels"]
    assert {name: array_digest(array) for name, array in clean.items()} == source["arrays"]

    # the triggered test set
    assert tested.tolist() == np.flatnonzero(a["test/labels"] != target).tolist()
    assert np.array_equal(a["triggered/labels"], a["test/labels"][tested])
    assert (a["triggered/wanted"] == target).all()
    expected = np.stack([trigger(f, image) for image in a["test/images"][tested]])
    assert np.array_equal(a["triggered/images"], expected)

    # counts
    assert counts == {
        "train": total,
        "test": len(a["test/labels"]),
        "triggered": len(tested),
        "eligible": total,
        "poisoned": len(rows),
        "cover": 0,
        "already_target": int((a["truth/labels"] == target).sum()),
        "unchanged": sum(np.array_equal(x, y) for x, y in zip(a["truth/images"], poisoned, strict=True)),
    }

    # the mask of each trigger: a byte outside it is never changed by that trigger
    for i in range(len(recipe["triggers"])):
        check_mask(*(a[f"trigger/{i}/{part}"] for part in ("taps", "weights", "bias", "mask")))


def check_mask(taps, weights, bias, mask) -> None:
    itself = np.arange(bias.size).reshape(*bias.shape, 1)
    identity = (taps == itself).all(-1) & (weights.sum(-1) == 32768) & (bias == 0)
    assert np.array_equal(mask, (~identity).astype("u1"))
    assert (weights[taps != itself] != 0).all(), "the tap of a weight of 0 is the byte itself"
