#!/usr/bin/env python3
"""Training of every network against the same network in plain Keras `fit`, on the same backend.

    python tests/perf/perf_networks.py [--networks pmoe vit] [--backend tensorflow] [--preset small] [--runs 5]

An epoch over 2,048 random uint8 images in batches of 128, ours (row numbers into arrays on the device, one compiled
step) and `model.fit` (shuffled, SGD without momentum) in turn, in one process; the median of the runs. A ratio above 1
means that ours is faster. With --backend torch or jax the same there.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from benchmark.nn import engines  # noqa: E402
from benchmark.nn.networks import IMAGE, NETWORKS  # noqa: E402

BATCH, IMAGES = 128, 2048


def ours(spec, sizes, images, labels):
    """Return a function that trains one epoch with the active backend's engine."""
    engine = engines.engine(spec.build(sizes | {"seed": 0}), 0.1, images, labels)
    random = np.random.default_rng(1)

    def epoch():
        rows = random.permutation(IMAGES).astype(np.int32).reshape(-1, BATCH)
        for first in range(0, len(rows), engine.steps):
            loss = engine.train(rows[first : first + engine.steps])
        np.asarray(loss)

    return epoch


def plain(spec, sizes, images, labels):
    """Return a function that trains one epoch with Keras' `fit`."""
    import keras

    model = spec.build(sizes | {"seed": 0})
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy())
    return lambda: model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)


def measure(spec, preset: str, runs: int) -> tuple[float, float]:
    """Return images a second of ours and of `fit`: medians of epochs in turn, the first of each left out."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, 10, IMAGES)
    settings = {setting.name for setting in spec.settings}
    sizes = {name: value for name, value in spec.presets[preset].items() if name in settings}
    defaults = {name: value for name, value in next(iter(spec.presets.values())).items() if name in settings}
    sizes = {"image_shape": (32, 32, 3), "classes": 10} | defaults | sizes
    epochs = [make(spec, sizes, images, labels) for make in (ours, plain)]
    times = [[], []]
    for run in range(runs + 1):
        for found, epoch in zip(times, epochs, strict=True):
            start = time.perf_counter()
            epoch()
            if run:  # the first compiles
                found.append(time.perf_counter() - start)
    mine, theirs = (IMAGES / statistics.median(found) for found in times)
    return mine, theirs


def main() -> None:
    of_images = [spec.name for spec in NETWORKS.values() if spec.modality == IMAGE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=of_images, choices=of_images)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    engines.activate(args.backend, threads=args.threads)
    for name in args.networks:
        mine, theirs = measure(NETWORKS[name], args.preset, args.runs)
        print(f"{name:16} {args.backend:10} {args.preset:6} ours {mine:7.1f} images/s  fit {theirs:7.1f}"
              f"  ratio {mine / theirs:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
