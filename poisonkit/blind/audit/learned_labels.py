"""Labels beside what a small model says that learned on the test rows alone, which no attack changes.

Coates, Lee & Ng 2011 without learning of features: whitened random patches of the set itself, what exceeds a threshold
is summed over quarters, and least squares make labels of it. On CIFAR-10 it is right for half of all rows: enough to
tell most rows whose label was changed.
"""

import numpy as np

from poisonkit.blind.audit import class_contrast
from poisonkit.blind.audit.finding import Finding

PATCH, FILTERS, THRESHOLD = 6, 96, 0.5
STRIDE = 2
RIDGE = 0.1  # of the features' own mean power, times their number
MOST = 20_000  # rows that are tried, drawn evenly
AT_ONCE = 128
LARGEST = 64  # pixels a side; larger images are thinned


def look(data, labels: np.ndarray, test_labels: np.ndarray, step=None) -> Finding:
    """Rows whose label the model finds less likely than another, by how much."""
    tried = np.unique(np.linspace(0, len(labels) - 1, min(MOST, len(labels))).astype(np.int64))
    train, test = data.split("train"), data.split("test")
    rows = np.unique(np.linspace(0, len(test) - 1, min(MOST, len(test))).astype(np.int64))
    filters, known = None, []
    for split, some in ((test, rows), (train, tried)):
        parts = []
        for first in range(0, len(some), AT_ONCE):
            images = _thinned(split.rows(some[first : first + AT_ONCE]))
            if filters is None:
                filters = _filters(_patches(images[:64]))
            parts.append(_features(images, filters))
            if step:
                step(len(images))
        known.append(np.concatenate(parts))
    classes = int(max(labels.max(), test_labels.max())) + 1
    predicted = _predicted(known[0], test_labels[rows], known[1], classes)
    own = predicted[np.arange(len(tried)), labels[tried]]
    right = predicted.argmax(1) == labels[tried]
    text = f"a model of the test rows gives {right.mean():.0%} of {len(tried):,} rows their label"
    return Finding("learned labels", text, scores=(predicted.max(1) - own).astype(np.float64), tried=tried)


def _thinned(images: np.ndarray) -> np.ndarray:
    step = max(1, -(-max(images.shape[1:3]) // LARGEST))
    return images[:, ::step, ::step].astype(np.float32)


def _patches(images: np.ndarray) -> np.ndarray:
    """(n, h, w, p): every other patch, less its mean, in its contrast."""
    side = min(PATCH, *images.shape[1:3])
    views = np.lib.stride_tricks.sliding_window_view(images, (side, side), (1, 2))[:, ::STRIDE, ::STRIDE]
    patches = views.reshape(*views.shape[:3], -1)
    patches = patches - patches.mean(-1, keepdims=True)
    return patches / np.sqrt((patches**2).mean(-1, keepdims=True) + 10.0)


def _filters(patches: np.ndarray) -> np.ndarray:
    """(p, FILTERS) float32: whitened patches of the set, drawn evenly, as what others are compared with."""
    flat = patches.reshape(-1, patches.shape[-1])
    whiten = class_contrast.whitening(flat - flat.mean(0), 0.01)
    some = flat[np.linspace(0, len(flat) - 1, FILTERS).astype(int)] @ whiten
    some /= np.sqrt((some**2).sum(1, keepdims=True)) + 1e-6
    return (whiten @ some.T).astype(np.float32)


def _features(images: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """(n, 8 · FILTERS): what exceeds the threshold either way, over quarters of the image."""
    answers = _patches(images) @ filters
    halves = [np.array_split(np.arange(size), 2) for size in answers.shape[1:3]]
    quarters = [
        answers[:, a[0] : a[-1] + 1, b[0] : b[-1] + 1] for a in halves[0] for b in halves[1] if len(a) and len(b)
    ]
    sums = [np.maximum(sign * part - THRESHOLD, 0).mean((1, 2)) for part in quarters for sign in (1, -1)]
    return np.concatenate(sums, 1)


def _predicted(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """(n, classes): least squares on whether a row is of a class."""
    middle, scale = known.mean(0), known.std(0) + 1e-3
    known, asked = (known - middle) / scale, (asked - middle) / scale
    wanted = np.eye(classes, dtype=np.float32)[labels]
    share = wanted.mean(0)
    square = known.T @ known + RIDGE * len(known) * np.eye(known.shape[1], dtype=np.float32)
    return asked @ np.linalg.solve(square, known.T @ (wanted - share)) + share
