"""FLARE (Hou et al. 2025): rows whose least likely values at the batch normalisations set them apart as a dense group of
their own are suspicious."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

BELOW = 1e-4
"""How far below the density at which the benign group falls apart the tree is cut, as published."""
DEPTH = 3
"""How many times the search for a stable group goes down."""
NEIGHBOURS, SEED = 40, 42
"""Of UMAP, as published."""


def least_log_density(values: Any, mean: Any, variance: Any) -> Any:
    """Return the least log density of each row's values under normal distributions, one a channel: (m,).

    Keras tensors or arrays: `values` (m, positions, …, channels), `mean` and `variance` (…, channels).
    """
    from keras import ops

    density = -0.5 * (ops.square(values - mean) / variance + ops.log(2 * np.pi * variance))
    return ops.min(density, axis=tuple(range(1, len(density.shape))))


@dataclass(frozen=True)
class Tree:
    """HDBSCAN's tree of an embedding: `condensed` (structured: parent, child, lambda_val, child_size; numbers from
    `rows` on are groups, `rows` the root), `merges` (rows − 1, 4) of the single linkage (two nodes, distance, size), and
    `groups_at(distance)` → (rows,) int64, the groups when it is cut there, −1 for noise."""

    rows: int
    condensed: np.ndarray
    merges: np.ndarray
    groups_at: Callable[[float], np.ndarray]


@dataclass(frozen=True)
class Split:
    """How one embedding is divided: `stability`, how long the largest groups live that were looked at, in units of
    density, one a level; `density`, where the tree is cut, None where none is stable; `groups` (n,) int64 then, −1 for
    noise."""

    stability: tuple[float, ...]
    density: float | None
    groups: np.ndarray

    @property
    def benign(self) -> int:
        """The number of the largest group, −1 without any."""
        numbers, sizes = np.unique(self.groups[self.groups >= 0], return_counts=True)
        return int(numbers[np.argmax(sizes)]) if len(numbers) else -1

    @property
    def divides(self) -> bool:
        """Is there a stable group, and another one beside it?"""
        return self.density is not None and len(np.unique(self.groups[self.groups >= 0])) > 1

    @property
    def flagged(self) -> np.ndarray:
        """Rows of a group that is not the largest, (n,) bool; noise is benign."""
        return (self.groups >= 0) & (self.groups != self.benign)


def stable(tree: Tree, xi: float) -> tuple[tuple[float, ...], float | None]:
    """Go down a tree's largest groups from below the root, at most `DEPTH` times, until one lives longer than ξ.

    Returns how long each of them lives in units of density (1 / distance), from where it splits off to where it splits
    (a group that never does: to where it loses its first row), and the density at which the stable one ends, or None.
    """
    table = tree.condensed
    groups = table[table["child_size"] > 1]
    children = groups[groups["parent"] == tree.rows]
    found: list[float] = []
    for _ in range(DEPTH):
        if not len(children):
            break
        largest = children[np.argmax(children["child_size"])]
        children = groups[groups["parent"] == largest["child"]]
        last = children if len(children) else table[table["parent"] == largest["child"]]
        end = float(last["lambda_val"][np.argmax(last["child_size"])] if len(children) else last["lambda_val"].min())
        found.append(end - float(largest["lambda_val"]))
        if found[-1] > xi:
            return tuple(found), end
    return tuple(found), None


def split(tree: Tree, xi: float) -> Split:
    """Divide an embedding below the density at which its first stable group ends; see `stable`."""
    stability, density = stable(tree, xi)
    if density is None:
        return Split(stability, None, np.zeros(tree.rows, np.int64))
    return Split(stability, density, tree.groups_at(1 / (density - BELOW)))


def distances(tree: Tree, row: int) -> np.ndarray:
    """Return for each row the distance at which single linkage joins it to `row`, (n,) float64."""
    merges, rows = tree.merges, tree.rows
    parents = np.full(2 * rows - 1, -1, np.int64)
    parents[merges[:, :2].astype(np.int64).reshape(-1)] = np.repeat(np.arange(rows, 2 * rows - 1), 2)
    joined = np.zeros(2 * rows - 1)
    node = row
    path = {node}
    while (node := parents[node]) >= 0:
        joined[node] = merges[node - rows, 2]
        path.add(node)
    for node in range(2 * rows - 2, -1, -1):  # parents have higher numbers, and come first
        if node not in path:
            joined[node] = joined[parents[node]]
    joined[row] = 0
    return joined[:rows]


def scores(tree: Tree, found: Split) -> np.ndarray:
    """Return how suspicious each row is, (n,) float64: from 1 to 2 where it is flagged, below 1 where not.

    FLARE itself only flags. Among the flagged, and among the others, the rows are ranked by the distance d at which
    single linkage joins them to the benign group (to one of its rows): d / (1 + d).
    """
    benign = np.flatnonzero(found.groups == found.benign)
    away = distances(tree, int(benign[0]) if len(benign) else 0)
    return away / (1 + away) + (found.flagged if found.divides else 0)


def search(embedded: Callable[[int], Tree], layers: int, least: int, xi: float) -> tuple[int, Tree, Split, list[Split]]:
    """Leave out the last 0, 1, 2 … layers until the rows divide in two; at least `least` layers stay.

    `embedded(w)` gives the tree without the last w. Returns w, its tree and split, and all splits on the way; where
    nothing divides the rows, those of w = 0.
    """
    tried: list[Split] = []
    first = None
    for without in range(max(1, layers - least + 1)):
        tree = embedded(without)
        first = first or tree
        tried.append(split(tree, xi))
        if tried[-1].divides:
            return without, tree, tried[-1], tried
    assert first is not None
    return 0, first, tried[0], tried
