"""STRIP (Gao et al. 2019): whose prediction stays as sure as it is whatever other image is laid over it, is
suspicious."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmark.core import random_streams
from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.defences.context import CLEAN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, IMAGES
from benchmark.defences.options import Option
from benchmark.defences.registry import READ, RUN, DetectorSpec, Remark, Size, Work, register
from benchmark.nn import normalisation

TINY = 1e-8
"""Added to each probability, as in BackdoorBench and backdoor-toolbox: 0 · ln 0 is 0."""
AT_ONCE = 1 << 26
"""Bytes of superimposed images that are held at a time, of at least one row."""
LEAST = 10
"""Clean rows that are needed."""


def score(context: DefenceContext, *, overlays: int, alpha: float, clamp: bool, share: float) -> Detection:
    """Score each row by minus the mean entropy of its predictions under the overlays, clean rows of the run."""
    pool = context.clean.inputs
    if len(pool) < LEAST:
        raise Failure(
            f"needs {LEAST} clean rows or more, to lay over others and to set the cut, and there are {len(pool)}"
        )
    count = min(overlays, len(pool) - 1)
    predict, centre = context.predictor(), centre_of(context.model)

    def measured(images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return mean_entropies(predict, images, pool, drawn, alpha, centre, clamp)

    own = overlays_of(context.seed, "strip, clean rows", np.arange(len(pool)), len(pool), len(pool) - 1, count)
    clean = measured(pool, never_itself(own))
    context.log(f"strip: {counted(count, 'overlay')} for each of {counted(len(context.rows), 'row')} …")
    drawn = overlays_of(context.seed, "strip", context.rows, context.training_rows, len(pool), count)
    found = measured(context.images(), drawn)
    if np.ptp(np.concatenate([clean, found])) == 0:
        raise Failure("every image keeps exactly the same entropy under the overlays, so nothing tells them apart")
    limit = cut(clean, share)
    findings = {
        "overlays": count,
        "threshold": limit,
        "entropy": {"clean": float(clean.mean()), "inspected": float(found.mean())},
        "clean_right": float(np.mean(context.predicted(CLEAN) == context.clean.labels)),
    }
    return Detection(-found, found < limit, findings)


def centre_of(model: Any) -> np.ndarray:
    """Return the byte of each channel that a network's normalisation (`nn.normalisation`) makes 0, (C,) float32: its
    mean, or 0 of a network that does not normalise."""
    layer = next((one for one in model.layers if one.name == normalisation.LAYER), None)
    scale, offset = (
        np.asarray(getattr(layer, name, value), np.float32) for name, value in (("scale", 1), ("offset", 0))
    )
    return np.asarray(-offset / scale)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return −Σ p ln p over the last axis, in nats: (…, C) → (…) float64."""
    p = np.asarray(probabilities, np.float64) + TINY
    return -(p * np.log(p)).sum(axis=-1)


def overlays_of(seed: int, purpose: str, rows: np.ndarray, total: int, pool: int, count: int) -> np.ndarray:
    """Draw for each row which `count` images of a pool are laid over it, all different: (len(rows), count) int64.

    What a row gets depends on the seed and on its number alone, not on which others are inspected: `rows` are numbers
    from 0 to `total` − 1. The pool is cut into `count` stretches, from somewhere that is drawn for the row, and one
    image is drawn from each.
    """
    drawn = random_streams.uniform(seed, f"overlays: {purpose}", total * (count + 1)).reshape(total, count + 1)[rows]
    bounds = np.arange(count + 1) * pool // count
    within = bounds[:-1] + (drawn[:, :-1] * np.diff(bounds)).astype(np.int64)
    return np.asarray((within + (drawn[:, -1:] * pool).astype(np.int64)) % pool)


def never_itself(drawn: np.ndarray) -> np.ndarray:
    """Turn draws (m, count) of m − 1 others into numbers of m rows: row i never gets number i."""
    return np.asarray(drawn + (drawn >= np.arange(len(drawn))[:, None]))


def superimpose(images: np.ndarray, overlays: np.ndarray, alpha: float, centre: np.ndarray, clamp: bool) -> np.ndarray:
    """Lay over each image (m, H, W, C) its overlays (m, k, H, W, C): image + alpha · (overlay − centre), float32.

    All are bytes from 0 to 255, and `centre` (C,) is the byte of each channel that the network's own normalisation
    makes
    0, so that this is the sum in its normalised space, as published. With `clamp` the sum is cut to 0 … 255.
    """
    mixed = images[:, None].astype(np.float32) + np.float32(alpha) * (overlays.astype(np.float32) - centre)
    return np.clip(mixed, 0, 255) if clamp else mixed


def mean_entropies(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    pool: np.ndarray,
    drawn: np.ndarray,
    alpha: float,
    centre: np.ndarray,
    clamp: bool,
) -> np.ndarray:
    """Return the mean entropy of the predictions of each image (m, H, W, C) under its overlays, (m,) float64.

    `predict` takes images (k, H, W, C) float32 of bytes and gives probabilities; `drawn` (m, N) are rows of `pool`.
    """
    count = drawn.shape[1]
    step = max(1, AT_ONCE // (4 * count * int(np.prod(images.shape[1:]))))
    found = []
    for start in range(0, len(images), step):
        mixed = superimpose(images[start : start + step], pool[drawn[start : start + step]], alpha, centre, clamp)
        chances = predict(mixed.reshape(-1, *images.shape[1:]))
        found.append(entropy(chances).reshape(-1, count).mean(axis=1))
    return np.concatenate(found)


def cut(clean: np.ndarray, share: float) -> float:
    """Return the entropy below which a row is flagged: the one that a share of the clean rows fall below."""
    return float(np.sort(clean)[int(share * len(clean))])


def work(size: Size, options: Mapping[str, Any]) -> Work:
    """Every row, and every clean one, is predicted under each overlay."""
    return Work(forward=(size.rows + size.clean) * min(options["overlays"], max(size.clean - 1, 1)))


BB, BT = "BackdoorBench f02e353, detection_pretrain/strip.py", "backdoor-toolbox 9d4d909, cleansers_tool_box/strip.py"

register(
    DetectorSpec(
        name="strip",
        title="STRIP",
        source="Gao et al. 2019, STRIP: a defence against trojan attacks on deep neural networks",
        summary="Lays clean images over a row: a backdoor's prediction stays as sure as it is.",
        score=score,
        needs=(IMAGES, CLEAN_ROWS),
        options=(
            Option(
                "overlays",
                "Clean images that are laid over each row; fewer where there are not as many.",
                int,
                100,
                least=1,
                most=10_000,
                source="BackdoorBench and backdoor-toolbox",
            ),
            Option(
                "alpha",
                "Weight of an overlay; the row's own image keeps weight 1.",
                float,
                1.0,
                above=0,
                most=10,
                source="BackdoorBench and backdoor-toolbox, as cleansers",
            ),
            Option(
                "clamp",
                "Cut sums to bytes, 0 to 255? Not so where published code does it as a cleanser.",
                bool,
                False,
                source="BackdoorBench and backdoor-toolbox, as cleansers",
            ),
            Option(
                "share",
                "Share of the clean rows that falls below the cut: the false-positive rate that is aimed at.",
                float,
                0.01,
                above=0,
                below=1,
                source="abstract: a preset false rejection rate of 1 %",
            ),
        ),
        work=work,
        remarks=(
            Remark(
                BB,
                RUN,
                "reports an AUC of the entropy with poisoned rows as positives: inverted (0.006 for 0.994)",
                "scores minus the entropy, so that higher is more suspicious",
            ),
            Remark(
                BB,
                RUN,
                "draws overlays once a batch: all rows of a batch share them, and what a row gets depends on its "
                "neighbours",
                "draws them for each row, from a stream of its own",
            ),
            Remark(
                BB,
                READ,
                "superimposes clean rows with one another, themselves included, to set the cut",
                "never superimposes a row with itself",
            ),
            Remark(
                BT,
                READ,
                "cuts at a false-positive rate of 0.1 as a cleanser; its input-level version has alpha 0.5 in pixel "
                "space with a clamp and 0.05",
                "aims at 0.01, and has weight 1 in the network's own space and no clamp; all are options",
            ),
        ),
    )
)
