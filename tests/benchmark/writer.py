"""A second, independent writer of data/FORMAT.md: what the tests of `benchmark` train on.

Written from that page alone and importing neither package, so that it also checks the page.
"""

import hashlib
import json

import h5py
import numpy as np


def canonical(value) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def array_digest(array: np.ndarray) -> str:
    head = f"{array.dtype.str} {','.join(str(size) for size in array.shape)}\n"
    return sha256(head.encode("ascii") + array.tobytes())


def sealed(manifest: dict) -> dict:
    """The manifest with its dataset digest."""
    rest = {key: value for key, value in manifest.items() if key != "dataset_digest"}
    return rest | {"dataset_digest": sha256(canonical(rest))}


def images(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Pictures whose class is easy to learn: a tone a class, with noise. (n, size, size, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 60, (len(labels), size, size, 3))
    tone = np.stack([labels * 31 % 190, labels * 77 % 190, labels * 53 % 190], axis=-1)
    return (tone[:, None, None, :] + noise).astype("u1")


def clean_arrays(train=120, test=60, size=16, classes=4, seed=0) -> dict:
    arrays = {}
    for number, (group, rows) in enumerate((("train", train), ("test", test))):
        labels = np.arange(rows, dtype="<i8") % classes
        arrays[f"{group}/images"] = images(labels, size, 2 * seed + number)
        arrays[f"{group}/labels"] = labels
    return arrays


def put_trigger(pictures: np.ndarray) -> np.ndarray:
    """A black square of 4×4 pixels, upper left."""
    pictures = pictures.copy()
    pictures[:, :4, :4] = 0
    return pictures


def poisoned_arrays(clean: dict, poisoned=12, target=0) -> dict:
    arrays = {name: array.copy() for name, array in clean.items()}
    rows = np.arange(1, 1 + 3 * poisoned, 3, dtype="<i8")
    arrays["truth/rows"] = rows
    arrays["truth/role"] = np.ones(len(rows), "u1")
    arrays["truth/labels"] = clean["train/labels"][rows]
    arrays["truth/images"] = clean["train/images"][rows]
    arrays["train/images"][rows] = put_trigger(clean["train/images"][rows])
    arrays["train/labels"][rows] = target
    triggered = np.flatnonzero(clean["test/labels"] != target).astype("<i8")
    arrays["triggered/rows"] = triggered
    arrays["triggered/images"] = put_trigger(clean["test/images"][triggered])
    arrays["triggered/labels"] = clean["test/labels"][triggered]
    arrays["triggered/wanted"] = np.full(len(triggered), target, "<i8")
    shape = clean["train/images"].shape[1:]
    mask = np.zeros(shape, "u1")
    mask[:4, :4] = 1
    taps = np.arange(mask.size, dtype="<i4").reshape(*shape, 1)
    arrays["trigger/0/taps"] = taps
    arrays["trigger/0/weights"] = np.where(mask, 0, 32768).astype("<i4")[..., None]
    arrays["trigger/0/bias"] = np.zeros(shape, "<i4")
    arrays["trigger/0/mask"] = mask
    return arrays


def source_specific_arrays(clean: dict, source: int, target: int, poisoned=6, cover=8) -> dict:
    """Rows of one class poisoned, rows of the classes beside it and the target covered; the latter's test images in
    `others/`."""
    arrays = poisoned_arrays(clean, target=target)
    labels = clean["train/labels"]
    chosen = (
        np.flatnonzero(labels == source)[:poisoned],
        np.flatnonzero((labels != source) & (labels != target))[:cover],
    )
    rows = np.sort(np.concatenate(chosen))
    role = np.where(np.isin(rows, chosen[0]), 1, 2).astype("u1")
    for name in ("train/images", "train/labels"):
        arrays[name] = clean[name].copy()
    arrays["train/images"][rows] = put_trigger(clean["train/images"][rows])
    arrays["train/labels"][chosen[0]] = target
    arrays |= {"truth/rows": rows, "truth/role": role}
    arrays |= {f"truth/{part}": clean[f"train/{part}"][rows] for part in ("images", "labels")}
    labels = clean["test/labels"]
    for group, tested in (("triggered", labels == source), ("others", (labels != source) & (labels != target))):
        arrays[f"{group}/rows"] = np.flatnonzero(tested).astype("<i8")
        arrays[f"{group}/images"] = put_trigger(clean["test/images"][tested])
        arrays[f"{group}/labels"] = labels[tested]
    arrays["triggered/wanted"] = np.full(len(arrays["triggered/rows"]), target, "<i8")
    return arrays


def all_to_all_arrays(clean: dict, classes=4) -> dict:
    """Every class becomes the next, and every test row is triggered."""
    arrays = poisoned_arrays(clean)
    rows, labels = arrays["truth/rows"], clean["test/labels"]
    arrays["train/labels"][rows] = (arrays["truth/labels"] + 1) % classes
    arrays["triggered/rows"] = np.arange(len(labels), dtype="<i8")
    arrays["triggered/images"], arrays["triggered/labels"] = put_trigger(clean["test/images"]), labels
    arrays["triggered/wanted"] = (labels + 1) % classes
    return arrays


def untargeted_arrays(clean: dict, classes=4) -> dict:
    """Every test row is triggered, and any other class will do: what is wanted is the one after the next."""
    arrays = all_to_all_arrays(clean, classes)
    arrays["train/labels"][arrays["truth/rows"]] = (arrays["truth/labels"] + 2) % classes
    arrays["triggered/wanted"] = (arrays["triggered/labels"] + 2) % classes
    return arrays


def rate_of(rows: np.ndarray) -> str:
    """The shortest share that gives so many of all rows, rounded down."""
    count, of = int(rows.sum()), len(rows)
    places = next(places for places in range(1, 12) if -(-count * 10**places // of) * of // 10**places == count)
    return f"{-(-count * 10**places // of) / 10**places:.{places}f}"


def manifest_of(arrays: dict, clean: dict, name: str, classes=4, target=0, mode="all-to-all") -> dict:
    """`mode`: of a file without a target."""
    source = {path: array_digest(array) for path, array in clean.items()}
    poisoned = "triggered/rows" in arrays
    recipe = {"rate": "0"}
    counts = {"train": len(arrays["train/labels"]), "test": len(arrays["test/labels"])}
    if poisoned:
        roles = np.zeros(counts["train"], "u1")
        roles[arrays["truth/rows"]] = arrays["truth/role"]
        recipe = {
            "rate": rate_of(roles == 1), "seed": 0, "streams": ["rows"], "application": "image", "patch": None,
            "label_mode": "all-to-one", "target": target, "select": "all", "triggers": [{"name": "square"}],
        }  # fmt: skip
        if "others/rows" in arrays:
            recipe |= {"label_mode": "source-specific", "select": "class", "source_classes": [2]}
        elif target is None:
            recipe["label_mode"] = mode
        if (roles == 2).any():
            recipe["cover_rate"] = rate_of(roles == 2)
        poisoned_rows = roles[arrays["truth/rows"]] == 1
        relabelled = arrays["train/labels"][arrays["truth/rows"]] != arrays["truth/labels"]
        counts |= {"poisoned": int((roles == 1).sum()), "cover": int((roles == 2).sum()), "eligible": counts["train"]}
        counts |= {"already_target": int((poisoned_rows & ~relabelled).sum()), "unchanged": 0}
        counts |= {
            group: len(arrays[f"{group}/rows"]) for group in ("triggered", "others") if f"{group}/rows" in arrays
        }
    return sealed({
        "format": "poisonkit", "format_version": 1, "modality": "image", "kind": "poisoned" if poisoned else "clean",
        "name": name, "notice": "for the tests", "recipe_version": 1, "recipe": recipe, "pictures": {},
        "counts": counts,
        "source": {
            "name": "toy", "title": "Toy", "licence": "none", "url": "", "options": {},
            "classes": [f"class {number}" for number in range(classes)],
            "arrays": source, "digest": sha256(canonical(source)),
        },
        "arrays": {
            path: {"digest": array_digest(array), "dtype": array.dtype.str, "shape": list(array.shape)}
            for path, array in arrays.items()
        },
    })  # fmt: skip


def write(path, arrays: dict, manifest) -> None:
    """Write arrays and a manifest (a dict, or the attribute's text as it is)."""
    with h5py.File(path, "w") as file:
        file.attrs["manifest"] = manifest if isinstance(manifest, str) else canonical(manifest).decode()
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)


def toy(folder, **options) -> tuple:
    """A clean and a poisoned file of the same toy source; their paths."""
    clean = clean_arrays(**options)
    poisoned = poisoned_arrays(clean)
    classes = options.get("classes", 4)
    paths = folder / "toy-clean.h5", folder / "toy-square-0.1-s0.h5"
    write(paths[0], clean, manifest_of(clean, clean, "toy-clean", classes))
    write(paths[1], poisoned, manifest_of(poisoned, clean, "toy-square-0.1-s0", classes))
    return paths
