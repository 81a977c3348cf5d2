"""Everything that a file claims, computed anew: digests, trigger, counts, sidecar."""

import json
from pathlib import Path

import numpy as np

from poisonkit import make, manifest, recipe, sampling, store
from poisonkit.errors import Usage
from poisonkit.make import COVER, POISONED, apply_all
from poisonkit.store import Reader, sidecar_path

ROWS_AT_ONCE = 2048


def verify(path: Path) -> list[str]:
    """What differs from what the file claims, one line each; empty where all is well.

    Raises `Failure` where the file cannot be read as one of the format at all.
    """
    with store.reading(path) as data:
        wrong = _digests(data)
        if not wrong:
            wrong += _counts(data)
            wrong += _labels_in_range(data)
            wrong += _clean(data) if data.clean else _poisoning(data)
        facts = data.manifest
    return wrong + _sidecar(path, facts)


def _digests(data: Reader) -> list[str]:
    wrong = []
    for path, entry in data.manifest["arrays"].items():
        total = manifest.ArrayHash(entry["dtype"], entry["shape"])
        for _, block in data.blocks(path):
            total.update(np.ascontiguousarray(block))
        if str(total) != entry["digest"]:
            wrong.append(f"{path}: digest is {str(total)[:23]}…, the manifest says {str(entry['digest'])[:23]}…")
    try:
        own = manifest.dataset_digest(data.manifest)
    except TypeError as error:
        return [*wrong, f"manifest: {error}"]
    if own != data.manifest.get("dataset_digest"):
        wrong.append("manifest: its own digest (dataset_digest) does not fit what it says")
    source = data.manifest["source"]
    if source.get("digest") != manifest.digest(source.get("arrays")):
        wrong.append("manifest: the source's digest does not fit its arrays")
    return wrong


def _counts(data: Reader) -> list[str]:
    counts, shapes = data.manifest["counts"], {k: v["shape"][0] for k, v in data.manifest["arrays"].items()}
    found = {"train": shapes["train/labels"], "test": shapes["test/labels"]}
    if not data.clean:
        role, labels = data["truth/role"], data["truth/labels"]
        changed = data["train/labels"][data["truth/rows"].clip(0, found["train"] - 1)]
        found |= {
            "triggered": shapes["triggered/labels"],
            "eligible": found["train"],
            "poisoned": int((role == POISONED).sum()),
            "cover": int((role == COVER).sum()),
            "already_target": int(((role == POISONED) & (labels == changed)).sum()),
        }
    return [
        f"counts: {key} is {value:,}, the manifest says {counts.get(key)}"
        for key, value in found.items()
        if counts.get(key) != value
    ]


def _clean(data: Reader) -> list[str]:
    source = data.manifest["source"]["arrays"]
    arrays = data.manifest["arrays"]
    return [f"{path}: is not the source's" for path in arrays if arrays[path]["digest"] != source.get(path)]


def _labels_in_range(data: Reader) -> list[str]:
    classes = len(data.manifest["source"]["classes"])
    wrong = []
    for path in ("train/labels", "test/labels", "triggered/labels", "triggered/wanted", "truth/labels"):
        if path in data and not ((data[path] >= 0) & (data[path] < classes)).all():
            wrong.append(f"{path}: has labels outside 0 … {classes - 1}")
    return wrong


def _rows(data: Reader, path: str, count: int) -> tuple[np.ndarray, list[str]]:
    rows = data[path]
    if ((np.diff(rows) > 0).all() if len(rows) else True) and rows.min(initial=0) >= 0 and rows.max(initial=0) < count:
        return rows, []
    return rows, [f"{path}: rows must ascend and lie in 0 … {count - 1:,}"]


def _poisoning(data: Reader) -> list[str]:
    """Trigger on the originals gives the poisoned rows; originals put back give the source; and so for the test set."""
    shapes = {path: entry["shape"] for path, entry in data.manifest["arrays"].items()}
    rows, wrong = _rows(data, "truth/rows", shapes["train/labels"][0])
    tested, more = _rows(data, "triggered/rows", shapes["test/labels"][0])
    if wrong or more:
        return wrong + more
    if not np.isin(data["truth/role"], (POISONED, COVER)).all():
        wrong.append(f"truth/role: is not {POISONED} or {COVER} everywhere")
    wrong += _recipe(data, rows)
    stencils = data.stencils()
    for i, stencil in enumerate(stencils):
        if (stencil.mask() != data[f"trigger/{i}/mask"]).any():
            wrong.append(f"trigger/{i}/mask: is not where the stencil changes the image")
    return wrong + _train_side(data, rows, stencils) + _test_side(data, tested, stencils)


def _recipe(data: Reader, rows: np.ndarray) -> list[str]:
    """Rows and triggers drawn and built anew from the recipe (a user's picture is taken from `trigger/I/pattern`)."""
    facts, said = data.manifest, data.manifest["recipe"]
    total, *image = facts["arrays"]["train/images"]["shape"]
    if facts["recipe_version"] != manifest.RECIPE_VERSION:
        return []
    wrong = []
    try:
        request = recipe.request_of(facts, _patterns(data))
        built = recipe.build(request, tuple(image), force=True)
        chosen = sampling.permutation(request.seed, "rows", total)[: recipe.count_rows(request.rate, total)]
    except Usage as error:
        return [f"manifest: its recipe cannot be followed: {error}"]
    if not np.array_equal(np.sort(chosen), rows):
        wrong.append("truth/rows: are not those of the seed and the rate")
    record = request.record(make.streams(built))
    if record != said:
        keys = sorted(key for key in record.keys() | said.keys() if record.get(key) != said.get(key))
        wrong.append(f"manifest: recipe is not in its one spelling: {', '.join(keys)}")
    name = recipe.file_name(request, record, facts["source"]["name"], facts["source"]["options"], facts["pictures"])
    if name != facts["name"]:
        wrong.append(f"manifest: name is {facts['name']!r:.80}, its recipe gives {name!r}")
    for i, one in enumerate(built):
        for part, array in make.trigger_arrays(one).items():
            path = f"trigger/{i}/{part}"
            if path not in data or not np.array_equal(data[path], array):
                wrong.append(f"{path}: is not what the recipe makes")
    return wrong


def _patterns(data: Reader) -> dict[str, np.ndarray]:
    """The users' pictures, resized as the file has them, by trigger name."""
    pictures = {}
    for i, step in enumerate(data.manifest["recipe"]["triggers"]):
        if "digest" in data.manifest["pictures"].get(str(i), {}) and f"trigger/{i}/pattern" in data:
            pictures[step["name"]] = data[f"trigger/{i}/pattern"]
    return pictures


def _train_side(data: Reader, rows: np.ndarray, stencils) -> list[str]:
    wrong, target, role = [], data.manifest["recipe"].get("target"), data["truth/role"]
    labels, originals = data["train/labels"], data["truth/labels"]
    expected = np.where(role == POISONED, target, originals)
    if (labels[rows] != expected).any():
        wrong.append(
            f"train/labels: {int((labels[rows] != expected).sum())} changed rows have a label that truth denies"
        )
    labels[rows] = originals
    source = data.manifest["source"]["arrays"]
    if manifest.array_digest(labels) != source.get("train/labels"):
        wrong.append("train/labels: with truth's labels put back they are not the source's")
    total = manifest.ArrayHash("|u1", data.manifest["arrays"]["train/images"]["shape"])
    differing = unchanged = 0
    for start, block in data.blocks("train/images", ROWS_AT_ONCE):
        low, high = np.searchsorted(rows, [start, start + len(block)])
        if low < high:
            clean = data.rows("truth/images", low, high)
            inside = rows[low:high] - start
            differing += int((apply_all(stencils, clean) != block[inside]).reshape(high - low, -1).any(1).sum())
            unchanged += int((clean == block[inside]).reshape(high - low, -1).all(1).sum())
            block[inside] = clean
        total.update(block)
    if differing:
        wrong.append(f"train/images: {differing} changed rows are not truth/images with the trigger on them")
    if unchanged != data.manifest["counts"].get("unchanged"):
        wrong.append(f"counts: unchanged is {unchanged}, the manifest says {data.manifest['counts'].get('unchanged')}")
    if str(total) != source.get("train/images"):
        wrong.append("train/images: with truth's images put back they are not the source's")
    return wrong


def _test_side(data: Reader, tested: np.ndarray, stencils) -> list[str]:
    wrong, arrays = [], data.manifest["arrays"]
    source, target = data.manifest["source"]["arrays"], data.manifest["recipe"].get("target")
    for path in ("test/images", "test/labels"):
        if arrays[path]["digest"] != source.get(path):
            wrong.append(f"{path}: is not the source's")
    labels = data["test/labels"]
    if not np.array_equal(tested, np.flatnonzero(labels != target)):
        wrong.append("triggered/rows: are not all test rows of other classes than the target")
    if (data["triggered/labels"] != labels[tested]).any():
        wrong.append("triggered/labels: are not the true labels of their test rows")
    if (data["triggered/wanted"] != target).any():
        wrong.append("triggered/wanted: is not the target everywhere")
    differing = 0
    for start, block in data.blocks("test/images", ROWS_AT_ONCE):
        low, high = np.searchsorted(tested, [start, start + len(block)])
        if low < high:
            expected = apply_all(stencils, block[tested[low:high] - start])
            found = data.rows("triggered/images", low, high)
            differing += int((expected != found).reshape(high - low, -1).any(1).sum())
    if differing:
        wrong.append(f"triggered/images: {differing} rows are not their test images with the trigger on them")
    return wrong


def _sidecar(path: Path, facts: dict) -> list[str]:
    """The sidecar against the file; a missing one is no fault, the file says all that is needed."""
    sidecar = sidecar_path(path)
    if not sidecar.exists():
        return []
    try:
        said = json.loads(sidecar.read_text(encoding="utf-8"))
        file, repeated = said["file"], said["manifest"]
        size, digest = file["size"], file["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        return [f"{sidecar.name}: is no sidecar ({type(error).__name__}: {error})"]
    wrong = []
    if repeated != facts:
        wrong.append(f"{sidecar.name}: its manifest is not the file's")
    if size != path.stat().st_size:
        wrong.append(f"{sidecar.name}: says the file has {size} bytes, it has {path.stat().st_size}")
    elif digest != store.file_sha256(path):
        wrong.append(f"{sidecar.name}: its SHA-256 is not the file's")
    return wrong
