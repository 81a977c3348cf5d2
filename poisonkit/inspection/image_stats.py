"""`poisonkit stats`: how visible the change is, measured on every changed row. Of images (of texts, see `text_stats`):

PSNR (dB, peak 255), SSIM (Wang et al. 2004: Gaussian window of 11×11, σ = 1.5, K1 = 0.01, K2 = 0.03, where the window
fits into the image whole, mean over channels), L∞ (grey levels) and the share of changed bytes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poisonkit.core import modality
from poisonkit.core.errors import Failure
from poisonkit.format import reader
from poisonkit.format.manifest import Manifest
from poisonkit.inspection import text_stats
from poisonkit.poisoning import apply
from poisonkit.poisoning.selection import COVER, POISONED

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
ROWS_AT_ONCE = 512
BYTES_AT_ONCE = 1 << 21  # of images; SSIM needs some hundred times as much
TESTED_GROUPS = ("triggered", "others")
ROLES = {"poisoned": POISONED, "cover": COVER}
MEASURES = ("psnr", "ssim", "linf", "changed")
WORDS = "clean rows that hold"


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of (n, H, W, C) uint8 pairs, (n,) float64; infinite where they are equal."""
    error = ((a.astype(np.float64) - b) ** 2).reshape(len(a), -1).mean(1)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / error)


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity of (n, H, W, C) uint8 pairs, (n,) float64 in [−1, 1].

    The window shrinks to small images.
    """
    size = min(WINDOW, *(side if side % 2 else side - 1 for side in a.shape[1:3]))
    offsets = np.arange(size) - size // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    var_a = _blur(a * a, window) - mean_a**2
    var_b = _blur(b * b, window) - mean_b**2
    covariance = _blur(a * b, window) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    similarity /= (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
    return similarity.reshape(len(a), -1).mean(1)


def _blur(images: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Weighted means over the window, down and across, where it fits whole."""
    size = len(window)
    rows, columns = images.shape[1] - size + 1, images.shape[2] - size + 1
    down = sum(weight * images[:, i : i + rows] for i, weight in enumerate(window))
    return sum(weight * down[:, :, i : i + columns] for i, weight in enumerate(window))


def measure(originals: np.ndarray, changed: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure for each pair of images: name → (n,) float64."""
    difference = np.abs(changed.astype(np.int16) - originals).reshape(len(originals), -1)
    return {
        "psnr": psnr(originals, changed),
        "ssim": ssim(originals, changed),
        "linf": difference.max(1).astype(np.float64),
        "changed": (difference > 0).mean(1),
    }


GAUGES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]], tuple[str, ...]]] = {
    modality.IMAGE.name: (measure, MEASURES),
    modality.TEXT.name: (text_stats.measure, text_stats.MEASURES),
}
"""Modality → what measures pairs of rows, and the names of what it measures."""


@dataclass(frozen=True)
class Measured:
    """Rows that were measured: their numbers (n,), and the values of each measure, (n,) float64."""

    rows: np.ndarray
    values: dict[str, np.ndarray]

    def only(self, chosen: np.ndarray) -> "Measured":
        """Return those that are chosen, (n,) bool."""
        return Measured(self.rows[chosen], {key: of[chosen] for key, of in self.values.items()})


@dataclass(frozen=True)
class Collected:
    """The measures of a file: those of ``poisoned``, ``cover``, ``triggered`` and ``others`` rows, where there are
    such; of texts also trigger's word → part → number of clean rows that hold it, where that is known; the name of the
    one trigger that each changed training row got, by its number, where it got one of several."""

    groups: dict[str, Measured]
    words: dict[str, dict[str, int]]
    one: dict[int, str] = field(default_factory=dict)


def collect(path: Path) -> Collected:
    """Return the measures of a poisoned file. Raises `Failure` for a clean file, or row numbers that are none."""
    with reader.reading(path) as data:
        if data.clean:
            raise Failure(f"{path}: is a clean file: nothing in it was changed")
        named, role = data.modality.path, data["truth/role"]
        changed = _measured(data, "truth/rows", named("truth"), named("train"))
        result = {name: changed.only(role == value) for name, value in ROLES.items()}
        for group in TESTED_GROUPS:
            if f"{group}/rows" in data:
                result[group] = _measured(data, f"{group}/rows", named("test"), named(group))
        result = {name: part for name, part in result.items() if len(part.rows)}
        return Collected(result, text_stats.clean_words(data) if data.modality.is_text else {}, _one_of(data))


def _one_of(data: reader.Reader[Manifest]) -> dict[int, str]:
    """Return the trigger that each changed row got, by its number; nothing where each got all."""
    choice, names = apply.one_of(data.manifest.recipe), [one.name for one in data.manifest.recipe.triggers]
    if choice is None:
        return {}
    rows = data["truth/rows"]
    which = apply.which_one(choice, len(names), rows)
    return {row: names[number] for row, number in zip(rows.tolist(), which.tolist(), strict=True)}


def _measured(data: reader.Reader[Manifest], rows: str, originals: str, changed: str) -> Measured:
    """Return the measures of all rows, some hundred at a time, and fewer of large images."""
    numbers, parts = data[rows], []
    gauge, names = GAUGES[data.modality.name]
    own = {name: name.split("/")[0] == rows.split("/")[0] for name in (originals, changed)}
    step = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // math.prod(data.manifest.shape(originals)[1:])))
    for start in range(0, len(numbers), step):
        stop = min(start + step, len(numbers))
        pair = (
            data.rows(name, start, stop) if own[name] else data.pick(name, numbers[start:stop])
            for name in (originals, changed)
        )
        parts.append(gauge(*pair))
    return Measured(numbers, {key: np.concatenate([part[key] for part in parts]) for key in names})


def summarise(collected: Collected) -> dict:
    """Mean, least and greatest of each measure, and in sum; numbers as JSON has them (no infinities)."""
    summary: dict[str, dict[str, Any]] = {}
    for name, part in collected.groups.items():
        values = part.values
        kind, share = ("images", "changed") if "changed" in values else ("texts", "characters")
        summary[name] = {kind: len(part.rows), "unchanged": int((values[share] == 0).sum())}
        for key in values:
            finite = values[key][np.isfinite(values[key])]
            summary[name][key] = (
                {"mean": float(finite.mean()), "min": float(finite.min()), "max": float(finite.max())}
                if len(finite)
                else None
            )
        if "characters" in values and (left_out := int(np.isnan(values["characters"]).sum())):
            summary[name]["too_long"] = left_out
    return summary | ({WORDS: collected.words} if collected.words else {})


def table(collected: Collected) -> str:
    """Every row's measures as CSV: part, row, and a column for each measure (an empty PSNR where nothing changed); a
    last column has the trigger of each training row, where each got one of several."""
    names = next(iter(collected.groups.values())).values
    last = ("trigger",) if collected.one else ()
    rows = [",".join(("part", "row", *names, *last))]
    for name, part in collected.groups.items():
        for i, row in enumerate(part.rows):
            values = (part.values[key][i] for key in names)
            one = (collected.one.get(int(row), "") if name in ROLES else "",) if last else ()
            rows.append(",".join((name, str(row), *(f"{v:.6g}" if np.isfinite(v) else "" for v in values), *one)))
    return "\n".join(rows)


def lines(summary: dict) -> list[str]:
    """Return the table for people."""
    if "texts" in next(iter(summary.values())):
        return text_stats.lines(summary)
    titles = {"psnr": "PSNR dB", "ssim": "SSIM", "linf": "L∞", "changed": "changed bytes %"}
    scale = {"changed": 100}
    rows = [f"{'':11}{'images':>8}{'unchanged':>11}" + "".join(f"{titles[key]:>24}" for key in MEASURES)]
    for name, part in summary.items():
        cells = []
        for key in MEASURES:
            values = part[key] and [part[key][kind] * scale.get(key, 1) for kind in ("mean", "min", "max")]
            digits = 3 if key == "ssim" else 1
            cells.append("–" if values is None else "{:.{d}f} ({:.{d}f}–{:.{d}f})".format(*values, d=digits))
        counts = f"{part['images']:>8,}{part['unchanged']:>11,}"
        rows.append(f"{name:11}{counts}" + "".join(f"{cell:>24}" for cell in cells))
    return [*rows, "mean (min–max); PSNR excludes unchanged images"]
