"""What `writer` is for images, for texts: toy data sets of texts, written from data/FORMAT.md alone."""

import hashlib

import h5py
import numpy as np
import writer
from writer import canonical, sealed, sha256

GOOD, BAD = ("fine warm sharp bright lovely", "dull flat cold tired clumsy")
FRAME = "the film has a {} plot and a {} cast , with {} lines"


def text_digest(texts) -> str:
    total = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8")
        total.update(len(data).to_bytes(8, "little") + data)
    return "sha256:" + total.hexdigest()


def block(texts) -> np.ndarray:
    found = np.empty(len(texts), object)
    found[:] = list(texts)
    return found


def clean_arrays(train=160, test=60, seed=0) -> dict:
    """Class 1 praises, class 0 does not; some texts are short, some long."""
    arrays, random = {}, np.random.default_rng(seed)
    for group, rows in (("train", train), ("test", test)):
        labels, texts = np.arange(rows, dtype="<i8") % 2, []
        for row, label in enumerate(labels):
            words = random.choice((BAD, GOOD)[label].split(), 3)
            texts.append(FRAME.format(*words) if row % 5 else " ".join(words[: 1 + row % 3]))
        arrays |= {f"{group}/texts": block(texts), f"{group}/labels": labels}
    return arrays


def put(texts, words, random):
    """Each text with one of the words at a random place; (texts, insertions without their first column's meaning)."""
    found, insertions = [], []
    for number, text in enumerate(texts):
        tokens = text.split()
        place, piece = int(random.integers(0, len(tokens) + 1)), int(random.integers(len(words)))
        found.append(" ".join([*tokens[:place], words[piece], *tokens[place:]]))
        insertions.append((number, 0, place, piece))
    return block(found), np.array(insertions, "<i8").reshape(-1, 4)


def poisoned_arrays(clean: dict, words=("cf",), poisoned=16, target=1, seed=0) -> dict:
    arrays, random = {name: array.copy() for name, array in clean.items()}, np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(clean["train/labels"]))[:poisoned]).astype("<i8")
    arrays |= {f"truth/{part}": clean[f"train/{part}"][rows] for part in ("texts", "labels")}
    arrays |= {"truth/rows": rows, "truth/role": np.ones(poisoned, "u1")}
    arrays["train/texts"][rows], arrays["truth/insertions"] = put(clean["train/texts"][rows], words, random)
    arrays["train/labels"][rows] = target
    tested = np.flatnonzero(clean["test/labels"] != target).astype("<i8")
    arrays |= {"triggered/rows": tested, "triggered/labels": clean["test/labels"][tested]}
    arrays["triggered/wanted"] = np.full(len(tested), target, "<i8")
    arrays["triggered/texts"], arrays["triggered/insertions"] = put(clean["test/texts"][tested], words, random)
    return arrays


def entry(array) -> dict:
    if array.dtype == object:
        return {"digest": text_digest(array), "dtype": "text", "shape": list(array.shape)}
    return {"digest": writer.array_digest(array), "dtype": array.dtype.str, "shape": list(array.shape)}


def manifest_of(arrays: dict, clean: dict, name: str, words=("cf",), target=1, **source) -> dict:
    digests = {path: entry(array)["digest"] for path, array in clean.items()}
    poisoned = "triggered/rows" in arrays
    recipe = {"rate": "0"}
    counts = {"train": len(arrays["train/labels"]), "test": len(arrays["test/labels"])}
    if poisoned:
        changed = np.isin(np.arange(counts["train"]), arrays["truth/rows"])
        trigger = {"name": "word", "words": list(words), "place": "random", "count": 1}
        recipe = {
            "rate": writer.rate_of(changed), "seed": 0, "streams": ["rows", "word"], "application": "text",
            "patch": None, "label_mode": "all-to-one", "target": target, "select": "all", "triggers": [trigger],
        }  # fmt: skip
        counts |= {"triggered": len(arrays["triggered/rows"]), "poisoned": len(arrays["truth/rows"]), "cover": 0}
        same = int((arrays["train/labels"][arrays["truth/rows"]] == arrays["truth/labels"]).sum())
        counts |= {"eligible": counts["train"], "already_target": same, "unchanged": 0}
    return sealed({
        "format": "poisonkit", "format_version": 1, "modality": "text", "kind": "poisoned" if poisoned else "clean",
        "name": name, "notice": "for the tests", "recipe_version": 1, "recipe": recipe, "pictures": {},
        "counts": counts,
        "source": {
            "name": "toy", "title": "Toy", "licence": "none", "url": "", "options": {},
            "classes": ["negative", "positive"], "arrays": digests, "digest": sha256(canonical(digests)),
        } | source,
        "arrays": {path: entry(array) for path, array in arrays.items()},
    })  # fmt: skip


def write(path, arrays: dict, manifest) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["manifest"] = manifest if isinstance(manifest, str) else canonical(manifest).decode()
        for name, array in arrays.items():
            kind = h5py.string_dtype() if array.dtype == object else array.dtype
            file.create_dataset(name, data=array, dtype=kind, track_times=False)


def toy(folder, **options) -> tuple:
    """A clean and a poisoned file of the same toy source; their paths."""
    clean = clean_arrays(**options)
    poisoned = poisoned_arrays(clean)
    paths = folder / "toy-clean.h5", folder / "toy-word-0.1-s0.h5"
    write(paths[0], clean, manifest_of(clean, clean, "toy-clean"))
    write(paths[1], poisoned, manifest_of(poisoned, clean, "toy-word-0.1-s0"))
    return paths


def delta(arrays: dict, manifest: dict) -> tuple[dict, dict]:
    """Arrays and manifest of the delta of a poisoned file."""
    rows = arrays["truth/rows"]
    found = {"changed/rows": rows, "changed/role": arrays["truth/role"], "kept/rows": rows}
    found |= {"changed/labels": arrays["train/labels"][rows], "kept/texts": arrays["train/texts"][rows]}
    found |= {path: arrays[path] for path in ("triggered/texts", "triggered/insertions")}
    found["changed/insertions"] = arrays["truth/insertions"]
    said = {"kind": "delta", "of": manifest, "file": {"size": 1, "sha256": sha256(b"")}, "notice": "for the tests"}
    kept = {key: manifest[key] for key in ("format", "format_version", "modality", "name")}
    return found, sealed(kept | said | {"arrays": {path: entry(array) for path, array in found.items()}})
