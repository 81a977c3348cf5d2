"""Beatrix (Ma et al. 2023): whose feature maps correlate otherwise than is usual for their predicted class, is
suspicious: Gram matrices of the maps' powers against the spread of clean rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.defences.context import CLEAN, TRAIN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, FEATURES
from benchmark.defences.options import Option
from benchmark.defences.probes import probe
from benchmark.defences.registry import AMONG, READ, RUN, DetectorSpec, Remark, Size, Work, register

POWERS = tuple(range(1, 9))
FOLDS = 5
AT_ONCE = 1 << 22
"""Entries of Gram matrices that are held at a time: 32 MB of float64."""
LEAST = 10
"""Clean rows that a class needs."""
COMPARED = 500
"""Flagged rows of a class, and others, that are compared to decide on it: so many at most, drawn at random."""
TINY = 1e-6
"""As published: added where it is divided."""


def gram(maps: np.ndarray, power: int) -> np.ndarray:
    """Return sign(G)·|G|^(1/p) of G = F^p (F^p)ᵀ, its upper triangle: (n, C, P) → (n, C (C + 1) / 2) float64.

    F (C, P) are one row's maps, P its positions. (The paper's Gram matrix of order p.)
    """
    raised = np.asarray(maps, np.float64) ** power
    full = raised @ raised.transpose(0, 2, 1)
    first, second = np.triu_indices(maps.shape[1])
    upper = full[:, first, second]
    return np.sign(upper) * np.abs(upper) ** (1 / power)


def blocks(count: int, channels: int) -> Iterator[slice]:
    """Cut rows into blocks whose Gram matrices fit into `AT_ONCE`."""
    step = max(1, AT_ONCE // (channels * channels))
    return (slice(start, start + step) for start in range(0, count, step))


def score(
    context: DefenceContext,
    *,
    layer: str | None,
    channels: int | None,
    width: float,
    share: float,
    index: float,
    per_class: int,
) -> Detection:
    """Score each row by its deviation from the clean rows of its predicted class, as a multiple of the class's cut."""
    maps = Maps(context, layer, channels)
    groups = {TRAIN: context.predicted(), CLEAN: context.predicted(CLEAN)}
    found, over = np.zeros(len(context.rows)), np.zeros(len(context.rows), bool)
    seen: list[Seen] = []
    too_few = []
    for label in range(context.classes):
        rows, clean = (np.flatnonzero(groups[group] == label) for group in (TRAIN, CLEAN))
        if len(rows) and len(clean) < LEAST:
            too_few.append(context.class_names[label])
        elif len(rows):
            one = measure(maps, label, rows, clean[:per_class], width, share)
            found[rows], over[rows] = one.deviation, one.deviation > one.threshold
            seen.append(one)
    if not seen:
        raise Failure(f"no predicted class has {LEAST} clean rows or more (there are {len(context.clean)} in all): "
                      f"more can "
                      "be used with --clean-rows, or held out")  # fmt: skip
    unit = min((one.threshold for one in seen if one.threshold > 0), default=1.0)  # where no clean row deviates
    for one in seen:
        found[one.rows] /= one.threshold or unit
    indices = decide(np.asarray([one.distance for one in seen]))
    targets = (
        [one.label for one, value in zip(seen, indices, strict=True) if value > index] if indices is not None else []
    )
    flagged = over if indices is None else over & np.isin(groups[TRAIN], targets)
    return Detection(found, flagged, _findings(context, maps, seen, indices, targets, too_few))


@dataclass(frozen=True)
class Seen:
    """A predicted class: its number, its inspected `rows` and their `deviation`, how many clean rows it has, the cut,
    and the kernel `distance` between the rows below and above it."""

    label: int
    rows: np.ndarray
    deviation: np.ndarray
    clean: int
    threshold: float
    distance: float


def measure(maps: "Maps", label: int, rows: np.ndarray, clean: np.ndarray, width: float, share: float) -> Seen:
    """Measure one predicted class: `rows` of the inspected ones and `clean` ones, by their positions."""
    usual = maps.of(CLEAN, clean)
    bands, limit = bands_of(usual, width), threshold(usual, width, share)
    deviation, means = [], []
    for start in range(0, len(rows), 512):
        block = maps.of(TRAIN, rows[start : start + 512])
        deviation.append(deviations(block, bands))
        means.append(block.mean(axis=2))
    values, middle = np.concatenate(deviation), np.concatenate(means)
    parts = [random_streams.some(np.flatnonzero(one), COMPARED, f"beatrix, class {label}")
             for one in (values <= limit, values > limit)]  # fmt: skip
    return Seen(label, rows, values, len(clean), limit, kernel_distance(*(middle[part] for part in parts)))


def decide(distances: np.ndarray) -> np.ndarray | None:
    """Return each class's J* (k,); None where their spread is 0, as where most classes have no flagged row: any other
    class would then be a target, so nothing is decided."""
    spread = lower_median(np.abs(distances - lower_median(distances)))
    return anomaly(distances) if spread > 0 else None


class Maps:
    """Feature maps of a run's rows, (m, C, P) float32, P positions: what goes into a layer, by default into the global
    pooling; of a network without one the features, which have one position. Of more than `most` channels that many are
    taken, drawn at random."""

    def __init__(self, context: DefenceContext, layer: str | None, most: int | None = None):
        self._context, self._most = context, most
        self.channels: int | None = None
        names = {one.name: one for one in context.model.layers}
        if layer is None:
            layer = next((one.name for one in context.model.layers if type(one).__name__.startswith("Global")), None)
        elif layer not in names:
            raise Failure(f"the network has no layer {layer!r:.60}; it has {', '.join(names)}")
        self.layer = layer or "logits"
        self._probe: Callable[[np.ndarray], np.ndarray] | None = None
        if layer is not None and context.is_of_images:
            taken = getattr(names[layer], "input", None)
            if taken is None or isinstance(taken, (list, tuple)) or len(taken.shape) not in (2, 3, 4):
                raise Failure(f"what goes into the layer {layer!r:.60} is no feature map")
            self._probe = probe(context.model, [taken], lambda maps: maps)

    def of(self, group: str, positions: np.ndarray) -> np.ndarray:
        """Return the maps of some rows of a group, by their positions in it."""
        if self._probe is None:
            return self._some(self._context.features(group)[positions][:, :, None])
        inputs = self._context.train.inputs if group == TRAIN else self._context.clean.inputs
        numbers = self._context.rows[positions] if group == TRAIN else positions
        maps = self._probe(inputs[numbers])
        return self._some(maps.reshape(len(maps), -1, maps.shape[-1]).transpose(0, 2, 1))

    def _some(self, maps: np.ndarray) -> np.ndarray:
        if self._most is not None and maps.shape[1] > self._most:
            taken = random_streams.permutation(self._context.seed, "beatrix, channels", maps.shape[1])[: self._most]
            maps = maps[:, np.sort(taken)]
        self.channels = maps.shape[1]
        return maps


def _findings(
    context: DefenceContext,
    maps: Maps,
    seen: list[Seen],
    indices: np.ndarray | None,
    targets: list[int],
    too_few: list[str],
) -> dict[str, Any]:
    names = context.class_names
    return {
        "layer": maps.layer,
        "channels": maps.channels,
        "classes": [
            {
                "class": names[one.label],
                "clean_rows": one.clean,
                "threshold": one.threshold,
                "flagged": int(np.count_nonzero(one.deviation > one.threshold)),
                "distance": one.distance,
                "index": None if indices is None else float(indices[number]),
            }
            for number, one in enumerate(seen)
        ],
        "decided": indices is not None,
        "targets": [names[label] for label in targets],
        "classes_with_too_few_clean_rows": too_few,
    }


@dataclass(frozen=True)
class Bands:
    """What is usual of each entry of the Gram matrices: from `low` to `high`, each (powers, entries) float32."""

    low: np.ndarray
    high: np.ndarray


def lower_median(values: np.ndarray) -> np.ndarray:
    """Return the median over the first axis; of an even count the lower middle value, as PyTorch has it."""
    middle = (len(values) - 1) // 2
    return np.asarray(np.partition(values, middle, axis=0)[middle])


def bands_of(maps: np.ndarray, width: float, powers: tuple[int, ...] = POWERS) -> Bands:
    """Measure the clean rows of one class, (m, C, P): the median of each entry ± `width` median absolute deviations."""
    low, high = [], []
    for power in powers:
        entries = np.concatenate([gram(maps[rows], power).astype(np.float32) for rows in blocks(*maps.shape[:2])])
        middle = lower_median(entries)
        spread = width * lower_median(np.abs(entries - middle))
        low.append(middle - spread)
        high.append(middle + spread)
    return Bands(np.stack(low), np.stack(high))


def deviations(maps: np.ndarray, bands: Bands, powers: tuple[int, ...] = POWERS) -> np.ndarray:
    """Return by how much each row (n, C, P) leaves the bands, (n,) float64: the mean over powers and entries of the
    distance beyond a bound, as a share of that bound. (Entries are counted as C² / 2, as published.)"""
    found = np.zeros(len(maps))
    channels = maps.shape[1]
    for rows in blocks(len(maps), channels):
        for order, power in enumerate(powers):
            entries, low, high = gram(maps[rows], power), bands.low[order], bands.high[order]
            below = np.maximum(low - entries, 0) / np.abs(low + TINY)
            above = np.maximum(entries - high, 0) / np.abs(high + TINY)
            found[rows] += (below + above).sum(axis=1)
    return found / (channels * channels / 2) / len(powers)


def threshold(maps: np.ndarray, width: float, share: float, powers: tuple[int, ...] = POWERS) -> float:
    """Return the deviation that a share of the clean rows (m, C, P) of one class stay within.

    Each fifth of the rows is measured against the bands of the others, so that none is measured against itself.
    """
    found = []
    for fold in np.array_split(np.arange(len(maps)), FOLDS):
        others = np.delete(maps, fold, axis=0)
        found.append(deviations(maps[fold], bands_of(others, width, powers), powers))
    return float(np.sort(np.concatenate(found))[int(share * len(maps))])


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the maximum mean discrepancy of two samples (m, d), (n, d) under Gaussian kernels, times mn / (m + n).

    The kernels' widths are b / 2 and b, b being the (lower) median of all squared distances, as published. 0 where a
    sample is empty, or all rows are one.
    """
    m, n = len(first), len(second)
    if not m or not n:
        return 0.0
    both = np.concatenate([first, second]).astype(np.float64)
    square = (both * both).sum(axis=1)
    distances = np.maximum(square[:, None] + square - 2 * both @ both.T, 0)
    np.fill_diagonal(distances, 0)
    base = float(lower_median(distances.reshape(-1)))
    if base == 0:
        return 0.0
    similar = np.exp(-distances / (base / 2)) + np.exp(-distances / base)
    mean = similar[:m, :m].mean() + similar[m:, m:].mean() - 2 * similar[:m, m:].mean()
    return float(mean * m * n / (m + n))


def anomaly(distances: np.ndarray) -> np.ndarray:
    """Return |J − median| / (1.4826 · (MAD + 1e-6)) of the classes' J (k,), float64: the paper's J*."""
    middle = lower_median(distances)
    spread = lower_median(np.abs(distances - middle))
    return np.asarray(np.abs(distances - middle) / (1.4826 * (spread + TINY)))


def work(size: Size, options: Mapping[str, Any]) -> Work:
    """Every row once; and the Gram matrices of the rows and, six times, of the clean ones: seconds for 64 channels."""
    clean = min(size.clean, options["per_class"] * size.classes)
    return Work(forward=size.rows + clean, seconds=5e-4 * (size.rows + (1 + FOLDS) * clean))


BB = "BackdoorBench f02e353, detection_pretrain/beatrix.py"
BE = "Beatrix 685827e"

register(
    DetectorSpec(
        name="beatrix",
        title="Beatrix",
        source="Ma et al. 2023, The Beatrix resurrections: robust backdoor detection via Gram matrices",
        summary="Compares correlations of feature maps, to the 8th power, with those of clean rows of the predicted "
        "class.",
        score=score,
        judges=AMONG,
        needs=(FEATURES, CLEAN_ROWS),
        options=(
            Option(
                "layer",
                "Layer whose inputs are the feature maps; by default the global pooling, or without one the last "
                "layer.",
                str,
                None,
                source="Beatrix: the input of the target layer",
            ),
            Option(
                "channels",
                "Channels of the maps that are compared at most, drawn at random: the time grows with their square; by "
                "default all.",
                int,
                None,
                least=2,
                most=100_000,
                source="paper: all",
            ),
            Option(
                "width",
                "Median absolute deviations on each side of the median that are usual.",
                float,
                10.0,
                above=0,
                source="paper",
            ),
            Option(
                "share",
                "Share of a class's clean rows that is to stay below its cut.",
                float,
                0.95,
                above=0,
                below=1,
                source="Beatrix: 0.95 or 0.99",
            ),
            Option(
                "index",
                "A class whose anomaly index J* is above it is a target.",
                float,
                float(np.exp(2)),
                above=0,
                source="paper: e²",
            ),
            Option(
                "per_class",
                "Clean rows of a class that are used at most.",
                int,
                100,
                least=LEAST,
                most=100_000,
                source="ours, for memory; the paper has about 30",
            ),
        ),
        work=work,
        remarks=(
            Remark(
                BB,
                RUN,
                "drops the power p of the maps, so that all eight orders are the same Gram matrix: monotone copies",
                "takes the powers 1 to 8, as the paper has them",
            ),
            Remark(BB, READ, "draws the clean rows with replacement", "takes the run's clean rows, each once"),
            Remark(
                BE,
                READ,
                "is evaluated with the true target known",
                "decides on every predicted class, without the truth",
            ),
            Remark(
                f"{BB}; {BE}",
                RUN,
                "where more than half of the classes have no flagged row, the MAD is 0 and J* explodes: 1.8e7, four "
                "classes are targets",
                "decides on no class then, says so, and flags by the rows' cut alone",
            ),
            Remark(
                f"{BB}; {BE}",
                READ,
                "gives a row its bare deviation, though what is too much differs from class to class",
                "scores a row by its deviation as a multiple of its class's cut",
            ),
        ),
    )
)
