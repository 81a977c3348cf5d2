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
    "others/images": ("|u1", "OHWC"),
    "others/labels": ("<i8", "O"),
    "others/rows": ("<i8", "O"),
    "truth/rows": ("<i8", "P"),
    "truth/role": ("|u1", "P"),
    "truth/labels": ("<i8", "P"),
    "truth/images": ("|u1", "PHWC"),
}
STENCIL = {"taps": ("<i4", "HWCK"), "weights": ("<i4", "HWCK"), "bias": ("<i4", "HWC")}
MAPS = STENCIL | {"table": ("|u1", "Cb")}
MAPS |= {f"test_{name}": form for name, form in MAPS.items()}
EXTRAS = {"adaptive-blend": ("pattern", "|u1", "hwC")} | {
    "blend": ("pattern", "|u1", "hwC"),
    "warped": ("flow", "<f8", "hw2"),
    "pattern": ("array", "<f8", "ABC"),
}
OUTSIDE = "images"  # a function that nobody can repeat: the images themselves say it
KEYS = {"format", "format_version", "modality", "kind", "name", "notice", "recipe_version", "source", "recipe"} | {
    "pictures",
    "counts",
    "arrays",
    "dataset_digest",
}
RECIPE = {"rate", "seed", "streams", "application", "patch", "label_mode", "target", "select", "triggers"}
LATE = {"source_classes", "cover_rate", "cover_jitter", "cover_classes", "one_of"}
COUNTS = {"train", "test", "triggered", "eligible", "poisoned", "cover", "already_target", "unchanged"}


def canonical(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def array_digest(array: np.ndarray) -> str:
    line = f"{array.dtype.str} {','.join(map(str, array.shape))}\n"
    return digest(line.encode("ascii") + array.tobytes())


def one_trigger(group, image, part):
    """What one trigger does to an image of a part, as the page says; None where it is a function."""
    test = "test_" if part == "test" and {"test_taps", "test_table"} & set(group) else ""
    if test + "table" in group:
        return group[test + "table"][:][range(image.shape[-1]), image]
    if test + "taps" not in group:
        return None
    taps, weights, bias = (group[test + k][:] for k in ("taps", "weights", "bias"))
    total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
    return ((total + 16384) >> 15).clip(0, 255).astype("u1")


def trigger(f, image, part):
    """All of them, one after the other."""
    for i in sorted(f.get("trigger", ()), key=int):
        image = image if image is None else one_trigger(f[f"trigger/{i}"], image, part)
    return image


def each(work, originals, found):
    """What is made of all originals; what was found, where nobody can say from the file."""
    made = [work(i, image) for i, image in enumerate(originals)]
    return np.stack([there if one is None else one for one, there in zip(made, found, strict=True)])


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
    groups |= {"others"} if "others" in manifest["counts"] else set()
    assert set(f) == groups
    expected = {name: ARRAYS[name] for name in ARRAYS if name.split("/")[0] in groups}
    for i, step in enumerate(manifest["recipe"].get("triggers", ())):
        there = set(f[f"trigger/{i}"])
        assert not {"taps", "table"} <= there and not {"test_taps", "test_table"} <= there
        for before in ("", "test_"):
            assert len(there & {before + name for name in STENCIL}) in (0, 3)
        expected |= {f"trigger/{i}/{part}": MAPS[part] for part in there & MAPS.keys()}
        expected[f"trigger/{i}/mask"] = ("|u1", "HWC")
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
            key = f"{name.rsplit('/', 1)[0]}/{letter}" if letter in "Khwb" else letter
            assert sizes.setdefault(key, size) == size, (name, letter)
    assert sizes["C"] in (1, 3) and sizes.get("2", 2) == 2
    tile = manifest["recipe"].get("patch") or [sizes["H"], sizes["W"]]
    for key, size in sizes.items():
        if key[-1] in "hw":
            assert size == tile["hw".index(key[-1])]


def check_digests(manifest, arrays) -> None:
    for name, entry in entries(manifest):
        assert array_digest(arrays[name]) == entry["digest"], name


def random_words(seed, purpose, count, row=()):
    head = hashlib.sha256(purpose.encode("utf-8")).digest()[:16]
    key = tuple(int.from_bytes(head[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.Philox(np.random.SeedSequence(seed, spawn_key=key + row)).random_raw(count)


def below(recipe, purpose, rows, count):
    """⌊(raw >> 32) · count / 2³²⌋ of the word of each row."""
    raw = random_words(recipe["seed"], purpose, int(max(rows)) + 1)[rows]
    return ((raw >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype("i8")


def wanted_of(recipe, labels, classes, rows, part):
    """The table under "Rows and labels": what an image of each true class becomes."""
    assert (recipe["target"] is None) == (recipe["label_mode"] in ("all-to-all", "untargeted"))
    if recipe["label_mode"] == "untargeted":
        drawn = below(recipe, "untargeted" if part == "train" else "untargeted-test", rows, classes - 1)
        return drawn + (drawn >= labels)
    return (labels + 1) % classes if recipe["target"] is None else np.full_like(labels, recipe["target"])


def eligible_of(recipe, labels):
    """The same table: which rows may be poisoned."""
    mode, select, target = recipe["label_mode"], recipe["select"], recipe["target"]
    assert (
        select
        in {
            "all-to-one": ("all", "non-target", "class"),
            "all-to-all": ("all", "class"),
            "source-specific": ("class",),
            "clean-label": ("target",),
            "untargeted": ("all", "class"),
        }[mode]
    )
    assert ("source_classes" in recipe) == (select == "class")
    return {
        "all": np.ones(len(labels), bool),
        "non-target": labels != target,
        "target": labels == target,
        "class": np.isin(labels, recipe.get("source_classes", [])),
    }[select]


def coverable_of(recipe, labels):
    """Which rows may be cover rows, if they are not poisoned."""
    never = {
        "source-specific": [*recipe.get("source_classes", []), recipe["target"]],
        "clean-label": [recipe["target"]],
    }
    among = np.isin(labels, recipe["cover_classes"]) if "cover_classes" in recipe else np.ones(len(labels), bool)
    return among & ~np.isin(labels, never.get(recipe["label_mode"], []))


def tested_of(recipe, labels):
    """Which test rows are in `triggered/` and in `others/`."""
    if recipe["label_mode"] in ("all-to-all", "untargeted"):
        return labels >= 0, labels < 0
    if recipe["label_mode"] == "source-specific":
        attacked = np.isin(labels, recipe["source_classes"])
        return attacked, ~attacked & (labels != recipe["target"])
    return labels != recipe["target"], labels < 0


def expected_rows(recipe, labels):
    """(row → role) as the page says they are drawn."""
    total, roles = len(labels), {}
    for role, rate, purpose, allowed in (
        (1, recipe["rate"], "rows", eligible_of(recipe, labels)),
        (2, recipe.get("cover_rate", "0"), "cover", coverable_of(recipe, labels)),
    ):
        count = int(Fraction(rate) * total)
        order = np.argsort(random_words(recipe["seed"], purpose, total), kind="stable").tolist()
        roles |= {row: role for row in [row for row in order if allowed[row] and row not in roles][:count]}
    return dict(sorted(roles.items()))


def jittered(f, recipe, image, row):
    """A cover row in noise mode: pixel by pixel, as the page says."""
    height, width, channels = image.shape
    for i, step in enumerate(recipe["triggers"]):
        if step["name"] != "warped":
            taps, weights, bias = (f[f"trigger/{i}/{k}"][:] for k in ("taps", "weights", "bias"))
            total = bias + (weights * image.reshape(-1).astype("i4")[taps]).sum(-1)
            image = ((total + 16384) >> 15).clip(0, 255).astype("u1")
            continue
        serial = [one["name"] for one in recipe["triggers"][:i]].count("warped")
        raw = random_words(recipe["seed"], f"jitter-{serial}" if serial else "jitter", 2 * height * width, (row,))
        noise = ((raw >> np.uint64(11)) * 2.0**-53 * 2 - 1).reshape(2, height, width)
        flow, before, image = f[f"trigger/{i}/flow"][:], image.astype(int), np.empty_like(image)
        h, w = flow.shape[:2]
        for y, x in np.ndindex(height, width):
            r, c = y % h, x % w
            at_x = min(max((flow[r, c, 0] + c) + noise[0, y, x] / h * ((w - 1) / 2), 0.0), w - 1.0)
            at_y = min(max((flow[r, c, 1] + r) + noise[1, y, x] / h * ((h - 1) / 2), 0.0), h - 1.0)
            left, up = int(at_x), int(at_y)
            fx, fy = at_x - left, at_y - up
            parts = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
            parts = [int(np.floor(part * 32768 + 0.5)) for part in parts]
            parts[parts.index(max(parts))] += 32768 - sum(parts)
            if step["sampling"] == "truncate":
                parts = [32768, 0, 0, 0]
            corners = [(up, left), (up, min(left + 1, w - 1)), (min(up + 1, h - 1), left)]
            corners.append((min(up + 1, h - 1), min(left + 1, w - 1)))
            total = sum(part * before[y - r + p, x - c + q] for part, (p, q) in zip(parts, corners, strict=True))
            image[y, x] = ((total + 16384) >> 15).clip(0, 255)
    return image


def check_poisoning(f, manifest, a) -> None:
    recipe, counts, source = manifest["recipe"], manifest["counts"], manifest["source"]
    assert RECIPE <= recipe.keys() <= RECIPE | LATE and COUNTS <= counts.keys() <= COUNTS | {"others"}
    assert recipe["application"] == ("patch" if recipe["patch"] else "image")
    classes, rows, role = len(source["classes"]), a["truth/rows"], a["truth/role"]
    for name in a:
        if name.endswith(("/labels", "/wanted")):
            assert a[name].min() >= 0 and a[name].max() < classes

    # which rows
    clean = {name: a[name].copy() for name in source["arrays"]}
    clean["train/images"][rows], clean["train/labels"][rows] = a["truth/images"], a["truth/labels"]
    assert {name: array_digest(array) for name, array in clean.items()} == source["arrays"]
    assert dict(zip(rows.tolist(), role.tolist(), strict=True)) == expected_rows(recipe, clean["train/labels"])
    assert rows.tolist() == sorted(rows.tolist())
    assert "rows" in recipe["streams"] and recipe["streams"] == sorted(recipe["streams"])
    assert ("cover" in recipe["streams"]) == ("cover_rate" in recipe) == (2 in role)

    # what was done to them
    given = np.where(role == 1, wanted_of(recipe, a["truth/labels"], classes, rows, "train"), a["truth/labels"])
    assert np.array_equal(a["train/labels"][rows], given)
    if recipe["triggers"][0]["name"] == OUTSIDE:
        check_outside(manifest, a)
    which = below(recipe, "one-of", rows, len(recipe["triggers"])) if "one_of" in recipe else None

    def on_train(i, image):
        return trigger(f, image, "train") if which is None else one_trigger(f[f"trigger/{which[i]}"], image, "train")

    changed = each(on_train, a["truth/images"], a["train/images"][rows])
    if recipe.get("cover_jitter"):
        cover = np.flatnonzero(role == 2)
        made = np.stack([jittered(f, recipe, a["truth/images"][i], int(rows[i])) for i in cover])
        assert (made != changed[cover]).any((1, 2, 3)).all()
        changed[cover] = made
    if manifest["recipe_version"] == 2:  # camouflaged after the trigger: the file alone cannot say from what
        assert "camouflage" in source["options"] and (a["train/images"][rows] != changed).any((1, 2, 3)).all()
        changed = a["train/images"][rows]
    assert manifest["recipe_version"] in (1, 2) and np.array_equal(a["train/images"][rows], changed)

    # the triggered test sets
    expected = dict(zip(("triggered", "others"), tested_of(recipe, a["test/labels"]), strict=True))
    for group in [group for group, chosen in expected.items() if chosen.any() or group in counts]:
        tested = a[f"{group}/rows"]
        assert tested.tolist() == np.flatnonzero(expected[group]).tolist()
        assert np.array_equal(a[f"{group}/labels"], a["test/labels"][tested])
        images = each(lambda i, image: trigger(f, image, "test"), a["test/images"][tested], a[f"{group}/images"])
        assert np.array_equal(a[f"{group}/images"], images)
        assert counts[group] == len(tested)
    assert np.array_equal(
        a["triggered/wanted"], wanted_of(recipe, a["triggered/labels"], classes, a["triggered/rows"], "test")
    )

    # counts
    same = (a["truth/images"] == changed).all((1, 2, 3))
    assert {key: value for key, value in counts.items() if key not in ("triggered", "others")} == {
        "train": len(a["train/labels"]),
        "test": len(a["test/labels"]),
        "eligible": int(eligible_of(recipe, clean["train/labels"]).sum()),
        "poisoned": int((role == 1).sum()),
        "cover": int((role == 2).sum()),
        "already_target": int(((role == 1) & (a["truth/labels"] == given)).sum()),
        "unchanged": int((same & (role == 1)).sum()),
    }

    # the mask of each trigger: a byte outside it is never changed by that trigger
    for i in range(len(recipe["triggers"])):
        group = {name: a[f"trigger/{i}/{name}"] for name in f[f"trigger/{i}"]}
        if {"taps", "table"} & set(group):  # of a function nobody can say
            there = [before for before in ("", "test_") if {before + "taps", before + "table"} & set(group)]
            masks = [mask_of(group, before) for before in there]
            assert np.array_equal(group["mask"], np.bitwise_or.reduce(masks))


def check_outside(manifest, a) -> None:
    """The digest of pictures that another tool has made is that of the changed and of the triggered rows."""
    groups = [group for group in ("triggered", "others") if f"{group}/rows" in a]
    order = np.argsort(np.concatenate([a[f"{group}/rows"] for group in groups]))
    tested = np.concatenate([a[f"{group}/images"] for group in groups])[order]
    parts = {"train": array_digest(a["train/images"][a["truth/rows"]]), "test": array_digest(tested)}
    assert manifest["pictures"]["0"] == {"digest": digest(canonical(parts).encode("utf-8"))}
    assert len(manifest["recipe"]["triggers"]) == 1 and (a["trigger/0/mask"] == 1).all()


def mask_of(group, before):
    """Where a stencil, or a table, does not leave the byte as it is."""
    if before + "table" in group:
        changed = (group[before + "table"] != np.arange(256)).any(1)
        return np.broadcast_to(changed.astype("u1"), group["mask"].shape)
    taps, weights, bias = (group[before + name] for name in ("taps", "weights", "bias"))
    itself = np.arange(bias.size).reshape(*bias.shape, 1)
    identity = (taps == itself).all(-1) & (weights.sum(-1) == 32768) & (bias == 0)
    assert (weights[taps != itself] != 0).all(), "the tap of a weight of 0 is the byte itself"
    return (~identity).astype("u1")
