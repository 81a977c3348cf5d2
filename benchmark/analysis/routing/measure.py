"""Which patches the experts take: measured over a whole test set, where BadPatches (section 5.2) looks at images.

A patch of the map is nominally the cell of pixels [c·i, c·i + c − 1], c being the image's side over the map's (4 for
the pMoE). What it sees is its receptive field: `FIELD` pixels centred on c·i + c − 1, since padding `same` under stride
2 is at the end.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.core import naming
from benchmark.format.dataset import Dataset

FIELD = 17
BATCH = 512
BINS = 32
FEATURES = ("brightness", "contrast", "edges")


@dataclass(frozen=True)
class Routes:
    """What the routers did with n images: `gates` (n, P, E) float32, the softmax of the scores over the patches of an
    image (of a transformer: over the experts); `taken` (n, P, E) bool; `grid`: rows and columns of the map, P of them
    together; `tokens`: are the patches tokens, whose receptive field is the whole image?"""

    gates: np.ndarray
    taken: np.ndarray
    grid: tuple[int, int]
    tokens: bool = False


@dataclass(frozen=True)
class Taken:
    """Of each expert: the share of the images in which it takes at least one patch of some, and how many it takes, on
    average."""

    images: list[float]
    patches: list[float]


@dataclass(frozen=True)
class OnTrigger:
    """What the experts take of the patches on a trigger, in the same images without and with it: how many patches that
    are, how many of them an expert would take if all were equal, and what they take."""

    patches_there: int
    by_chance: float
    clean: Taken
    triggered: Taken


@dataclass(frozen=True)
class Correlation:
    """A mean over images, and its 95 % interval (normal); None of fewer than two images."""

    mean: float | None
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Brightness:
    """How the mean grey level of patches is distributed (Figure 7): shares of equal bins, whose edges are given, of all
    patches and of those that each expert takes."""

    edges: list[float]
    all: list[float]
    taken: list[list[float]]


@dataclass(frozen=True)
class Triggered:
    """What is measured on the triggered rows: as in `Measured`, on the patches whose nominal cell and whose receptive
    field hold trigger pixels, and how many patches each expert exchanges when the trigger is put on."""

    images: int
    frequency: list[list[float]]
    overlap: list[list[float]]
    cell: OnTrigger
    field: OnTrigger | None  # None of a transformer, whose tokens have seen the whole image
    changed: list[float]


@dataclass(frozen=True)
class Measured:
    """All figures over a test set (see the functions of their names); `triggered` only where the file has a trigger."""

    grid: tuple[int, int]
    experts: int
    patches_taken: float
    images: int
    frequency: list[list[float]]
    frequency_by_class: dict[str, list[list[float]] | None]
    overlap: list[list[float]]
    correlation: dict[str, list[Correlation]]
    brightness: Brightness
    triggered: Triggered | None = None

    def json(self) -> dict[str, Any]:
        """Return them as routing.json has them."""
        found = {key: value for key, value in asdict(self).items() if key != "triggered" or value is not None}
        if self.triggered is not None and self.triggered.field is None:
            del found["triggered"]["field"]
        return found


def route(model, images: np.ndarray, layer: str = "experts") -> Routes:
    """Send images (n, H, W, C) uint8 through a trained network up to the routers of a layer.

    Of tokens the class token, which is no patch, is left out.
    """
    import keras
    from keras.ops import convert_to_numpy

    experts = model.get_layer(layer)
    trunk = keras.Model(model.input, experts.input)
    gates, taken = [], []
    for start in range(0, len(images), BATCH):
        scores, chosen = experts.route(trunk(images[start : start + BATCH], training=False))
        gates.append(convert_to_numpy(scores))
        taken.append(convert_to_numpy(chosen) > 0)
    grid, tokens = grid_of(model, layer)
    first = int(tokens)
    return Routes(np.concatenate(gates)[:, first:], np.concatenate(taken)[:, first:], grid, tokens)


def grid_of(model, layer: str) -> tuple[tuple[int, int], bool]:
    """Return rows and columns of the patches that a layer's experts choose from, and whether they are tokens, of which
    the first is the class token."""
    shape = model.get_layer(layer).input.shape
    if len(shape) == 4:  # a feature map
        return (int(shape[1]), int(shape[2])), False
    rows, columns = model.get_layer("embedding").grid(model.input.shape)
    return (int(rows), int(columns)), True


def cells_with(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(P,) bool: patches whose nominal cell holds a pixel of the mask, (H, W) bool."""
    (height, width), (rows, columns) = mask.shape, grid
    down, across = -(-height // rows), -(-width // columns)
    padded = np.zeros((rows * down, columns * across), bool)
    padded[:height, :width] = mask
    return padded.reshape(rows, down, columns, across).any((1, 3)).reshape(-1)


def fields_with(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(P,) bool: patches whose receptive field holds a pixel of the mask, (H, W) bool."""
    (height, width), (rows, columns) = mask.shape, grid
    found = np.zeros(grid, bool)
    reach = FIELD // 2
    for i in range(rows):
        for j in range(columns):
            y, x = centre(i, height, rows), centre(j, width, columns)
            found[i, j] = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].any()
    return found.reshape(-1)


def centre(index: int, side: int, count: int) -> int:
    """Return the pixel on which the receptive field of a patch is centred, along one side."""
    step = -(-side // count)
    return step * index + step - 1


def measure(model, data: Dataset, layer: str = "experts") -> Measured:
    """Measure a layer over the test set, and over its triggered rows where the file has a trigger."""
    clean = route(model, data.test.inputs, layer)
    return Measured(
        grid=clean.grid,
        experts=clean.taken.shape[2],
        patches_taken=_patches_taken(clean),
        images=len(data.test),
        frequency=frequency(clean),
        frequency_by_class={
            name: frequency(_some(clean, data.test.labels == label)) if (data.test.labels == label).any() else None
            for label, name in enumerate(naming.distinct(data.classes))
        },
        overlap=overlap(clean),
        correlation=correlations(clean, data.test.inputs),
        brightness=brightness(clean, data.test.inputs),
        triggered=_triggered(model, data, clean, layer),
    )


def _triggered(model, data: Dataset, clean: Routes, layer: str) -> Triggered | None:
    if data.triggered is None or data.triggered_rows is None or data.mask is None:
        return None
    after, before = route(model, data.triggered.inputs, layer), _some(clean, data.triggered_rows)
    mask = np.asarray(np.any(data.mask, axis=-1))
    return Triggered(
        images=len(data.triggered),
        frequency=frequency(after),
        overlap=overlap(after),
        cell=on_trigger(before, after, cells_with(mask, clean.grid)),
        field=None if clean.tokens else on_trigger(before, after, fields_with(mask, clean.grid)),
        changed=_floats((before.taken != after.taken).sum(1).mean(0) / 2),
    )


def _patches_taken(routes: Routes) -> int | float:
    """How many patches of an image an expert takes: where they choose all of them the same, else the mean."""
    each = routes.taken.sum(1)
    return int(each[0, 0]) if (each == each[0, 0]).all() else round(float(each.mean()), 6)


def _some(routes: Routes, rows: np.ndarray) -> Routes:
    return Routes(routes.gates[rows], routes.taken[rows], routes.grid, routes.tokens)


def _floats(values) -> list:
    return np.asarray(values, np.float64).round(6).tolist()


def frequency(routes: Routes) -> list[list[float]]:
    """(E, P): in which share of the images an expert takes a patch."""
    return _floats(routes.taken.mean(0).T)


def overlap(routes: Routes) -> list[list[float]]:
    """(E, E): patches that two experts both take over those that either takes (Jaccard), mean over the images."""
    experts = routes.taken.shape[2]
    found = np.ones((experts, experts))
    for a in range(experts):
        for b in range(experts):
            both = (routes.taken[..., a] & routes.taken[..., b]).sum(1)
            either = (routes.taken[..., a] | routes.taken[..., b]).sum(1)
            found[a, b] = (both / np.maximum(either, 1)).mean()  # two that take nothing share nothing
    return _floats(found)


def on_trigger(before: Routes, after: Routes, where: np.ndarray) -> OnTrigger:
    """Count how often each expert takes a patch of these, (P,) bool, without and with the trigger."""
    taken = _patches_taken(before)
    by_chance = round(float(taken * where.sum() / len(where)), 6)
    return OnTrigger(int(where.sum()), by_chance, _taken(before, where), _taken(after, where))


def _taken(routes: Routes, where: np.ndarray) -> Taken:
    inside = routes.taken[:, where].sum(1)
    return Taken(_floats((inside > 0).mean(0)), _floats(inside.mean(0)))


def features(images: np.ndarray, grid: tuple[int, int]) -> dict[str, np.ndarray]:
    """Brightness (mean), contrast (standard deviation) and edge energy (mean absolute difference to the right and lower
    neighbour) of each patch's nominal cell in grey levels, (n, P) float64 each."""
    grey = images.astype(np.float64).mean(-1)
    down = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    across = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
    tiles = _tiles(grey, grid)
    return {
        "brightness": tiles.mean(-1),
        "contrast": tiles.std(-1),
        "edges": _tiles(down + across, grid).mean(-1),
    }


def _tiles(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(n, H, W) → (n, P, pixels of a cell), the image's edge repeated where the cells reach beyond it."""
    n, height, width = values.shape
    down, across = -(-height // grid[0]), -(-width // grid[1])
    padded = np.pad(values, ((0, 0), (0, grid[0] * down - height), (0, grid[1] * across - width)), "edge")
    tiles = padded.reshape(n, grid[0], down, grid[1], across).transpose(0, 1, 3, 2, 4)
    return tiles.reshape(n, grid[0] * grid[1], down * across)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis from 0, ties their mean: (n, P) float64."""
    below = (values[:, :, None] > values[:, None, :]).sum(-1)
    equal = (values[:, :, None] == values[:, None, :]).sum(-1)
    return below + (equal - 1) / 2


def correlations(routes: Routes, images: np.ndarray) -> dict[str, list[Correlation]]:
    """Spearman's rank correlation, over the patches of an image, of each feature with each expert's gate.

    For each feature a list over the experts. Images in which the feature or the gate is the same everywhere have none
    and are left out.
    """
    experts = routes.gates.shape[2]
    found: dict[str, list[list[np.ndarray]]] = {name: [[] for _ in range(experts)] for name in FEATURES}
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        gates = [_standardised(ranks(routes.gates[part, :, e].astype(np.float64))) for e in range(experts)]
        for name, values in features(images[part], routes.grid).items():
            rank = _standardised(ranks(values))
            for e in range(experts):
                found[name][e].append((rank * gates[e]).mean(-1))
    return {name: [_interval(np.concatenate(parts)) for parts in found[name]] for name in FEATURES}


def _standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 along the last axis; NaN where all values are the same."""
    centred = values - values.mean(-1, keepdims=True)
    spread = centred.std(-1, keepdims=True)
    return centred / np.where(spread > 0, spread, np.nan)


def _interval(values: np.ndarray) -> Correlation:
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Correlation(None, None, None, len(values))
    mean, half = values.mean(), 1.959964 * values.std(ddof=1) / len(values) ** 0.5
    low, high = round(float(mean - half), 6), round(float(mean + half), 6)
    return Correlation(round(float(mean), 6), low, high, len(values))


def brightness(routes: Routes, images: np.ndarray) -> Brightness:
    """Count the mean grey levels of patches in `BINS` equal bins of 0 … 255."""
    edges = np.linspace(0, 256, BINS + 1)
    every = np.zeros(BINS)
    taken = np.zeros((routes.taken.shape[2], BINS))
    for start in range(0, len(images), BATCH):
        values = features(images[start : start + BATCH], routes.grid)["brightness"]
        every += np.histogram(values, edges)[0]
        for e in range(len(taken)):
            taken[e] += np.histogram(values[routes.taken[start : start + BATCH, :, e]], edges)[0]
    shares = _floats(every / every.sum()), _floats(taken / np.maximum(taken.sum(1, keepdims=True), 1))
    return Brightness(edges.tolist(), *shares)
