#!/usr/bin/env python3
"""Seconds and memory of the detectors' arithmetic on 50,000 rows: what is left when the network has been run.

    python tests/perf/perf_detectors.py [--rows 50000] [--width 64 --width 640] [--only NAME]

Each case in a process of its own. Features are made: ten classes around means of their own, cut off at 0 as by a ReLU,
1 % of the rows of class 0 elsewhere; one row in twenty besides is clean. Seconds are the clock's and those of
a core, which on a busy machine are fewer; MB are the most that the process held, and what it held at most before the
detector started, when the features were made.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "benchmark"), str(Path(__file__).resolve().parents[2])]

from made_context import MadeContext, auc, scored  # noqa: E402

from benchmark.defences.catalogue import DETECTORS  # noqa: E402

CLASSES, SHARE = 10, 0.01
OF_FEATURES = {
    "spectral": {},
    "activation-clustering": {},
    "scan": {},
    "spectre": {},
    "mahalanobis": {},
    "loss": {},
}
"""Detectors that need features (and losses) alone, with options other than their defaults."""


def context(rows: int, width: int):
    """A context of made features, and which of its rows are poisoned."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(CLASSES, width)).astype(np.float32)

    def made(count):
        labels = rng.integers(0, CLASSES, count)
        return np.maximum(means[labels] + rng.normal(size=(count, width)).astype(np.float32), 0), labels

    features, labels = made(rows)
    clean, known = made(rows // 20)
    bad = np.zeros(rows, bool)
    bad[np.flatnonzero(labels == 0)[: int(SHARE * rows)]] = True
    features[bad] += np.abs(means[1])
    losses = rng.exponential(size=(5, rows)).astype(np.float16)
    record = SimpleNamespace(epochs=np.arange(1, 6), losses=losses)
    return MadeContext(features, labels, clean, known, losses=record), bad


def beatrix_of(rows: int, width: int):
    """Beatrix's arithmetic of one class: made maps of 8×8 positions, 100 clean rows, blocks as they come."""
    from benchmark.defences.detectors import beatrix

    rng = np.random.default_rng(0)
    clean = rng.random((100, width, 64), np.float32)
    bands = beatrix.bands_of(clean, 10)
    limit = beatrix.threshold(clean, 10, 0.95)
    block = rng.random((min(rows, 512), width, 64), np.float32)
    block[0] *= np.linspace(0, 3, width, dtype=np.float32)[:, None]
    found = [beatrix.deviations(block, bands) for _ in range(0, rows, len(block))]
    return found[0], limit


def overlays_of(rows: int, width: int):
    """STRIP's draws: `width` overlays of each row, of 2,000 clean ones."""
    from benchmark.defences.detectors import strip

    return strip.overlays_of(0, "perf", np.arange(rows), rows, 2000, width)


OF_A_NETWORK = {"beatrix": (beatrix_of, 5_000), "strip": (overlays_of, 50_000)}
"""What is left of detectors that run the network, and of how many rows at most."""


def measure_of_network(method: str, rows: int, width: int) -> None:
    """Run what is left of a detector beside the network, and print its line."""
    function, most = OF_A_NETWORK[method]
    rows = min(rows, most)
    before, start, used = peak(), time.perf_counter(), time.process_time()
    function(rows, width)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    print(
        f"{method:22} {width:5d} {seconds:8.2f} s, {used:7.2f} of a core {peak():6.0f} MB, {before:4.0f} before"
        f"   {rows:,} rows"
    )


def peak() -> float:
    """Megabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(method: str, rows: int, width: int) -> None:
    """Run one detector and print its line."""
    if method in OF_A_NETWORK:
        return measure_of_network(method, rows, width)
    given, bad = context(rows, width)
    DETECTORS.find(method)
    before, start, used = peak(), time.perf_counter(), time.process_time()
    found = scored(method, given, **OF_FEATURES[method])
    seconds, used = time.perf_counter() - start, time.process_time() - used
    some = np.union1d(np.flatnonzero(bad), np.arange(0, rows, 10))
    area = auc(found.scores[some], bad[some])
    print(
        f"{method:22} {width:5d} {seconds:8.2f} s, {used:7.2f} of a core {peak():6.0f} MB, {before:4.0f} before"
        f"   AUROC {area:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--width", type=int, action="append")
    parser.add_argument("--only", choices=(*OF_FEATURES, *OF_A_NETWORK))
    parser.add_argument("--here", action="store_true", help="in this process")
    args = parser.parse_args()
    widths = args.width or [64, 640]
    for method in [args.only] if args.only else (*OF_FEATURES, *OF_A_NETWORK):
        for width in widths:
            if args.here:
                measure(method, args.rows, width)
            else:
                again = [sys.executable, __file__, "--here", "--rows", str(args.rows)]
                subprocess.run([*again, "--width", str(width), "--only", method], check=True)


if __name__ == "__main__":
    main()
