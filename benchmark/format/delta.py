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
    put = None if manifest.of_texts else trigger(manifest, delta)  # a text delta keeps all of them whole
    images, labels = clean[f"train/{inputs}"], clean["train/labels"]
    arrays = dict(clean)
    arrays |= {"truth/rows": rows, "truth/role": delta["changed/role"]}
    arrays |= {f"truth/{inputs}": images[rows], "truth/labels": labels[rows]}
    if put:
        images[rows] = put(arrays[f"truth/{inputs}"])
        for number, stencil in enumerate(stencils(manifest, delta)):
            arrays[f"trigger/{number}/mask"] = mask_of(manifest, *stencil)
    if "kept/rows" in delta:
        images[delta["kept/rows"]] = delta[f"kept/{inputs}"]
    labels[rows] = delta["changed/labels"]
    for group in SETS:
        if f"{group}/{inputs}" in manifest.arrays:
            found = tested(group, manifest, delta, clean["test/labels"])
            where = found[f"{group}/rows"]
            arrays |= found | {f"{group}/labels": clean["test/labels"][where]}
            there = put(clean[f"test/{inputs}"][where]) if put else delta[f"{group}/{inputs}"]
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


def stencils(manifest: Manifest, delta: Arrays) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Taps (P, K), weights (P, K) and bias (P,) of each trigger, over the P bytes of an image."""
    size = int(np.prod(manifest.arrays["train/images"].shape[1:]))
    found = []
    for number in range(len(manifest.recipe.triggers)):
        taps, weights, bias = (delta[f"trigger/{number}/{part}"] for part in ("taps", "weights", "bias"))
        if taps.min() < 0 or taps.max() >= size:
            raise Failure(f"trigger/{number}/taps has byte positions outside 0 … {size - 1}")
        found.append((taps.reshape(size, -1), weights.reshape(size, -1), bias.reshape(size)))
    return found


def mask_of(manifest: Manifest, taps: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8: 0 where a stencil leaves the byte as it is."""
    itself = np.arange(len(taps), dtype=np.int32)[:, None]
    same = (taps == itself).all(1) & (weights.sum(1) == 1 << 15) & (bias == 0)
    return np.asarray(~same, "|u1").reshape(manifest.arrays["train/images"].shape[1:])


def trigger(manifest: Manifest, delta: Arrays) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that puts all triggers on images, (n, H, W, C) uint8 → the same."""
    shape = manifest.arrays["train/images"].shape[1:]
    size, made = int(np.prod(shape)), stencils(manifest, delta)

    def apply(images: np.ndarray) -> np.ndarray:
        out = np.empty_like(images)
        for start in range(0, len(images), ROWS_AT_ONCE):
            block = images[start : start + ROWS_AT_ONCE].reshape(-1, size)
            for taps, weights, bias in made:
                total = bias + (1 << 14)
                for k in range(taps.shape[1]):
                    total = total + block[:, taps[:, k]].astype(np.int32) * weights[:, k]
                block = (total >> 15).clip(0, 255).astype(np.uint8)
            out[start : start + ROWS_AT_ONCE] = block.reshape(-1, *shape)
        return out

    return apply
