"""Routing (ours): what the experts take of an image, against what is usual on clean rows of the same predicted class.

BadPatches has shown that experts send a trigger's patches where they send none otherwise; the anomaly of attention
heads, how far a text is from clean ones, finds poisoned texts without knowing the trigger. This is both together: an
image is described by the square roots of its gates, of every expert for every patch (of shares, roots are what has one
variance; distances between them are Hellinger's), less their mean over clean rows of its class, in units of their
standard deviation. The first pass is the Mahalanobis distance of that, under a covariance shrunk as Ledoit and Wolf
(2004) have it. The second adds what the most unusual rows have in common: how far a row lies in the direction of their
mean, since a trigger moves all its rows alike, and what is unusual by itself is so in ways of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.analysis.routing import measure, plots
from benchmark.core import plotting, random_streams, text_tables
from benchmark.core.errors import Failure
from benchmark.core.numbers import counted
from benchmark.defences import evidence, statistics
from benchmark.defences.context import CLEAN, TRAIN, DefenceContext, Detection
from benchmark.defences.needs import CLEAN_ROWS, EXPERTS
from benchmark.defences.options import Option
from benchmark.defences.registry import WHOLE, DetectorSpec, Work, register
from benchmark.nn import engines
from benchmark.training.metrics import Json

LEAST = 20
"""Clean rows, without which nothing can be called usual."""
SIDE = 8
"""Patches are put together to at most that many rows and columns of cells: what is computed does not grow with them."""
BLOCK, FOLDS, SHOWN = 4096, 5, 2000
SOFTENING, NOTHING = 1e-3, 1e-9
PRIOR = 1.0
"""A class's mean is that of its clean rows and of so many more like the mean of all."""


@dataclass(frozen=True)
class Layer:
    """A layer whose experts choose patches: its name, how many experts, and the grid of its cells."""

    name: str
    experts: int
    grid: tuple[int, int]

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return self.experts * self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Usual:
    """What is usual: the `means` of each class (C, d), the deviation of all rows from them (d,), the symmetric root of
    the inverse covariance, `whitening` (d, d), and by how much that was shrunk."""

    means: np.ndarray
    deviation: np.ndarray
    whitening: np.ndarray
    shrinkage: float

    def standardised(self, gates: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return gates (n, d) of rows of some classes (n,) in standard deviations from what is usual, float64."""
        return np.asarray((np.sqrt(gates, dtype=np.float64) - self.means[classes]) / self.deviation)

    def whitened(self, gates: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the same without correlations, each number still of its own cell: the length of a row is its
        distance."""
        return self.standardised(gates, classes) @ self.whitening


def fit(gates: np.ndarray, of: np.ndarray, classes: int) -> Usual:
    """Fit what is usual to the gates (m, d) of clean rows of the classes `of` (m,)."""
    roots = np.sqrt(gates, dtype=np.float64)
    total = np.zeros((classes, roots.shape[1]))
    np.add.at(total, of, roots)
    count = np.bincount(of, minlength=classes)[:, None]
    means = (total + PRIOR * roots.mean(0)) / (count + PRIOR)
    residuals = roots - means[of]
    if np.abs(residuals).max() < NOTHING:
        raise Failure("the gates of all clean rows are the same: the experts do not tell images apart")
    deviation = residuals.std(0) + SOFTENING
    covariance, shrinkage = shrunk(residuals / deviation)
    values, vectors = np.linalg.eigh(covariance)
    # a direction in which clean rows do not differ at all, such as the sum of shares, says nothing
    inverse = np.where(values > 1e-9 * values[-1], 1 / np.sqrt(np.maximum(values, 1e-300)), 0.0)
    return Usual(means, deviation, (vectors * inverse) @ vectors.T, shrinkage)


def shrunk(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the covariance of centred rows (n, d), shrunk towards a multiple of the identity, and how far: from 0, not
    at all, to 1 (Ledoit and Wolf 2004, section 3.3)."""
    covariance = rows.T @ rows / len(rows)
    level = float(np.trace(covariance)) / len(covariance)
    share = statistics.shrinkage(covariance, float(((rows**2).sum(1) ** 2).sum()), len(rows))
    return (1 - share) * covariance + share * level * np.eye(len(covariance)), share


@dataclass(frozen=True)
class Ranked:
    """Scores of the inspected rows (n,), the score above which a row is flagged, and what they are of."""

    scores: np.ndarray
    threshold: float
    usual: Usual

    @property
    def flagged(self) -> np.ndarray:
        """Which rows are above it, (n,) bool."""
        return self.scores > self.threshold

    @property
    def suspicious(self) -> np.ndarray:
        """The rows that are shown: those flagged, else the highest one; highest first."""
        order = np.argsort(-self.scores, kind="stable")
        return order[: max(1, int(np.count_nonzero(self.flagged)))]


def rank(
    gates: np.ndarray,
    of: np.ndarray,
    clean: np.ndarray,
    clean_of: np.ndarray,
    classes: int,
    *,
    common: float = 0.03,
    second_pass: bool = True,
    false_alarms: float = 0.01,
) -> Ranked:
    """Score rows by their gates.

    Parameters
    ----------
    gates, clean : (n, d), (m, d) float
        Shares, of the inspected rows and of clean ones. The former are read block by block.
    of, clean_of : (n,), (m,) int
        The class beside which each is seen.
    classes : int
        How many there are.
    common : float
        The share of the rows, the most unusual ones, whose common direction the second pass takes.
    second_pass : bool
        False: the distance alone.
    false_alarms : float
        The share of clean rows above the threshold: each is scored by what is usual among the other four fifths.
    """
    usual = fit(clean, clean_of, classes)
    distances = np.concatenate([_lengths(usual.whitened(gates[part], of[part])) for part in _blocks(len(gates))])
    direction = np.zeros(gates.shape[1])
    if second_pass:
        first = np.flatnonzero(statistics.highest(distances, max(1, int(common * len(distances)))))
        total = sum(usual.whitened(gates[first[part]], of[first[part]]).sum(0) for part in _blocks(len(first)))
        direction = np.asarray(total) / max(float(np.linalg.norm(total)), 1e-300)
        along = [usual.whitened(gates[part], of[part]) @ direction for part in _blocks(len(gates))]
        distances = distances + np.concatenate(along)
    own = _own(clean, clean_of, classes, direction)
    return Ranked(distances, float(np.quantile(own, 1 - false_alarms, method="higher")), usual)


def _own(clean: np.ndarray, of: np.ndarray, classes: int, direction: np.ndarray) -> np.ndarray:
    """Score the clean rows, each by what is usual among those of the other folds."""
    fold = np.arange(len(clean)) % FOLDS
    found = np.empty(len(clean))
    for number in range(FOLDS):
        mine = fold == number
        whitened = fit(clean[~mine], of[~mine], classes).whitened(clean[mine], of[mine])
        found[mine] = _lengths(whitened) + whitened @ direction
    return found


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.sqrt((rows * rows).sum(1))


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]


def cells(grid: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Return which cell each patch of a grid is in, (P, cells) of 0 and 1, and the grid of the cells."""
    down, across = (np.arange(side) * min(side, SIDE) // side for side in grid)
    rows, columns = int(down[-1]) + 1, int(across[-1]) + 1
    number = (down[:, None] * columns + across).reshape(-1)
    return np.eye(rows * columns, dtype=np.float32)[number], (rows, columns)


def check_finite(gates: np.ndarray) -> None:
    """Raise `Failure` where gates (n, d) hold numbers that are none."""
    bad = sum(int(np.sum(~np.isfinite(gates[part]).all(1))) for part in _blocks(len(gates)))
    if bad:
        raise Failure(
            f"the gates of {bad:,} of {len(gates):,} rows are not finite: the network diverged; train it again"
        )


def score(
    context: DefenceContext, *, usual_of: str, common: float, second_pass: bool, false_alarms: float
) -> Detection:
    """Score every row by its routing. See the module, and `rank`."""
    if len(context.clean) < LEAST:
        raise Failure(
            f"{counted(len(context.clean), 'clean row')} are too few to say which routing is usual, {LEAST} are "
            "needed: train with a larger --hold-out, or give more --clean-rows"
        )
    names = context.run.routed_layers()
    layers, compute = _router(context.model, names)
    width = sum(layer.size for layer in layers)
    gates, clean = (context.kept("routing-gates", group, compute, width) for group in (TRAIN, CLEAN))
    for group in (gates, clean):
        check_finite(group)
    given = usual_of == "given"
    of, clean_of = (context.labels, context.clean.labels) if given else (context.predicted(), context.predicted(CLEAN))
    ranked = rank(gates, of, clean, clean_of, context.classes, common=common, second_pass=second_pass,
                  false_alarms=false_alarms)  # fmt: skip
    rows = ranked.suspicious
    shift = ranked.usual.standardised(gates[rows], of[rows]).mean(0)
    maps = [part.reshape(*layer.grid, layer.experts) for layer, part in zip(layers, _split(shift, layers), strict=True)]
    findings = {
        "suspicious": len(rows),
        "threshold": round(ranked.threshold, 6),
        "shrinkage": round(ranked.usual.shrinkage, 6),
        "classes_without_clean_rows": _unseen(context, of, clean_of),
        "experts": _by_expert(context, layers, maps, ranked, gates, of),
    }
    draw = plotting.to_path(partial(plots.shifts, _named(layers, maps), context.run.folder.name))
    return Detection(ranked.scores, ranked.flagged, findings, {"routing": draw})


def _router(model: Any, names: Sequence[str]) -> tuple[list[Layer], evidence.Compute]:
    """Return the layers, and what computes the gates of a block of images, cell by cell: (m, d) float32, layer after
    layer, cell after cell, expert after expert."""
    import keras
    from keras import ops

    routed = [model.get_layer(name) for name in names]
    places = [measure.grid_of(model, name) for name in names]
    pools = [cells(grid) for grid, _ in places]
    trunk = keras.Model(model.inputs, [layer.input for layer in routed])

    def all_gates(block: Any) -> list[Any]:
        inputs = trunk(block, training=False)
        inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        found = []
        for layer, x, (pool, _), (_, tokens) in zip(routed, inputs, pools, places, strict=True):
            gates, _ = layer.route(x)
            found.append(ops.einsum("npe,pc->nce", ops.cast(gates, "float32")[:, int(tokens) :], pool))
        return found

    call = engines.compiled(trunk, all_gates)

    def compute(block: Any) -> np.ndarray:
        parts = [ops.convert_to_numpy(one) for one in evidence.guarded(model, call, block)]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    layers = [Layer(name, one.experts, grid) for name, one, (_, grid) in zip(names, routed, pools, strict=True)]
    return layers, compute


def _split(values: np.ndarray, layers: Sequence[Layer]) -> list[np.ndarray]:
    """Cut (…, d) into the parts of the layers."""
    return np.split(values, np.cumsum([layer.size for layer in layers])[:-1], axis=-1)


def _unseen(context: DefenceContext, of: np.ndarray, clean_of: np.ndarray) -> list[str]:
    """Name the classes that rows are seen beside, and that no clean row is of."""
    unseen = np.setdiff1d(np.unique(of), np.unique(clean_of))
    if len(unseen):
        context.log(
            f"routing: no clean row of {counted(len(unseen), 'class', 'classes')}: beside the mean of all others"
        )
    return [context.class_names[label] for label in unseen]


def _by_expert(
    context: DefenceContext,
    layers: Sequence[Layer],
    maps: Sequence[np.ndarray],
    ranked: Ranked,
    gates: np.ndarray,
    of: np.ndarray,
) -> list[Json]:
    """Say of each expert, the most deviating first, how far the suspicious rows and clean ones are from what is usual
    with it, where it looks more than usual, and which share of the patches that it takes another takes too."""
    rows = random_streams.some(ranked.suspicious, SHOWN, "suspicious rows shown")
    others = random_streams.some(np.flatnonzero(~ranked.flagged), SHOWN, "other rows shown")
    both = [_split(ranked.usual.whitened(gates[some], of[some]), layers) for some in (rows, others)]
    images, found = context.train.inputs, []
    for number, layer in enumerate(layers):
        routes = [measure.route(context.model, one, layer.name) for one in
                  (images[context.rows[rows]], context.clean.inputs[:SHOWN])]  # fmt: skip
        shared = [np.array(measure.overlap(one)) for one in routes]
        far = [_lengths_by_expert(parts[number], layer.experts) for parts in both]
        for expert in range(layer.experts):
            place = np.unravel_index(int(maps[number][..., expert].argmax()), layer.grid)
            found.append({
                "layer": layer.name, "expert": expert + 1,
                "deviation": round(float(far[0][expert]), 4), "deviation_of_others": round(float(far[1][expert]), 4),
                "cell": [int(one) for one in place], "of": list(layer.grid),
                "more": round(float(maps[number][..., expert].max()), 4),
                "overlap": _mean_of_others(shared[0], expert), "usual_overlap": _mean_of_others(shared[1], expert),
            })  # fmt: skip
    return sorted(found, key=lambda one: one["deviation_of_others"] - one["deviation"])


def _lengths_by_expert(rows: np.ndarray, experts: int) -> np.ndarray:
    """Return the root of the mean square of each expert's numbers (E,), of rows (n, cells · E); of none zeros."""
    if not len(rows):
        return np.zeros(experts)
    return np.asarray(np.sqrt((rows.reshape(-1, experts) ** 2).mean(0)))


def _mean_of_others(shared: np.ndarray, expert: int) -> float:
    return round(float(np.delete(shared[expert], expert).mean()), 4) if len(shared) > 1 else 0.0


def _named(layers: Sequence[Layer], maps: Sequence[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [(layer.name, one) for layer, one in zip(layers, maps, strict=True)]


def shown(raw: Json) -> str:
    """Show by which experts a run's suspicious rows are told."""
    titles = ["layer", "expert", "deviation", "others", "more at", "overlap", "usual"]
    rows = [
        [one["layer"], str(one["expert"]), f"{one['deviation']:.2f}", f"{one['deviation_of_others']:.2f}",
         "{}, {}".format(*one["cell"]), f"{one['overlap']:.2f}", f"{one['usual_overlap']:.2f}"]
        for one in raw["findings"]["experts"]
    ]  # fmt: skip
    heading = f"{raw['run']}: routing of the {raw['findings']['suspicious']:,} most suspicious rows"
    return f"{heading}\n{text_tables.render('text', titles, rows, {'layer', 'expert'})}\n{WORDS}"


def report(results: Sequence[tuple[Path, Any]]) -> str:
    """Show the same of each run."""
    return "\n\n".join(shown(result.raw) for _, result in results)


WORDS = (
    "deviation of an expert's gates from what is usual, in standard deviations; others: of rows that\n"
    "are not flagged. more at: row and column of the cell that it turns to. overlap: patches that other\n"
    "experts take too; usual: the same on clean rows."
)

OPTIONS = (
    Option("usual_of", "Beside clean rows of which class: the one that the network predicts, or the given label.", str,
           "predicted", choices=("predicted", "given")),
    Option("second_pass", "Also look for what the most unusual rows have in common.", bool, True),
    Option("common", "Share of the rows that the second pass takes that from.", float, 0.03, above=0, below=1,
           source="as for heads"),
    Option("false_alarms", "Share of clean rows that the cut may flag.", float, 0.01, above=0, below=1),
)  # fmt: skip

register(
    DetectorSpec(
        name="routing",
        title="Routing",
        source="ours, after BadPatches (section 5.2) and the anomaly of attention heads",
        summary="Distance of what the experts take of an image from what is usual on clean rows of its class.",
        score=score,
        judges=WHOLE,
        needs=(EXPERTS, CLEAN_ROWS),
        options=OPTIONS,
        work=lambda size, options: Work(forward=2 * size.rows + size.clean, seconds=size.rows / 10_000),
        aliases=("gates",),
        check=shown,
        report=report,
    )
)
