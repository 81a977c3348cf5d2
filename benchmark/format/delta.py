"""A data set from a delta and its clean base (data/FORMAT.md, "Deltas"): the same arrays, proven by their digests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.core.errors import Failure
from benchmark.format import hints
from benchmark.format.manifest import Manifest

ROWS_AT_ONCE = 256
Arrays = dict[str, np.ndarray]
SETS = ("triggered", "others")


def find_base(path: Path, manifest: Manifest, peek: Callable[[Path], Manifest]) -> Path:
    """Return the clean file beside a delta that has its source; `manifest` is the original's, `peek` reads a file's
    manifest.

    Raises `Failure` where there is none, and says which command makes it.
    """
    name = manifest.source.label
    for candidate in sorted(path.parent.glob(f"{name}-clean*.h5")):
        try:
            found = peek(candidate)
        except Failure:
            continue
        if found.kind.clean and found.source.digest == manifest.source.digest:
            return candidate
    raise Failure(
        f"{path}: is a delta, and there is no {name}-clean.h5 with its clean images next to it: name that file with "
        f"--base; to make it: {hints.clean_file(path, manifest.source)}"
    )


def check_base(path: Path, base: Path, clean: Manifest, manifest: Manifest) -> None:
    """`Failure` where the clean file is not the one that the delta is to be applied to."""
    if not clean.kind.clean:
        raise Failure(f"{base}: --base must be a clean file, this one is {clean.kind}")
    if clean.source.digest != manifest.source.digest:
        raise Failure(
            f"{base}: is not the base of {path.name}: its data are {str(clean.source.digest)[:23]}…, "
            f"those of the delta {str(manifest.source.digest)[:23]}…"
        )


def rebuild(manifest: Manifest, delta: Arrays, clean: Arrays) -> Arrays:
    """All arrays of the original but those of its trigger.

    Parameters
    ----------
    manifest : Manifest
        The original's.
    delta, clean : dict
        The arrays of the delta and of the clean file by path; the clean ones are changed in place.

    Raises
    ------
    Failure
        Where rows lie outside the arrays.
    """
    rows, inputs = delta["changed/rows"], manifest.inputs
    put = trigger(manifest, delta, "train")  # a text delta keeps all of them whole
    put_test = trigger(manifest, delta, "test")
    images, labels = clean[f"train/{inputs}"], clean["train/labels"]
    arrays = dict(clean)
    arrays |= {"truth/rows": rows, "truth/role": delta["changed/role"]}
    arrays |= {f"truth/{inputs}": images[rows], "truth/labels": labels[rows]}
    if put:
        images[rows] = put(arrays[f"truth/{inputs}"])
    arrays |= masks(manifest, delta)
    if "kept/rows" in delta:
        images[delta["kept/rows"]] = delta[f"kept/{inputs}"]
    labels[rows] = delta["changed/labels"]
    for group in SETS:
        if f"{group}/{inputs}" in manifest.arrays:
            found = tested(group, manifest, delta, clean["test/labels"])
            where = found[f"{group}/rows"]
            arrays |= found | {f"{group}/labels": clean["test/labels"][where]}
            there = put_test(clean[f"test/{inputs}"][where]) if put_test else delta[f"{group}/{inputs}"]
            arrays[f"{group}/{inputs}"] = there
    for path in (path for path in delta if path.endswith("/insertions")):
        arrays[path.replace("changed/", "truth/")] = delta[path]
    return arrays


def tested(group: str, manifest: Manifest, delta: Arrays, labels: np.ndarray) -> Arrays:
    """Rows and wanted classes of a group of triggered test images, by path; `labels` are those of the test set.

    Where the delta does not spell them out, they are all of other classes than the target.
    """
    found = {path: delta[path] for path in (f"{group}/rows", f"{group}/wanted") if path in delta}
    if not found:
        target = manifest.recipe.target
        rows = np.flatnonzero(labels != target).astype("<i8")
        found = {f"{group}/rows": rows, f"{group}/wanted": np.full(len(rows), target, "<i8")}
    return found


Map = Callable[[np.ndarray], np.ndarray]
"""Images (n, H, W, C) uint8 → the same with a trigger on them."""


def masks(manifest: Manifest, delta: Arrays) -> Arrays:
    """Return where each trigger can change a byte, by path: as the delta says it, or as its stencils and tables do."""
    found = {}
    for number in range(0 if manifest.of_texts else len(manifest.recipe.triggers)):
        path = f"trigger/{number}/mask"
        found[path] = delta[path] if path in delta else mask_of(manifest, delta, number)
    return found


def mask_of(manifest: Manifest, arrays: Arrays, number: int) -> np.ndarray:
    """(H, W, C) uint8: 0 where the stencils and tables of a trigger, for training and test rows, leave the byte as it
    is."""
    shape = manifest.arrays["train/images"].shape[1:]
    mask = np.zeros(shape, "|u1")
    for before in ("", "test_"):
        if f"trigger/{number}/{before}taps" in arrays:
            taps, weights, bias = stencil(manifest, arrays, number, before)
            itself = np.arange(len(taps), dtype=np.int32)[:, None]
            same = (taps == itself).all(1) & (weights.sum(1) == 1 << 15) & (bias == 0)
            mask |= (~same).reshape(shape).astype("|u1")
        if f"trigger/{number}/{before}table" in arrays:
            table = arrays[f"trigger/{number}/{before}table"]
            mask |= (table != np.arange(256)).any(1).astype("|u1")
    return mask


def stencil(
    manifest: Manifest, arrays: Arrays, number: int, before: str = ""
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return taps (P, K), weights (P, K) and bias (P,) of a trigger, over the P bytes of an image; `before` is "test_"
    for what test rows get."""
    size = int(np.prod(manifest.arrays["train/images"].shape[1:]))
    names = [f"trigger/{number}/{before}{part}" for part in ("taps", "weights", "bias")]
    taps, weights, bias = (arrays[name] for name in names)
    if taps.min() < 0 or taps.max() >= size:
        raise Failure(f"{names[0]} has byte positions outside 0 … {size - 1}")
    return taps.reshape(size, -1), weights.reshape(size, -1), bias.reshape(size)


def trigger(manifest: Manifest, arrays: Arrays, part: str) -> Map | None:
    """Return the function that puts all triggers on images of `train` or `test`, (n, H, W, C) uint8 → the same; None
    where the arrays do not say it all, where each row gets one of them, and for texts."""
    made = [one_trigger(manifest, arrays, number, part) for number in range(len(manifest.recipe.triggers))]
    steps = [one for one in made if one is not None]
    if manifest.of_texts or len(steps) < len(made) or (part == "train" and manifest.recipe.one_of):
        return None

    def apply(images: np.ndarray) -> np.ndarray:
        out = np.empty_like(images)
        for start in range(0, len(images), ROWS_AT_ONCE):
            block = images[start : start + ROWS_AT_ONCE]
            for step in steps:
                block = step(block)
            out[start : start + ROWS_AT_ONCE] = block
        return out

    return apply


def one_trigger(manifest: Manifest, arrays: Arrays, number: int, part: str) -> Map | None:
    """Return the function that puts one trigger on a few images of a part; None where it is in no array."""
    for before in ("test_", "") if part == "test" else ("",):
        if f"trigger/{number}/{before}taps" in arrays:
            return _stencil_map(*stencil(manifest, arrays, number, before))
        if f"trigger/{number}/{before}table" in arrays:
            table = arrays[f"trigger/{number}/{before}table"]
            return lambda images, levels=table: levels[np.arange(len(levels)), images]  # type: ignore[misc]
    return None


def _stencil_map(taps: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> Map:
    def put(images: np.ndarray) -> np.ndarray:
        block, total = images.reshape(len(images), -1), bias + (1 << 14)
        for k in range(taps.shape[1]):
            total = total + block[:, taps[:, k]].astype(np.int32) * weights[:, k]
        return np.asarray((total >> 15).clip(0, 255).astype(np.uint8).reshape(images.shape))

    return put
