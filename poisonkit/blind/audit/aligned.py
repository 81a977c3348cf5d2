"""Rows beside their originals when a near join by looks no longer holds: joined by windows, fitted, and compared by
class in what the fit says: how they were moved, what is left, how much."""

import numpy as np

from poisonkit.blind.audit import class_contrast, grids, window_matching
from poisonkit.blind.audit.finding import SOURCE, Finding, count
from poisonkit.blind.audit.standalone import SMALLEST, by_class

MOST, BESIDE = 10_000, 2_500  # training rows that are tried, and test rows to compare with, drawn evenly
FOUND = 0.2  # share of rows with an original, for the source to be theirs
TILE = 8
LARGEST, A_FEW = 64, 256  # pixels a side, images
ROWS_AT_ONCE = 4096


def look(pair, test, progress) -> list[Finding]:
    """Run every comparison of a set with its source; `pair` is a `beside.Beside`, `test` the set's own test rows."""
    labels, shape = pair.ours.labels, pair.source.train.shape[1:]
    if min(shape[:2]) < SMALLEST:
        return []
    tried, clean = evenly(len(labels), MOST), evenly(len(test), BESIDE)
    total = len(pair.source.train) + len(pair.source.test)
    with progress(total, f"join by windows, {pair.name}", "images") as bar:
        images = np.concatenate([_thin(pair.rows, tried), _thin(test.rows, clean)])
        whole = window_matching.join(
            images, lambda rows: _thin(pair.originals, rows), lambda: _blocks(pair.source), bar.update
        )
    joined, others = whole.part(slice(len(tried))), whole.part(slice(len(tried), None))
    found = joined.originals >= 0
    text = f"{int(found.sum()):,} of {len(tried):,} rows are a part of one of its images"
    title = f"by windows, {pair.name}"
    if found.mean() < FOUND:
        return [Finding(title, text)]
    theirs = pair.theirs.labels[joined.originals]
    other = found & (theirs != labels[tried])
    certain = tried[other & (joined.likeness >= window_matching.CERTAIN)]
    findings = [
        Finding(
            f"{title}: label",
            f"{text}; {count(tried[other], 'have another label there')}, {len(certain):,} of them beyond doubt",
            certain, team=SOURCE, scores=np.where(other, joined.likeness, 0).astype(np.float64), tried=tried,
        ),
        Finding(
            f"{title}: missing", "how little of a row its likeliest original explains", team=SOURCE,
            scores=1 - joined.likeness.astype(np.float64), tried=tried,
        ),
    ]  # fmt: skip
    return findings + _by_class(title, (joined, others), (labels[tried], test.labels[clean]), tried)


def _blocks(source):
    """Yield the source's images in blocks, its test rows numbered after its training rows."""
    first = 0
    for part in (source.train, source.test):
        for start, block in part.blocks(ROWS_AT_ONCE):
            yield first + start, _thinned(block)
        first += len(part)


def _thinned(images: np.ndarray) -> np.ndarray:
    """Return every other pixel, or fewer, of images with more than `LARGEST` a side."""
    step = max(1, -(-max(images.shape[1:3]) // LARGEST))
    return images[:, ::step, ::step]


def _thin(read, rows: np.ndarray) -> np.ndarray:
    """Return the images `read(rows)`, thinned, a few at a time: large ones are not held in memory."""
    return np.concatenate([_thinned(read(rows[start : start + A_FEW])) for start in range(0, len(rows), A_FEW)])


def _by_class(title: str, joined, labels, tried: np.ndarray) -> list[Finding]:
    """Return the rows that have an original, by what their fit says, beside test rows of their class; two of each:
    training rows, test rows."""
    findings = []
    found = [part.originals >= 0 for part in joined]
    numbers = [_numbers(part.moves[there], part.rest[there]) for part, there in zip(joined, found, strict=True)]
    for name in numbers[0]:
        scored = class_contrast.shifts(numbers[0][name], labels[0][found[0]], numbers[1][name], labels[1][found[1]])
        scores = np.zeros(len(tried))
        scores[found[0]] = scored.scores
        one = class_contrast.Scored(scores, tried[found[0]][scored.rows], scored.classes)
        findings.append(by_class(f"{title}: {name}", one, team=SOURCE, tried=tried))
    return findings


def evenly(count: int, most: int) -> np.ndarray:
    """At most so many of `count` rows, spread evenly, (k,) int64: a sealed file's are in no order."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def _numbers(moves: np.ndarray, rest: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is compared: name → (n, p) float32."""
    levels = [np.abs(rest).mean((1, 2)), rest.std((1, 2)), *(bend.mean((1, 2)) for bend in grids.bends(rest))]
    return {
        "moves": moves,
        "what is left": grids.cells(rest, 8),
        "what is left, in patches": tiled(rest),
        "noise of what is left": np.log(np.stack(levels, 1) + 0.3),
    }


def tiled(rest: np.ndarray) -> np.ndarray:
    """Return the mean over all whole 8 × 8 patches, (n, 64)."""
    down, across = rest.shape[1] // TILE, rest.shape[2] // TILE
    whole = rest[:, : down * TILE, : across * TILE].reshape(len(rest), down, TILE, across, TILE)
    return whole.mean((1, 3)).reshape(len(rest), -1)
